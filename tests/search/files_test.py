# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from mmv_tf.search.files import find_videos, inside, video_id


def names(folder):
    _, files, refused = find_videos(folder)
    return [file.name for file in files], refused


def test_finds_videos_below_a_folder(tmp_path):
    videos = ("b.mp4", "a/c.MKV", "a/c.webm", "a/d.mts")
    for name in (*videos, "a/notes.txt", ".hidden/d.mp4", ".e.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert names(tmp_path) == (["b.mp4", "a/c.MKV", "a/c.webm", "a/d.mts"], {})


def test_links_count_inside_the_folder_only(tmp_path):
    outside, videos = tmp_path / "outside", tmp_path / "videos"
    outside.mkdir()
    videos.mkdir()
    (outside / "secret.mp4").touch()
    (videos / "real.mp4").touch()
    (videos / "inner.mp4").symlink_to("real.mp4")
    (videos / "outer.mp4").symlink_to(outside / "secret.mp4")
    (videos / "folder").symlink_to(outside)
    (videos / "gone.mp4").symlink_to("nothing")
    found, refused = names(videos)
    assert found == ["inner.mp4", "real.mp4"]
    assert refused.keys() == {"outer.mp4", "gone.mp4"}
    assert refused["outer.mp4"] == "points outside the folder"


def test_no_other_files_than_regular_ones(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    found, refused = names(tmp_path)
    assert (found, refused) == ([], {"pipe.mp4": "is not a regular file"})


def test_links_in_a_circle(tmp_path):
    (tmp_path / "a.mp4").symlink_to("b.mp4")
    (tmp_path / "b.mp4").symlink_to("a.mp4")
    found, refused = names(tmp_path)
    assert found == [] and set(refused) == {"a.mp4", "b.mp4"}
    assert "symbolic links" in refused["a.mp4"]


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "..", "."])
def test_nothing_outside_is_inside(tmp_path, name):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "secret").touch()
    with pytest.raises(ValueError, match=r"points outside|not a regular"):
        inside(root, name)


def test_one_file_and_its_captions(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.mp4").touch()
    (tmp_path / "other.vtt").touch()
    root, files, _ = find_videos(tmp_path / "a.mp4", tmp_path / "other.vtt")
    assert (root, files[0].name) == (tmp_path, "a.mp4")
    assert len(files) == 1
    assert files[0].captions == str(tmp_path / "other.vtt")
    (tmp_path / "b.en.SRT").touch()
    assert {file.name: file.captions for file in find_videos(tmp_path)[1]}["b.mp4"] == "b.en.SRT"


def test_messages(tmp_path):
    with pytest.raises(ValueError, match="no such file or folder"):
        find_videos(tmp_path / "nothing")
    with pytest.raises(ValueError, match="no video found"):
        find_videos(tmp_path)
    with pytest.raises(ValueError, match="a single video only"):
        find_videos(tmp_path, tmp_path / "x.vtt")


def test_ids_hold_no_special_character():
    assert video_id("../<a>.mp4").isalnum()
    assert video_id("a") != video_id("b")
    assert video_id("\udcff.mp4").isalnum(), "names need not be UTF-8"
