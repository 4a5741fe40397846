# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Packed request bodies: what they unpack to, and what is refused before it costs memory."""

import gzip
import random
import tracemalloc

import pytest

from mmv_tf.serving.errors import RequestError
from mmv_tf.serving.unpacking import GzipReader, is_gzip

DATA = random.Random(0).randbytes(70_000) + bytes(700_000)


def unpack(packed, size):
    reader = GzipReader()
    chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
    data = b"".join(piece for chunk in chunks for piece in reader.unpack(chunk))
    reader.finish()
    return data


@pytest.mark.parametrize("size", [1, 7, 65_536, 10**6])
def test_chunks_of_any_size_unpack_to_the_data(size):
    packed = gzip.compress(DATA[-710_000:])
    assert unpack(packed, size) == DATA[-710_000:]
    assert unpack(packed + gzip.compress(b"") + gzip.compress(b"more"), size)[-5:] == b"\0more"


@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_what_is_no_whole_gzip_is_refused(size):
    packed = gzip.compress(DATA)
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 1
    for wrong, words in (
        (b"", "cut short"),
        (packed[:-1], "cut short"),
        (packed[:9], "cut short"),
        (packed + packed[:9], "cut short"),
        (packed + b"garbage", "after its end"),
        (packed + bytes(8), "after its end|cut short"),
        (b'{"instances": ["plain"]}', "damaged"),
        (bytes(damaged), "damaged"),
    ):
        with pytest.raises(RequestError, match=words) as error:
            unpack(wrong, size)
        assert error.value.status == 400


def test_a_bomb_unpacks_in_small_pieces():
    bomb = gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    total = sum(len(piece) for piece in GzipReader().unpack(bomb))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 64 << 20 and peak < 2 << 20


def test_gzip_and_identity_are_the_encodings_that_are_taken():
    for taken in (["gzip"], ["GZip"], ["x-gzip"], ["identity, gzip"], ["", "gzip"]):
        assert is_gzip(taken)
    for plain in ([], [""], ["identity"], ["Identity"]):
        assert not is_gzip(plain)
    for refused in (["br"], ["deflate"], ["zstd"], ["gzip, gzip"], ["gzip", "gzip"], ["gzip;q=1"]):
        with pytest.raises(RequestError, match="send identity or gzip") as error:
            is_gzip(refused)
        assert error.value.status == 415
