# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import numpy as np
import pytest

from mmv_tf.data import Reader
from mmv_tf.data.reading import pixels
from tests import records


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return records.write(tmp_path_factory.mktemp("data"))


def test_a_batch_is_not_overwritten_while_it_is_held(data):
    """Memory is reused once it is released, and TensorFlow does not copy it."""
    made = []
    whole = pixels._aligned

    def counted(count):
        made.append(whole(count))
        return made[-1]

    def take(number):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pixels, "_aligned", counted)
            yield from Reader(data.config(pixels="opencv"), None, None).train(seed=1).take(number)

    held = [batch["video"] for batch in take(12)]
    assert len(made) >= 12
    places = {memory.ctypes.data for memory in made}
    assert all(np.asarray(memoryview(video)).ctypes.data in places for video in held)
    made.clear()
    for first, again in zip(held, take(12), strict=True):
        np.testing.assert_array_equal(first, again["video"])
    assert len(made) < 12


_ENDS_WHILE_READING = """
import sys
from mmv_tf.data import Reader, default_config
config = default_config()
config.update(directory=sys.argv[1], frame_rate=5.0, num_frames=6, size=300, pixels="opencv")
iterator = iter(Reader(config, None, None).train(seed=0))
print(next(iterator)["video"].shape)
"""


@pytest.mark.slow
def test_a_program_ends_while_its_reader_reads_ahead(data):
    done = subprocess.run(
        [sys.executable, "-c", _ENDS_WHILE_READING, str(data.directory)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout == "(8, 6, 300, 300, 3)\n"
    assert done.returncode == 0 and "Error" not in done.stderr
