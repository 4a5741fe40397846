# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os

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
    message = r"2 files are named 'b' apart from the suffix \(b.mp4, b.webm\).* rename all but one"
    with pytest.raises(ValueError, match=message):
        preparation.find_sources(tmp_path)


def test_captions_by_language(tmp_path):
    for name in ("soup.mp4", "soup.de.vtt", "soup.EN-us.SRT", "soup.live_chat.json"):
        (tmp_path / name).touch()
    for videos in (tmp_path, tmp_path / "soup.mp4"):
        (source,) = preparation.find_sources(videos)
        assert source.captions == tmp_path / "soup.EN-us.SRT"
        assert source.left_out.counts == {"caption_files_passed_over": 1}
        (message,) = source.left_out.first.values()
        assert message == "soup.EN-us.SRT is used, not soup.de.vtt"


def test_files_passed_over_are_counted(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a.mp4", "a.vtt", "a.en.vtt", "a/b.WMV", "a/cam.MTS", "a/gone.vtt", "a.jpg"):
        (tmp_path / name).touch()
    for name in ("a.info.json", "b.info.JSON", "README", ".hidden", "a/x.exe", "list.csv"):
        (tmp_path / name).touch()
    found = preparation.find(tmp_path)
    assert [source.media_id for source in found.sources] == ["a", "a/b", "a/cam"]
    assert found.passed_over == {
        ".csv": 1,
        ".exe": 1,
        ".jpg": 1,
        ".json": 2,
        "caption files of no source": 1,
        "no suffix": 2,
    }
    assert preparation.find(tmp_path / "a.mp4").passed_over == {}


def test_names_that_are_no_utf8(tmp_path):
    for name in (b"caf\xe9.mp4", b"caf\xe9.vtt", b"caf\xe9.\xe9", "é.mp4".encode()):
        (tmp_path / os.fsdecode(name)).touch()
    found = preparation.find(tmp_path)
    assert [source.media_id for source in found.sources] == [r"caf\xe9", "é"]
    assert os.fsencode(found.sources[0].captions.name) == b"caf\xe9.vtt"
    assert found.passed_over == {r".\xe9": 1}


def test_sounds_and_images_are_found_when_asked_for(tmp_path):
    for name in ("a.wav", "b.PNG", "c.mp4"):
        (tmp_path / name).touch()
    found = {kind: preparation.find_sources(tmp_path, kind=kind) for kind in sources.SUFFIXES}
    assert {kind: [s.media_id for s in own] for kind, own in found.items()} == {
        "video": ["c"],
        "sound": ["a"],
        "image": ["b"],
    }
