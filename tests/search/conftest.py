# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A folder of generated videos and their index, by a tiny network."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil

import keras
import pytest

from mmv_tf.search import Embedder, update_index
from mmv_tf.search.indexing import Options
from tests import media_samples, small_world

HERE = Options(processes=0)
# Were they HTML, they would run.
EVIL_NAME = "<img src=x onerror=alert(1)>.mp4"
EVIL_CAPTION = "&lt;img src=x onerror=alert(2)&gt; the red square"


@dataclasses.dataclass(frozen=True)
class Library:
    """Videos, their index and the network that made it."""

    root: pathlib.Path
    videos: pathlib.Path
    index: pathlib.Path
    model: pathlib.Path
    embedder: Embedder

    def copy(self, root: pathlib.Path) -> Library:
        """The same elsewhere, to be spoilt."""
        for folder in (self.videos, self.index):
            shutil.copytree(folder, root / folder.name)
        return dataclasses.replace(
            self, root=root, videos=root / self.videos.name, index=root / self.index.name
        )


@pytest.fixture(scope="session")
def embedder(tmp_path_factory) -> Embedder:
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("network") / "model.keras"
    small_world.tiny_model().save(path)
    return Embedder.load(path)


@pytest.fixture(scope="session")
def library(tmp_path_factory, embedder) -> Library:
    """Three videos, one of them without sound, and a damaged one."""
    root = tmp_path_factory.mktemp("library")
    videos = root / "videos"
    (videos / "sub").mkdir(parents=True)
    write_videos(videos)
    update_index(videos, root / "index", embedder, options=HERE)
    return Library(root, videos, root / "index", pathlib.Path(embedder.path), embedder)


def write_videos(videos: pathlib.Path) -> None:
    """See `library`."""
    h264 = {"codec": "libx264", "size": (96, 64)}
    media_samples.write_film(videos / "long.mp4", seconds=12, tone_start=0.0, **h264)
    media_samples.write_vtt(videos / "long.vtt", [(0, 6, EVIL_CAPTION), (6, 12, "it falls down")])
    media_samples.write_film(videos / EVIL_NAME, seconds=3, **h264)
    media_samples.write_film(videos / "sub" / "silent.mkv", seconds=3, audio=None, **h264)
    (videos / "damaged.mp4").write_bytes(b"no film" * 100)
