# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from mmv_tf.search.files import Shard
from mmv_tf.search.folders import Folders, find_all


@pytest.fixture
def tree(tmp_path):
    """Two folders of the same name, each with a file of the same name and its captions."""
    for parent in ("one", "two"):
        folder = tmp_path / parent / "films"
        (folder / "sub").mkdir(parents=True)
        (folder / "a.mp4").write_bytes(parent.encode())
        (folder / "sub" / "b.mp4").write_bytes(b"b")
        (folder / "a.srt").touch()
    return tmp_path


def names(found):
    return [file.name for file in found.files]


def test_one_folder_needs_no_label(tree):
    found = find_all(tree / "one" / "films")
    assert names(found) == ["a.mp4", "sub/b.mp4"]
    assert found.files[0].captions == "a.srt"
    assert found.folders.inside("sub/b.mp4") == tree / "one" / "films" / "sub" / "b.mp4"


def test_names_are_unique_in_several_folders(tree):
    found = find_all([tree / "one" / "films", tree / "two" / "films"])
    assert names(found) == ["films/a.mp4", "films/sub/b.mp4", "films-2/a.mp4", "films-2/sub/b.mp4"]
    assert found.files[2].captions == "films-2/a.srt"
    assert found.folders.inside("films-2/a.mp4").read_bytes() == b"two"
    assert found.folders.inside("films-2/a.srt") == tree / "two" / "films" / "a.srt"


def test_a_folder_given_twice_counts_once(tree):
    first = tree / "one" / "films"
    found = find_all([first, first / ".." / "films", first / "a.mp4"])
    assert names(found) == ["a.mp4", "sub/b.mp4"]


def test_folders_added_later_keep_their_labels(tree):
    first = find_all(tree / "one" / "films").folders
    second = find_all([tree / "one" / "films", tree / "two"], known=first)
    assert dict(second.folders.roots) == {
        "films": str(tree / "one" / "films"),
        "two": str(tree / "two"),
    }
    assert first.relabeled("sub/b.mp4", second.folders) == "films/sub/b.mp4"
    assert first.relabeled("/elsewhere/a.srt", second.folders) == "/elsewhere/a.srt"
    (tree / "two" / "films" / "films").mkdir()
    later = find_all(tree / "two", known=second.folders)
    assert later.folders == second.folders, "a folder that is not given stays"
    assert later.searched == {"two"}
    assert names(later) == ["two/films/a.mp4", "two/films/sub/b.mp4"]


def test_a_folder_inside_another_is_refused(tree):
    for given in (["one", "one/films"], ["one/films", "one"], ["one/films/a.mp4", "one"]):
        with pytest.raises(ValueError, match="inside the other"):
            find_all([tree / name for name in given])
    with pytest.raises(ValueError, match="a single video only"):
        find_all([tree / "one", tree / "two"], captions="x.srt")


@pytest.mark.parametrize(
    "name",
    ["../one/secret", "films/../../secret", "films", "films/", "films-2/a.mp4", "", "/etc/passwd"],
)
def test_nothing_else_can_be_reached(tree, name):
    (tree / "one" / "secret").touch()
    folders = Folders({"films": str(tree / "one" / "films"), "two": str(tree / "two")})
    with pytest.raises((ValueError, FileNotFoundError)):
        folders.inside(name)


def test_links_between_folders_lead_out(tree):
    link = tree / "one" / "films" / "link.mp4"
    link.symlink_to(tree / "two" / "films" / "a.mp4")
    found = find_all([tree / "one", tree / "two"])
    assert found.refused == {"one/films/link.mp4": "points outside the folder"}


def test_the_root_of_the_disk_has_a_label():
    folders = Folders({"": "/"}).with_roots([])
    assert folders.path("a/b.mp4") == pathlib.Path("/a/b.mp4")
    with pytest.raises(ValueError, match="inside the other"):
        folders.with_roots([pathlib.Path("/films")])


def test_every_file_is_in_one_shard():
    files = [f"{number}/\udcff.mp4" for number in range(400)]
    shares = [Shard.parse(f"{number}/3") for number in (1, 2, 3)]
    held = [[name for name in files if shard.holds(name)] for shard in shares]
    assert sorted(name for share in held for name in share) == sorted(files)
    assert all(90 < len(share) < 180 for share in held)
    # Another version must not split otherwise.
    assert [name for name in ("a.mp4", "b.mp4", "c.mp4") if shares[0].holds(name)] == [
        "b.mp4",
        "c.mp4",
    ]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "1/3/5", "-1/3", "", "1/٣"])
def test_wrong_shards(text):
    with pytest.raises(ValueError, match="expected i/n"):
        Shard.parse(text)
