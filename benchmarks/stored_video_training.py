# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures how much training degrades when clips are stored as video instead of JPEGs.

  python -m benchmarks.stored_video_training --jpeg=DATA --video=DATA2 --word_vectors=VECTORS
  python -m benchmarks.stored_video_training --world

The first command trains the quickstart's configuration on the same film, prepared in both ways,
with the same seeds and thus the same windows and crops; it compares the loss over the last tenth of
the steps and retrieval on the held-out clips. The second command trains FAC on the narrated world,
whose frames and audio are stored in each way and read again; the test clips are the same and
uncompressed. Prints one line of JSON.
"""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
from absl import app, flags
from PIL import Image

from benchmarks.measure import print_result
from mmv_tf.data.preparation import Settings
from mmv_tf.data.stored_clips import clip_encoder
from mmv_tf.data.stored_clips.clip_decoder import StoredClip
from mmv_tf.training.logging import read_scalars
from projects import narrated_world
from projects.narrated_world import comparison, scoring
from projects.narrated_world.config import get_config

_JPEG = flags.DEFINE_string("jpeg", None, "Film prepared with --store=jpeg.")
_VIDEO = flags.DEFINE_string("video", None, "The same film prepared with --store=video.")
_WORDS = flags.DEFINE_string("word_vectors", None, "Word vectors for the film's narrations.")
_WORLD = flags.DEFINE_bool("world", False, "Train on the narrated world instead.")
_STEPS = flags.DEFINE_integer("steps", None, "Training steps; default: the configuration's.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
_POOL = flags.DEFINE_integer(
    "pool_clips", None, "Training clips of the world; default: the configuration's."
)

_DEFAULTS = Settings()
_STORES = ("jpeg", "video")


@dataclasses.dataclass(frozen=True)
class StoredWorld(comparison.Comparison):
    """Comparison whose training clips are stored and read again.

    Attributes:
      store: "jpeg" or "video".
    """

    store: str = "jpeg"

    def world(self) -> narrated_world.NarratedWorld:
        """Return the training world."""
        plain = super().world()
        return _World(self.store, plain.config, plain.tokenizer, plain.log_mel)


class _World(narrated_world.NarratedWorld):
    def __init__(self, store: str, *arguments: Any):
        super().__init__(*arguments)
        self._store = store

    def clips(self, index: np.ndarray, coarse: np.ndarray | None = None) -> Any:
        """Generate clips, store them and read them again."""
        clips = super().clips(index, coarse)
        if self._store == "jpeg":  # which stores audio as floats
            video = np.stack([np.stack([_by_jpeg(frame) for frame in one]) for one in clips.video])
            return dataclasses.replace(clips, video=video)
        rates = self.config.frame_rate, self.config.sample_rate
        stored = [
            _by_video(*clip, *rates) for clip in zip(clips.video, clips.waveform, strict=True)
        ]
        videos, waveforms = zip(*stored, strict=True)
        return dataclasses.replace(clips, video=np.stack(videos), waveform=np.stack(waveforms))


def _by_jpeg(frame: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=_DEFAULTS.jpeg_quality)
    return np.asarray(Image.open(buffer))


def _by_video(
    frames: np.ndarray, waveform: np.ndarray, frame_rate: float, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    _, height, width, _ = frames.shape
    encoder = clip_encoder.VideoEncoder(height, width, frame_rate, _DEFAULTS.video_crf)
    for frame in frames:
        encoder.add(frame)
    data = clip_encoder.with_sound(encoder.finish(), waveform, sample_rate)
    clip = StoredClip.parse(data)
    shown = [planes.rgb(height, width) for _, planes in clip.frames(range(len(frames)))]
    return np.stack(shown), clip.waveform(len(waveform))


def main(argv: list[str]) -> None:
    """Train, compare and print."""
    del argv
    if _WORLD.value:
        found = _train_on_world()
    elif _JPEG.value and _VIDEO.value and _WORDS.value:
        found = _train_on_film()
    else:
        raise app.UsageError("Give --jpeg, --video and --word_vectors, or --world.")
    runs = {store: [found[store, seed] for seed in _SEEDS.value] for store in _STORES}
    names = list(runs["jpeg"][0])
    print_result(
        "stored_video_training",
        {"data": "narrated world" if _WORLD.value else "film", "steps": _STEPS.value or "all"},
        means={
            store: {name: round(statistics.mean(run[name] for run in own), 4) for name in names}
            for store, own in runs.items()
        },
        differences={
            name: [
                round(video[name] - jpeg[name], 4)
                for jpeg, video in zip(runs["jpeg"], runs["video"], strict=True)
            ]
            for name in names
        },
    )


def _train_on_film() -> dict[tuple[str, str], Mapping[str, float]]:
    found: dict[tuple[str, str], Mapping[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="stored_video") as folder:
        for seed in _SEEDS.value:
            for store, data in zip(_STORES, (_JPEG.value, _VIDEO.value), strict=True):
                output = pathlib.Path(folder) / f"{store}-{seed}"
                found[store, seed] = _run(data, output, seed)
                _tell(store, seed, found[store, seed])
    return found


def _tell(store: str, seed: str, results: Mapping[str, float]) -> None:
    """Report a finished run, so that an interruption loses only the current one."""
    print(f"{store}, seed {seed}: {json.dumps(results)}", file=sys.stderr, flush=True)


def _run(data: str, output: pathlib.Path, seed: str) -> dict[str, float]:
    """Train with the program; return the loss and the retrieval metrics on held-out clips."""
    command = [sys.executable, "-m", "mmv_tf", "train", "--config=quickstart"]
    command += [f"--data={data}", f"--word_vectors={_WORDS.value}", f"--output={output}"]
    command += [f"--config.seed={seed}", "--config.data.split=train+validation"]
    command += ["--config.training.mask_duplicates=none", "--config.training.evaluate_split=test"]
    if _STEPS.value:
        command += [f"--config.training.steps={_STEPS.value}"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    scalars = read_scalars(output)
    losses = [value for _, value in scalars["train/loss"]]
    found = {"loss": statistics.mean(losses[-max(1, len(losses) // 10) :])}
    for name, values in scalars.items():
        if name.startswith("held_out/"):
            found[name] = values[-1][1]
    return found


def _train_on_world() -> dict[tuple[str, str], Mapping[str, float]]:
    config = ml_collections.ConfigDict(get_config().to_dict())
    if _STEPS.value:
        config.training.steps = _STEPS.value
    if _POOL.value:
        config.pool_clips = _POOL.value
    found: dict[tuple[str, str], Mapping[str, float]] = {}
    pools = {}
    for store in _STORES:
        stored = StoredWorld(config, store)
        pools[store] = stored, stored.pool(stored.world())
    questions = scoring.make_questions(config.scoring, comparison.Comparison(config).world())
    for seed in _SEEDS.value:
        for store, (stored, pool) in pools.items():
            scores = scoring.score(stored.train("fac", int(seed), pool), questions)
            found[store, seed] = {
                f"{direction}/{name}": value
                for direction, recalls in scores["retrieval"].items()
                for name, value in recalls.items()
            }
            _tell(store, seed, found[store, seed])
    return found


if __name__ == "__main__":
    app.run(main)
