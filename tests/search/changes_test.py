# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import hashlib
import os

import pytest

from mmv_tf.search import changes
from mmv_tf.search.changes import compare
from mmv_tf.search.folders import find_all
from mmv_tf.search.manifest import Skipped, Video


class World:
    """A folder of files and what an index knows of it."""

    def __init__(self, root):
        self.root = root
        self.videos = {}
        self.skipped = {}

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def index(self, **without):
        """Remember all files as indexed."""
        for number, file in enumerate(self.find().files):
            sha256 = hashlib.sha256((self.root / file.name).read_bytes()).hexdigest()
            sha256 = without.get("sha256", sha256)
            self.videos[file.name] = Video(
                file.name, *file.version, 1.0, True, "s", 10 * number, 10, None, sha256
            )

    def find(self):
        return find_all(self.root)

    def compare(self, **options):
        found = self.find()
        return compare(
            self.videos, self.skipped, found.files, found.folders, found.searched, **options
        )

    def rows(self, result):
        """The first row of each video that is kept; each row belongs to one video only."""
        firsts = {name: video.first for name, video in result.kept.items()}
        assert len(set(firsts.values())) == len(firsts)
        assert all(video.name == name for name, video in result.kept.items())
        return firsts


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path / "films")
    found.root.mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        found.write(name, f"content of {name}".encode())
    found.index()
    return found


def test_nothing_is_read_if_nothing_changed(world, monkeypatch):
    monkeypatch.setattr(changes.files_lib, "file_sha256", None)
    world.write("new.mp4", b"of another size")
    os.remove(world.root / "c.mp4")
    result = world.compare()
    assert result.unchanged == ["a.mp4", "b.mp4"]
    assert [file.name for file in result.todo] == ["new.mp4"]
    assert result.gone == result.removed == ["c.mp4"]
    assert world.rows(result) == {"a.mp4": 0, "b.mp4": 10}


def test_renamed_and_moved_files_keep_their_rows(world):
    (world.root / "sub").mkdir()
    (world.root / "a.mp4").rename(world.root / "sub" / "a.mp4")
    (world.root / "b.mp4").rename(world.root / "z.mp4")
    result = world.compare()
    assert result.renamed == {"sub/a.mp4": "a.mp4", "z.mp4": "b.mp4"}
    assert not result.todo and not result.removed
    assert result.gone == ["a.mp4", "b.mp4"]
    assert world.rows(result) == {"sub/a.mp4": 0, "z.mp4": 10, "c.mp4": 20}


def test_another_file_of_the_same_size_is_not_taken_for_it(world):
    os.remove(world.root / "a.mp4")
    world.write("x.mp4", b"content of x.mp4")
    result = world.compare()
    assert [file.name for file in result.todo] == ["x.mp4"]
    assert result.removed == ["a.mp4"] and not result.renamed


def test_a_copy_is_another_video(world):
    world.write("copy.mp4", b"content of a.mp4")
    result = world.compare()
    assert [file.name for file in result.todo] == ["copy.mp4"]
    assert not result.renamed


def test_two_copies_of_a_lost_one(world):
    os.remove(world.root / "a.mp4")
    world.write("x.mp4", b"content of a.mp4")
    world.write("y.mp4", b"content of a.mp4")
    result = world.compare()
    assert result.renamed == {"x.mp4": "a.mp4"}
    assert [file.name for file in result.todo] == ["y.mp4"]


def test_names_that_go_round(world):
    for old, new in (("c.mp4", "t"), ("b.mp4", "c.mp4"), ("a.mp4", "b.mp4"), ("t", "a.mp4")):
        (world.root / old).rename(world.root / new)
        os.utime(world.root / new)
    result = world.compare()
    assert world.rows(result) == {"b.mp4": 0, "c.mp4": 10, "a.mp4": 20}
    assert not result.todo and not result.removed


def test_a_rotated_file(world):
    (world.root / "a.mp4").rename(world.root / "old.mp4")
    world.write("a.mp4", b"a new film under the name")
    result = world.compare()
    assert world.rows(result) == {"old.mp4": 0, "b.mp4": 10, "c.mp4": 20}
    assert [file.name for file in result.todo] == ["a.mp4"]
    assert result.renamed == {"old.mp4": "a.mp4"} and not result.removed


def test_a_touched_file_is_the_same(world):
    os.utime(world.root / "a.mp4", ns=(1, 1))
    result = world.compare()
    assert sorted(result.unchanged) == ["a.mp4", "b.mp4", "c.mp4"]
    assert not result.todo and not result.renamed
    assert result.kept["a.mp4"].mtime_ns == 1


def test_a_changed_file_keeps_its_rows_until_it_is_embedded(world):
    world.write("a.mp4", b"Content of a.mp4")
    result = world.compare()
    assert [file.name for file in result.todo] == ["a.mp4"]
    assert world.rows(result)["a.mp4"] == 0


def test_an_index_without_hashes_embeds_again(world):
    world.index(sha256=None)
    (world.root / "a.mp4").rename(world.root / "z.mp4")
    result = world.compare()
    assert [file.name for file in result.todo] == ["z.mp4"]
    assert result.removed == ["a.mp4"]


def test_files_that_were_skipped(world):
    status = (world.root / "a.mp4").stat()
    del world.videos["a.mp4"]
    world.skipped["a.mp4"] = Skipped("a.mp4", status.st_size, status.st_mtime_ns, "why")
    assert not world.compare().todo
    assert [file.name for file in world.compare(retry=True).todo] == ["a.mp4"]
    (world.root / "a.mp4").rename(world.root / "z.mp4")
    assert world.compare().gone == ["a.mp4"]
    assert [file.name for file in world.compare().todo] == ["z.mp4"]
