# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.search.chosen import choose
from mmv_tf.search.edit_lists import entries_of
from mmv_tf.search.store import open_index
from tests.search.conftest import EVIL_NAME


def test_entries_of_an_index(library):
    manifest = open_index(library.index).manifest
    texts = ("long.mp4@5-7", f"{EVIL_NAME}@0-1", "long.mp4@1-2")
    chosen = [choose(manifest, text) for text in texts]
    read = []

    def once(path, name):
        read.append(name)
        return {"frame_rate": 24.0}

    entries = entries_of(chosen, manifest.folders, once)
    assert read == ["long.mp4", EVIL_NAME], "each film is read once"
    assert [(entry.film.name, entry.start, entry.end) for entry in entries] == [
        ("long.mp4", 5.0, 7.0), (EVIL_NAME, 0.0, 1.0), ("long.mp4", 1.0, 2.0),
    ]  # fmt: skip
    assert [caption.text for caption in entries[0].captions][1] == "it falls down"
    assert entries[1].captions == []
    assert entries[0].film.address == (library.videos / "long.mp4").as_uri()
    hidden = entries_of(chosen, manifest.folders, once, hidden=True)
    assert hidden[1].film.address.startswith("./%3Cimg%20src")
    assert str(library.root) not in str(hidden)
    assert entries_of(chosen, manifest.folders)[0].film.frame_rate == 24.0


def test_films_that_vanished(library, tmp_path):
    manifest = open_index(library.index).manifest
    chosen = [choose(manifest, "long.mp4@5-7")]
    folders = type(manifest.folders)({"": str(tmp_path)})
    with pytest.raises(OSError, match=r"No such file.*long\.mp4"):
        entries_of(chosen, folders)
