# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import pathlib
import shutil

import google_crc32c
import numpy as np
import pytest

from mmv_tf.inference.windows import Windows
from mmv_tf.search import manifest, merging, store
from mmv_tf.search.manifest import Manifest, Skipped, Video
from mmv_tf.search.store import (
    HEARD,
    SPANS,
    MissingIndex,
    Writer,
    open_index,
)

WINDOWS = Windows(4, 2.0, 32, True, 2, 16_000)
EMPTY = Manifest(0, {"": "/videos"}, "/model", "f" * 64, WINDOWS, {"video.va": 3})


def add(writer, name, count, seed=0):
    generator = np.random.default_rng(seed)
    arrays = {
        "video.va": generator.standard_normal((count, 3), np.float32),
        SPANS: np.arange(2 * count, dtype=np.float32).reshape(count, 2),
        HEARD: np.ones(count, bool),
    }
    segment, files = writer.add_segment(arrays)
    video = Video(name, 10, 20, float(count), True, segment, 0, count)
    writer.commit(
        videos=(*writer.manifest.videos, video),
        segments={**writer.manifest.segments, segment: files},
    )
    return arrays


@pytest.fixture
def twice(tmp_path):
    """An index that was written twice: one video, then two."""
    writer = Writer(tmp_path / "index", EMPTY)
    add(writer, "a.mp4", 4)
    add(writer, "b.mp4", 3, seed=1)
    return tmp_path / "index"


def newest(directory):
    return max(directory.glob("manifest-*.json"))


def test_what_was_written_is_read(tmp_path):
    writer = Writer(tmp_path, EMPTY)
    arrays = add(writer, "<ä>\udcff.mp4", 4)
    writer.commit(skipped=(Skipped("c.mp4", 1, 2, "why"),))
    index = open_index(tmp_path)
    assert index.manifest == writer.manifest
    assert index.manifest.rows == 4
    assert index.warnings == ()
    (segment,) = index.segments.values()
    for name, array in arrays.items():
        stored = segment.array(name)
        assert stored.dtype == (np.float16 if name == "video.va" else array.dtype)
        np.testing.assert_array_equal(stored, array.astype(stored.dtype))
        assert isinstance(stored, np.memmap)


def cut_manifest(directory):
    path = newest(directory)
    path.write_bytes(path.read_bytes()[:-40])


def empty_manifest(directory):
    newest(directory).write_bytes(b"")


def change_manifest(directory):
    path = newest(directory)
    path.write_text(path.read_text().replace("b.mp4", "c.mp4"))


def later_format(directory):
    manifest = Manifest.from_json(newest(directory).read_text())
    text = manifest.to_json()
    body = text.split("\n")[1].replace('"format": 2', '"format": 3')
    crc = google_crc32c.value(body.encode())
    newest(directory).write_text(f'{{"crc32c": {crc}, "index":\n{body}\n}}\n')


def newest_matrix(directory) -> pathlib.Path:
    manifest = Manifest.from_json(newest(directory).read_text())
    (name,) = {v.segment for v in manifest.videos if v.name == "b.mp4"}
    return directory / "segments" / name / "video.va.npy"


def cut_matrix(directory):
    path = newest_matrix(directory)
    path.write_bytes(path.read_bytes()[:-4])


def flip_bit(directory):
    path = newest_matrix(directory)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def lose_segment(directory):
    shutil.rmtree(newest_matrix(directory).parent)


@pytest.mark.parametrize(
    "damage",
    [
        cut_manifest,
        empty_manifest,
        change_manifest,
        later_format,
        cut_matrix,
        flip_bit,
        lose_segment,
    ],
)
def test_the_last_whole_state_is_used(twice, damage):
    damage(twice)
    index = open_index(twice)
    assert [video.name for video in index.manifest.videos] == ["a.mp4"]
    assert len(index.warnings) == 1
    assert "manifest-00000002.json can't be used" in index.warnings[0]
    # What is written next stands above the damaged one, and is whole.
    writer = Writer(twice, index.manifest)
    add(writer, "d.mp4", 2)
    index = open_index(twice)
    assert [video.name for video in index.manifest.videos] == ["a.mp4", "d.mp4"]
    assert index.warnings == ()


def test_a_killed_writer_leaves_the_index_as_it_was(twice):
    (twice / "segments" / ".00000003-abc.partial-17").mkdir()
    (twice / ".manifest-00000003.partial-17.json").write_text("{")
    (twice / "segments" / "00000003-0000").mkdir()
    index = open_index(twice)
    assert len(index.manifest.videos) == 2
    assert index.warnings == ()
    Writer(twice, index.manifest).commit()
    assert len(list((twice / "segments").iterdir())) == 2, "leftovers are removed"


def test_all_damaged(twice):
    for path in twice.glob("manifest-*"):
        path.write_text("no json")
    with pytest.raises(ValueError, match="the index is damaged"):
        open_index(twice)


def test_no_index(tmp_path):
    for directory in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(MissingIndex, match=r"mmv search index"):
            open_index(directory)


@pytest.mark.parametrize("name", ["../index/segments/x", "/etc", ".hidden", "a/b", ""])
def test_a_manifest_can_not_name_other_folders(twice, name):
    manifest = Manifest.from_json(newest(twice).read_text())
    video = dataclasses.replace(manifest.videos[0], segment=name)
    files = next(iter(manifest.segments.values()))
    evil = dataclasses.replace(manifest, videos=(video,), segments={name: files})
    for path in twice.glob("manifest-*"):
        path.write_text(evil.to_json())
    with pytest.raises(ValueError, match="damaged"):
        open_index(twice)


def test_rows_that_are_not_there(twice):
    manifest = Manifest.from_json(newest(twice).read_text())
    for changes in ({"first": 2}, {"first": -1}, {"count": 0}, {"duration": float("nan")}):
        video = dataclasses.replace(manifest.videos[0], **changes)
        evil = dataclasses.replace(manifest, videos=(video,))
        newest(twice).write_text(evil.to_json())
        (warning,) = open_index(twice).warnings
        assert "are missing" in warning or "videos[0]" in warning


def test_old_states_are_removed(tmp_path):
    writer = Writer(tmp_path, EMPTY)
    for number in range(4):
        add(writer, f"{number}.mp4", 2)
    writer.commit(videos=writer.manifest.videos[3:])
    assert len(list((tmp_path / "segments").iterdir())) == 4, "the state before is kept"
    writer.commit()
    assert len(list((tmp_path / "segments").iterdir())) == 1
    assert len(list(tmp_path.glob("manifest-*"))) == 2


def test_merging_keeps_every_row(twice, tmp_path):
    index = open_index(twice)
    backwards = index.manifest.videos[::-1]
    moved = merging.merged(index.segments, backwards, {"video.va": 3}, tmp_path / "merged")
    segment = store.Segment(tmp_path / "merged", {"video.va": 3})
    for video, after in zip(index.manifest.videos[::-1], moved, strict=True):
        before = index.segments[video.segment].array("video.va")[: video.count]
        rows = slice(after.first, after.first + after.count)
        np.testing.assert_array_equal(segment.array("video.va")[rows], before)
    assert segment.rows == 7


def as_format_1(directory):
    """Rewrite an index as the version before float16 wrote it."""
    manifest = Manifest.from_json(newest(directory).read_text())
    values = json.loads(manifest.to_json())["index"]
    segments = {}
    for name in manifest.segments:
        folder = directory / "segments" / name
        for path in folder.glob("*.va.npy"):
            np.save(path, np.load(path).astype(np.float32))
        segments[name] = store.sums(folder)
    del values["roots"], values["shard"], values["labels"]
    for video in values["videos"]:
        del video["sha256"]
    body = json.dumps({**values, "format": 1, "root": "/videos", "segments": segments})
    crc = google_crc32c.value(body.encode())
    newest(directory).write_text(f'{{"crc32c": {crc}, "index":\n{body}\n}}\n')


def test_an_index_of_the_first_format_is_read_and_merged_into_float16(twice, monkeypatch):
    new = open_index(twice)
    stored = {name: np.array(one.array("video.va")) for name, one in new.segments.items()}
    as_format_1(twice)
    old = open_index(twice)
    assert old.warnings == ()
    assert old.manifest == dataclasses.replace(new.manifest, segments=old.manifest.segments)
    for name, segment in old.segments.items():
        assert segment.array("video.va").dtype == np.float32
        np.testing.assert_array_equal(segment.array("video.va"), stored[name])
    monkeypatch.setattr(merging, "_MOST_SEGMENTS", 1)
    merging.merge_where_needed(Writer(twice, old.manifest), None)
    (segment,) = open_index(twice).segments.values()
    assert segment.array("video.va").dtype == np.float16
    np.testing.assert_array_equal(segment.array("video.va"), np.concatenate([*stored.values()]))
    assert open_index(twice).manifest.roots == {"": "/videos"}


def test_the_manifest_is_json(twice):
    assert json.loads(newest(twice).read_text())["index"]["format"] == manifest.FORMAT
