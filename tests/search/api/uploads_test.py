# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.search.api.uploads import Uploads


def test_the_oldest_make_room_for_new_ones():
    uploads = Uploads(most_bytes=100, most=3)
    first, second = (uploads.add("image", name, b"x" * 40) for name in "ab")
    assert uploads.get(first.key) == first  # the newest now
    third = uploads.add("audio", "c", b"x" * 40)
    assert uploads.get(second.key) is None
    assert uploads.get(first.key) == first and uploads.get(third.key) == third
    small = [uploads.add("image", str(n), b"x") for n in range(3)]
    assert uploads.get(first.key) is None is uploads.get(third.key), "three files are kept"
    whole = uploads.add("video", "whole", b"x" * 100)
    assert [uploads.get(one.key) for one in (*small, whole)] == [None, None, None, whole]


def test_what_never_fits():
    uploads = Uploads(most_bytes=10)
    kept = uploads.add("image", "kept", b"x" * 10)
    with pytest.raises(ValueError, match="large has 11 bytes; the limit is 10"):
        uploads.add("image", "large", b"x" * 11)
    assert uploads.get(kept.key) == kept
    assert uploads.get("") is None


def test_ids_can_not_be_guessed():
    uploads = Uploads(most_bytes=1000)
    keys = {uploads.add("image", "a", b"x").key for _ in range(50)}
    assert len(keys) == 50 and min(map(len, keys)) >= 20
