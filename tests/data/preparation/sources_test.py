# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data import preparation
from mmv_tf.data.preparation import sources


def test_find_sources(tmp_path):
    with pytest.raises(ValueError, match="no video found"):
        preparation.find_sources(tmp_path)
    (tmp_path / "b.mp4").touch()
    (tmp_path / "a.MKV").touch()
    (tmp_path / "a.srt").touch()
    found = preparation.find_sources(tmp_path)
    assert [(s.media_id, s.captions) for s in found] == [
        ("a", tmp_path / "a.srt"),
        ("b", None),
    ]
    with pytest.raises(ValueError, match="is a folder, so captions"):
        preparation.find_sources(tmp_path, "a.srt")
    (tmp_path / "b.webm").touch()
    with pytest.raises(ValueError, match="2 files have the name 'b'"):
        preparation.find_sources(tmp_path)


def test_sounds_and_images_are_found_when_asked_for(tmp_path):
    for name in ("a.wav", "b.PNG", "c.mp4"):
        (tmp_path / name).touch()
    found = {kind: preparation.find_sources(tmp_path, kind=kind) for kind in sources.SUFFIXES}
    assert {kind: [s.media_id for s in own] for kind, own in found.items()} == {
        "video": ["c"],
        "sound": ["a"],
        "image": ["b"],
    }
