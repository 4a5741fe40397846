# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Optional files are written with a segment and carried over by a merge."""

import dataclasses

import numpy as np

from mmv_tf.search import merging, parts, store
from mmv_tf.search.indexing import update_index
from tests.search.conftest import HERE


class Numbers:
    """A part with one number a window: its row when it was written."""

    FILE = "numbers.npy"

    def write(self, folder, videos):
        assert all(one.video.info.duration > 0 for one in videos)
        np.save(folder / self.FILE, np.arange(sum(one.count for one in videos)))

    def merge(self, folder, moved):
        paths = [(one.segment.file(self.FILE), one) for one in moved]
        rows = [np.load(path)[one.first : one.first + one.count] for path, one in paths if path]
        assert [one.to for one in moved] == sorted(one.to for one in moved)
        np.save(folder / self.FILE, np.concatenate(rows))


def test_a_part_is_written_and_merged(library, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PARTS", (Numbers(),))
    options = dataclasses.replace(HERE, commit_seconds=0.0)
    update_index(library.videos, tmp_path, library.embedder, options=options)
    index = store.open_index(tmp_path)
    assert len(index.segments) == 3
    for files in index.manifest.segments.values():
        assert Numbers.FILE in files, "its checksum is in the manifest"
    monkeypatch.setattr(merging, "_MOST_SEGMENTS", 1)
    update_index(library.videos, tmp_path, library.embedder, options=options)
    ((name, segment),) = store.open_index(tmp_path).segments.items()
    assert name not in index.segments
    numbers = np.load(segment.file(Numbers.FILE))
    counts = [video.count for video in index.manifest.videos]
    assert numbers.tolist() == [row for count in counts for row in range(count)]


def test_a_segment_may_lack_a_part(library):
    (segment,) = store.open_index(library.index).segments.values()
    assert segment.file(Numbers.FILE) is None
