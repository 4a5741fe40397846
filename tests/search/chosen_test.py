# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.search.chosen import choose
from mmv_tf.search.files import video_id
from mmv_tf.search.moment_ids import MomentId
from mmv_tf.search.store import open_index
from tests.search.conftest import EVIL_NAME


@pytest.fixture(scope="module")
def manifest(library):
    return open_index(library.index).manifest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{video_id('long.mp4')}-1500-2750", ("long.mp4", 1.5, 2.75)),
        (str(MomentId.of("sub/silent.mkv", 0.1, 1.2)), ("sub/silent.mkv", 0.1, 1.2)),
        ("long.mp4@1.5-2.75", ("long.mp4", 1.5, 2.75)),
        ("sub/silent.mkv@0:01-", ("sub/silent.mkv", 1.0, None)),
        (f"{EVIL_NAME}@-1", (EVIL_NAME, 0.0, 1.0)),
        ("long.mp4@1-999", ("long.mp4", 1.0, None)),
    ],
)
def test_moments_are_named(manifest, text, expected):
    chosen = choose(manifest, text)
    name, start, end = expected
    assert (chosen.video.name, chosen.start) == (name, start)
    assert chosen.end == (chosen.video.duration if end is None else end)


def test_by_path(library, manifest):
    path = manifest.folders.path("long.mp4")
    assert choose(manifest, f"{path}@1-2").video.name == "long.mp4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("long.mp4", "expected the id of a moment, or FILE@start-end"),
        ("long.mp4@2-1", "with the end after the start"),
        ("long.mp4@99-100", r"the video ends at 12\.\d\d s"),
        ("lnog.mp4@1-2", "no such video; nearest: long.mp4"),
        ("damaged.mp4@1-2", "no such video"),
        (f"{video_id('gone')}-0-10", "no video with this id"),
        (f"{video_id('long.mp4')}-99000-99010", "the video ends at"),
    ],
)
def test_what_names_no_moment(manifest, text, message):
    with pytest.raises(ValueError, match=message):
        choose(manifest, text)


def test_ids_are_read_as_they_are_written():
    moment = MomentId("0123456789abcdef0123", 1.234, 5.0)
    assert MomentId.parse(str(moment)) == moment
    assert str(MomentId("0123456789abcdef0123", 1.0, 1.0)) == "0123456789abcdef0123-1000-1001"
    assert str(MomentId("0123456789abcdef0123", -1e-9, 1.0)) == "0123456789abcdef0123-0-1000"
    for text in ("", "0123456789abcdef0123", "0123456789abcdef0123-5-5", "0123456789ABCDEF0123-0-5",
                 "0123456789abcdef0123-0-5 ", "0123456789abcdef0123--5-5"):  # fmt: skip
        with pytest.raises(ValueError, match="not the id of a moment"):
            MomentId.parse(text)
