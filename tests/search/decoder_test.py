# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import threading
import time

import numpy as np
import pytest

from mmv_tf.data.media import MediaError
from mmv_tf.search.decoder import Decoder
from mmv_tf.search.queries import Query, kind_of_bytes, read_query
from tests.search.conftest import EVIL_NAME

DEADLINE = 1.5
PATIENT = 120.0  # for decoding on a busy machine


@pytest.fixture(scope="module")
def decoder():
    decoder = Decoder(DEADLINE)
    yield decoder
    decoder.close()


# Child processes import these from here.
def hang(data):
    time.sleep(600)


def crash(data):
    os.abort()


def test_what_never_ends_is_killed_and_does_not_delay_others(decoder):
    decoder.start()
    failures = []

    def upload():
        with pytest.raises(MediaError) as error:
            decoder.call(hang, "endless.gif", b"")
        failures.append(str(error.value))

    thread = threading.Thread(target=upload)
    started = time.monotonic()
    thread.start()
    assert decoder.call(len, "x", b"four") == 4
    assert time.monotonic() - started < 1
    thread.join()
    assert time.monotonic() - started < DEADLINE + 2
    assert "endless.gif: the decoder did not finish" in failures[0]
    with pytest.raises(MediaError, match="crashed"):
        decoder.call(crash, "x", b"")
    assert decoder.call(len, "x", b"four") == 4


@pytest.mark.slow
def test_an_upload_is_decoded_as_it_would_be_here(library):
    data = (library.videos / EVIL_NAME).read_bytes()
    query = Query("video", data, name="x")
    windows = library.embedder.windows
    with contextlib.closing(Decoder(PATIENT, 1)) as decoder:
        assert decoder.call(kind_of_bytes, "x", data, "x") == "video"
        found = decoder.call(read_query, "x", query, windows)
        np.testing.assert_array_equal(found, read_query(query, windows))
        with pytest.raises(MediaError, match=r"^x is not a readable image"):
            decoder.call(kind_of_bytes, "x", b"no film", "x")
