# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import hashlib
import os
import shutil

import numpy as np
import pytest

from mmv_tf.search import export
from mmv_tf.search.export import batches, export_parquet, file_names
from mmv_tf.search.manifest import Video
from mmv_tf.search.store import HEARD, SPANS, Writer, open_index
from tests.killing import killed_at_each_step
from tests.search.store_test import EMPTY

pq = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet' is not installed")

# Names that are formulas, markup, quotes, SQL, line breaks, or no UTF-8.
HOSTILE = [
    "=cmd|' /C calc'!A0.mp4",
    "<script>alert(1)</script>/a.mp4",
    "'); DROP TABLE mmv_windows; --.mp4",
    '"a", \\N\t\nb.mp4',
    "{1,2}\\.mp4",
    "ä\u202e4pm.mp4",
    os.fsdecode(b"caf\xe9.mp4"),
    "plain.mp4",
]


def make(directory, names=HOSTILE):
    """An index of two matrices, in which every third window is silent."""
    generator = np.random.default_rng(0)
    matrices = {"video.va": 3, "audio.va": 5}
    writer = Writer(directory, dataclasses.replace(EMPTY, matrices=matrices))
    writer.commit()
    for name in names:
        count = 3 + len(name) % 4
        arrays = {
            matrix: generator.standard_normal((count, dim), np.float32)
            for matrix, dim in writer.manifest.matrices.items()
        }
        arrays = {key: rows / np.linalg.norm(rows, axis=1)[:, None] for key, rows in arrays.items()}
        heard = np.arange(count) % 3 != 0
        arrays["audio.va"][~heard] = 0
        starts = np.arange(count, dtype=np.float32) / np.float32(3)
        arrays |= {SPANS: np.stack([starts, starts + 1], axis=1), HEARD: heard}
        segment, files = writer.add_segment(arrays)
        sha256 = hashlib.sha256(os.fsencode(name)).hexdigest()
        video = Video(name, 1, 2, float(count), True, segment, 0, count, None, sha256)
        writer.commit(
            videos=(*writer.manifest.videos, video),
            segments={**writer.manifest.segments, segment: files},
        )
    return open_index(directory)


def expected(index):
    """(file, start, space) -> hash, end and vector, read window by window."""
    found = {}
    for video in index.manifest.videos:
        segment = index.segments[video.segment]
        for row in range(video.first, video.first + video.count):
            start, end = segment.array(SPANS)[row].tolist()
            for space in index.manifest.matrices:
                if space == "audio.va" and not segment.array(HEARD)[row]:
                    continue
                vector = segment.array(space)[row].astype(np.float32).tolist()
                found[video.name, start, space] = (video.sha256, end, vector)
    return found


def read(path):
    found = {}
    for row in pq.read_table(path).to_pylist():
        name = row["file"] if row["file_bytes"] is None else os.fsdecode(row["file_bytes"])
        key = name, row["start"], row["space"]
        assert key not in found
        found[key] = (row["hash"], row["end"], row["vector"])
    return found


@pytest.mark.parametrize("size", [1, 4, 10_000])
def test_every_vector_is_in_the_file(tmp_path, monkeypatch, size):
    index = make(tmp_path / "index")
    monkeypatch.setattr(export.batches, "__defaults__", (size,))
    rows = export_parquet(index, tmp_path / "out.parquet")
    assert read(tmp_path / "out.parquet") == expected(index)
    assert rows == len(expected(index))
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) <= size
    assert b"fffff" in file.schema_arrow.metadata[b"mmv_tf"]


def test_an_empty_index(tmp_path):
    index = make(tmp_path / "index", [])
    assert list(batches(index)) == []
    assert export_parquet(index, tmp_path / "out.parquet") == 0
    assert read(tmp_path / "out.parquet") == {}


def test_names_that_are_no_utf8_keep_their_bytes():
    assert file_names("a/\u202eb.mp4") == ("a/\u202eb.mp4", None)
    assert file_names(os.fsdecode(b"caf\xe9.mp4")) == ("caf\ufffd.mp4", b"caf\xe9.mp4")
    assert file_names("\ufffd.mp4") == ("\ufffd.mp4", None)


@pytest.mark.slow
def test_killed_at_any_step_the_file_is_the_former_or_the_new_one(tmp_path, monkeypatch):
    index = make(tmp_path / "index")
    monkeypatch.setattr(export.batches, "__defaults__", (4,))
    output = tmp_path / "out" / "vectors.parquet"
    export_parquet(make(tmp_path / "other", ["x.mp4"]), tmp_path / "before.parquet")
    before, after = read(tmp_path / "before.parquet"), expected(index)
    whole = export.batches

    def batch_by_batch(*arguments):
        for batch in whole(*arguments):
            open(output.parent / "step", "wb").close()  # a step at which it may be killed
            yield batch

    monkeypatch.setattr(export, "batches", batch_by_batch)

    def prepare():
        shutil.rmtree(output.parent, ignore_errors=True)
        output.parent.mkdir()
        shutil.copy(tmp_path / "before.parquet", output)
        return output.parent

    seen = []
    for _ in killed_at_each_step(lambda: export_parquet(index, output), prepare):
        found = read(output)
        assert found in (before, after)
        seen.append(found == after)
    assert seen == sorted(seen) and len(set(seen)) == 2
    assert len(seen) > 5


def test_a_failure_leaves_the_former_file(tmp_path, monkeypatch):
    index = make(tmp_path / "index")
    (tmp_path / "out.parquet").write_bytes(b"former")

    def fails(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "_columns", fails)
    with pytest.raises(OSError, match="No space left"):
        export_parquet(index, tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == b"former"
    assert {path.name for path in tmp_path.iterdir()} == {"index", "out.parquet"}
