# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import errno
import os
import shutil

import numpy as np
import pytest

from mmv_tf.search import store
from mmv_tf.search.exact import Term, best
from mmv_tf.search.files import Shard
from mmv_tf.search.joining import join_indexes
from mmv_tf.search.manifest import IndexedLabels, Skipped, Video
from mmv_tf.search.store import HEARD, SPANS, MissingIndex, Writer, open_index
from tests.killing import killed_at_each_step
from tests.search.store_test import EMPTY

FILES = [f"{number}.mp4" for number in range(12)]


def vectors_of(name):
    generator = np.random.default_rng(sum(name.encode()))
    return generator.standard_normal((2 + len(name) % 3, 3), np.float32)


def make(directory, names, mtime=20, sha256="{}", skipped=(), **changes):
    """An index with two segments."""
    writer = Writer(directory, dataclasses.replace(EMPTY, **changes))
    writer.commit(skipped=tuple(Skipped(name, 1, 2, "why") for name in skipped))
    for part in (names[::2], names[1::2]):
        if not part:
            continue
        pieces = [vectors_of(name) for name in part]
        rows = np.concatenate(pieces)
        first = np.cumsum([0, *map(len, pieces)]).tolist()
        segment, files = writer.add_segment(
            {
                "video.va": rows,
                SPANS: np.arange(2 * len(rows), dtype=np.float32).reshape(-1, 2),
                HEARD: np.ones(len(rows), bool),
            }
        )
        videos = tuple(
            Video(name, 10, mtime, 9.0, True, segment, at, len(piece), None, sha256.format(name))
            for name, at, piece in zip(part, first, pieces, strict=False)
        )
        writer.commit(
            videos=(*writer.manifest.videos, *videos),
            segments={**writer.manifest.segments, segment: files},
        )
    return directory


def contents(directory):
    """Each video's vectors and spans, as in the files."""
    index = open_index(directory)
    assert index.warnings == ()
    found = {}
    for video in index.manifest.videos:
        segment = index.segments[video.segment]
        rows = slice(video.first, video.first + video.count)
        found[video.name] = np.array(segment.array("video.va")[rows]).tolist()
    return found


@pytest.fixture
def shards(tmp_path):
    """The shares of three machines, and the index of one machine that did it all."""
    shares = [Shard(number, 3) for number in (1, 2, 3)]
    paths = [
        make(
            tmp_path / f"shard{shard.number}",
            [name for name in FILES if shard.holds(name)],
            shard=str(shard),
            roots={"": f"/mount{shard.number}"},
        )
        for shard in shares
    ]
    return paths, make(tmp_path / "all", FILES)


def test_shards_make_the_index_of_one_machine(shards, tmp_path):
    paths, whole = shards
    report = join_indexes(paths, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(whole)
    joined = open_index(tmp_path / "out")
    assert len(joined.segments) == 1
    assert joined.manifest.roots == {"": "/mount1"} and joined.manifest.shard is None
    assert report.notes == ["/mount2 is treated as /mount1", "/mount3 is treated as /mount1"]
    assert report.windows == joined.manifest.rows and report.videos == len(FILES)
    # The same answers: rows by score, as places in videos.
    query = np.array([0.6, 0.0, 0.8], np.float32)
    answers = []
    for index in (joined, open_index(whole)):
        found = []
        for name, segment in index.segments.items():
            rows, scores = best([Term(segment.array("video.va"), query, 1.0)], 50)
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
                (video,) = (
                    video
                    for video in index.manifest.videos
                    if video.segment == name and 0 <= row - video.first < video.count
                )
                found.append((score, video.name, row - video.first))
        answers.append(sorted(found))
    assert [place for _, *place in answers[0]] == [place for _, *place in answers[1]]
    # The BLAS sums a row in another order at another place in a block.
    np.testing.assert_allclose(*([score for score, *_ in found] for found in answers), atol=1e-6)


def test_what_is_missing_is_told(shards, tmp_path):
    paths, _ = shards
    report = join_indexes(paths[:1], tmp_path / "out")
    assert report.notes == ["2 of 3 shares are missing: 2/3, 3/3"]


def test_indexes_of_other_folders_keep_all_names(tmp_path):
    one = make(tmp_path / "one", ["a.mp4"], roots={"": "/x/films"}, skipped=["d.mp4"])
    two = make(tmp_path / "two", ["a.mp4", "b.mp4"], roots={"": "/y/films"})
    report = join_indexes([one, two], tmp_path / "out")
    manifest = open_index(tmp_path / "out").manifest
    assert manifest.roots == {"films": "/x/films", "films-2": "/y/films"}
    names = ["films-2/a.mp4", "films-2/b.mp4", "films/a.mp4"]
    assert [video.name for video in manifest.videos] == names
    assert [entry.name for entry in manifest.skipped] == ["films/d.mp4"]
    assert report.duplicates == (("films-2/a.mp4", "films/a.mp4"),)
    assert report.notes == ["the same content: films-2/a.mp4, films/a.mp4"]


def test_a_video_in_two_indexes_is_taken_from_the_newer(tmp_path):
    old = make(tmp_path / "old", ["a.mp4", "b.mp4"], sha256="old {}")
    new = make(tmp_path / "new", ["a.mp4"], mtime=30, sha256="new {}", skipped=["b.mp4"])
    for inputs in ([old, new], [new, old]):
        report = join_indexes(inputs, tmp_path / "out", overwrite=True)
        assert report.notes == [
            "different files with the same name (1), of which the newer is taken: a.mp4"
        ]
        videos = open_index(tmp_path / "out").manifest.videos
        assert [video.sha256 for video in videos] == ["new a.mp4", "old b.mp4"]
        assert not open_index(tmp_path / "out").manifest.skipped


def test_an_index_can_be_merged_into_itself(tmp_path):
    out = make(tmp_path / "out", ["a.mp4"])
    more = make(tmp_path / "more", ["b.mp4"])
    with pytest.raises(ValueError, match="there is an index already; give --overwrite"):
        join_indexes([out, more], out)
    report = join_indexes([out, more, out], out, overwrite=True)
    assert report.notes == ["videos in several indexes, each taken once: 1"]
    assert contents(out).keys() == {"a.mp4", "b.mp4"}


def test_empty_indexes(tmp_path):
    empty = make(tmp_path / "empty", [], skipped=["a.mp4"])
    join_indexes([empty, empty], tmp_path / "out")
    manifest = open_index(tmp_path / "out").manifest
    assert not manifest.videos and len(manifest.skipped) == 1


LABELS = IndexedLabels("/c.keras", "1" * 64, "video", ("barking",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fingerprint": "0" * 64}, "different models"),
        ({"windows": dataclasses.replace(EMPTY.windows, step_frames=1)}, "every 2 and 1 frames"),
        ({"roots": {"": "/videos/inner"}}, "inside the other"),
    ],
)
def test_indexes_that_do_not_fit(tmp_path, changes, message):
    one = make(tmp_path / "one", ["a.mp4"])
    two = make(tmp_path / "two", ["b.mp4"], **changes)
    with pytest.raises(ValueError, match=message):
        join_indexes([one, two], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_of_another_classifier(tmp_path):
    one = make(tmp_path / "one", ["a.mp4"])
    two = make(tmp_path / "two", [], labels=LABELS)
    with pytest.raises(ValueError, match=r"no classifier and from /c\.keras"):
        join_indexes([one, two], tmp_path / "out")


def test_inputs_that_are_none(tmp_path):
    with pytest.raises(MissingIndex):
        join_indexes([tmp_path / "nothing"], tmp_path / "out")
    with pytest.raises(ValueError, match="name at least one"):
        join_indexes([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_killed_at_any_step_the_output_is_the_former_or_the_new_index(shards, tmp_path):
    paths, whole = shards
    before, after = contents(make(tmp_path / "before", ["x.mp4"])), contents(whole)
    out, seen = tmp_path / "out", []

    def prepare():
        shutil.rmtree(out, ignore_errors=True)
        return shutil.copytree(tmp_path / "before", out)

    for folder in killed_at_each_step(lambda: join_indexes(paths, out, True), prepare):
        found = contents(folder)
        assert found in (before, after)
        seen.append(found == after)
        join_indexes(paths, folder, True)
        assert contents(folder) == after
        assert len(list((folder / "segments").iterdir())) <= 2, "leftovers are removed"
    assert seen == sorted(seen) and len(set(seen)) == 2


def test_a_full_disk_leaves_the_output_as_it_was(shards, tmp_path, monkeypatch):
    paths, _ = shards
    out = make(tmp_path / "out", ["x.mp4"])
    before = contents(out)

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "f")

    monkeypatch.setattr(store.files_lib, "flush", full)
    with pytest.raises(OSError, match="No space left"):
        join_indexes(paths, out, overwrite=True)
    monkeypatch.undo()
    assert contents(out) == before
    assert len(list((out / "segments").iterdir())) == 1
