# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""An indexer that is killed at any step on the disk leaves a whole index, and goes on with it."""

from __future__ import annotations

import copy
import dataclasses
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mmv_tf.search import merging, store, update_index
from mmv_tf.search.store import MissingIndex, open_index
from tests import media_samples, running
from tests.killing import killed_at_each_step
from tests.search.conftest import HERE

# Each video is committed alone, and several segments are merged.
OPTIONS = dataclasses.replace(HERE, commit_seconds=0.0, frames_per_second=0)


class Averages:
    """An embedder without TensorFlow, whose threads a forked child does not have."""

    def __init__(self, embedder):
        self.__dict__.update(copy.copy(embedder).__dict__)
        self.matrices = {"video.va": 3, "audio.va": 2}
        self.made = lambda fingerprint: fingerprint == self.fingerprint

    def windows_of(self, block):
        clips = block.clips(self.windows)
        return {"va": clips.mean(axis=(1, 2, 3)).astype(np.float32) / 256}

    def sounds(self, sounds):
        return {"va": np.stack([sounds.mean(axis=1), sounds.std(axis=1)], axis=1)}


def contents(directory):
    """Name -> bytes of the rows of each video; None without an index."""
    try:
        index = open_index(directory)
    except MissingIndex:
        return None
    assert index.warnings == (), "never between"
    found = {}
    for video in index.manifest.videos:
        segment = index.segments[video.segment]
        rows = slice(video.first, video.first + video.count)
        found[video.name] = [segment.array(name)[rows].tobytes() for name in ("video.va", "spans")]
    return found


@pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step_the_index_is_whole(embedder, tmp_path, monkeypatch, every):
    monkeypatch.setattr(merging, "_MOST_SEGMENTS", 1)
    averages, videos, index = Averages(embedder), tmp_path / "videos", tmp_path / "index"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4"):
        media_samples.write_film(videos / name, seconds=2, size=(32, 32))
    update_index(videos, tmp_path / "before", averages, options=OPTIONS)
    before = contents(tmp_path / "before")
    (videos / "a.mp4").rename(videos / "z.mp4")
    (videos / "b.mp4").unlink()
    media_samples.write_film(videos / "c.mp4", seconds=3, size=(32, 32))
    update_index(videos, tmp_path / "after", averages, options=OPTIONS)
    after = contents(tmp_path / "after")
    assert after.keys() == {"c.mp4", "z.mp4"}

    def prepare():
        shutil.rmtree(index, ignore_errors=True)
        return shutil.copytree(tmp_path / "before", index)

    states = []
    for folder in killed_at_each_step(
        lambda: update_index(videos, index, averages, options=OPTIONS), prepare, every
    ):
        found = contents(folder)
        # Before; or z.mp4 is known as the former a.mp4; or all.
        assert found in (before, {"z.mp4": before["a.mp4"]}, after)
        states.append(len(found))
        report = update_index(videos, folder, averages, options=OPTIONS)
        assert contents(folder) == after
        assert set(report.added) <= {"c.mp4"}, "z.mp4 is never embedded again"
        known = open_index(folder).manifest.segments
        kept = {entry.name for entry in (folder / "segments").iterdir()}
        assert known.keys() <= kept and len(kept) <= 3, "leftovers are removed"
    assert len(states) > 3
    assert every > 1 or {1, 2} <= set(states)


@pytest.mark.slow
def test_the_program_killed_at_random_times(library, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(library.videos, videos)
    flags = [f"--videos={videos}", f"--model={library.model}", f"--index={tmp_path / 'index'}"]
    command = [sys.executable, "-m", "mmv_tf", "search", "index", *flags, "--deadline_seconds=60"]
    started = time.monotonic()
    subprocess.run(command, cwd=running.ROOT, check=True, capture_output=True)
    taken = time.monotonic() - started
    right = contents(tmp_path / "index")
    generator = random.Random(0)
    for _ in range(5):
        # One that was killed early has left none.
        shutil.rmtree(tmp_path / "index", ignore_errors=True)
        process = subprocess.Popen(command, cwd=running.ROOT, stderr=subprocess.DEVNULL)
        time.sleep(generator.uniform(0.3, 1.0) * taken)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = contents(tmp_path / "index")
        assert found is None or found.items() <= right.items()
    subprocess.run(command, cwd=running.ROOT, check=True, capture_output=True)
    assert contents(tmp_path / "index").keys() == right.keys()


@pytest.mark.parametrize("part", ["video.va.npy", "manifest"])
def test_a_full_disk_leaves_the_index_as_it_was(embedder, tmp_path, monkeypatch, part):
    averages, videos = Averages(embedder), tmp_path / "videos"
    videos.mkdir()
    media_samples.write_film(videos / "a.mp4", seconds=2, size=(32, 32))
    update_index(videos, tmp_path / "index", averages, options=OPTIONS)
    before = contents(tmp_path / "index")
    media_samples.write_film(videos / "b.mp4", seconds=2, size=(32, 32))
    whole = store.files_lib.flush

    def full(target):
        name = str(getattr(target, "name", target))
        if part in pathlib.Path(name).name:
            raise OSError(28, "No space left on device", name)
        whole(target)

    monkeypatch.setattr(store.files_lib, "flush", full)
    with pytest.raises(OSError, match="No space left on device"):
        update_index(videos, tmp_path / "index", averages, options=OPTIONS)
    monkeypatch.undo()
    assert contents(tmp_path / "index") == before
    update_index(videos, tmp_path / "index", averages, options=OPTIONS)
    assert contents(tmp_path / "index").keys() == {"a.mp4", "b.mp4"}
