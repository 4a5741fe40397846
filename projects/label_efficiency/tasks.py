# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The study's labeled data sets: the narrated world's clips, and ESC-10's audio files."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import ml_collections
import numpy as np

from mmv_tf.data.datasets.published import TEST, TRAIN
from mmv_tf.evaluation.benchmarks import ESC10_FINE_TUNE
from mmv_tf.evaluation.declaration import AudioViews
from mmv_tf.evaluation.features import Failures
from mmv_tf.evaluation.fine_tune import AudioSource, Source
from mmv_tf.evaluation.listing import Item, MediaIndex
from mmv_tf.graphs import EmbeddingGraph
from projects import narrated_world
from projects.narrated_world import comparison, scenes, scoring

WORLD, ESC10 = "world", "esc10"
ALL = "all"  # the world's only division


@dataclasses.dataclass(frozen=True)
class Division:
    """Training examples, from which the labeled examples are drawn, and test examples."""

    train: tuple[Item, ...]
    test: tuple[Item, ...]


@dataclasses.dataclass(frozen=True)
class Task:
    """A labeled data set.

    Attributes:
      name: `WORLD` or `ESC10`.
      modality: modality of the trained backbone.
      classes: class names.
      divisions: name -> division.
      divisions_of: division names for each of the study's seeds.
      source: reads the examples.
      epochs: number of epochs for fine-tuning with all labels.
    """

    name: str
    modality: str
    classes: tuple[str, ...]
    divisions: dict[str, Division]
    divisions_of: tuple[tuple[str, ...], ...]
    source: Source
    epochs: int


class PoolSource:
    """Videos of generated clips, each as a single window without augmentation.

    Args:
      videos: uint8 [N, T, size, size, 3]; an item's id is its row number.
    """

    def __init__(self, videos: np.ndarray):
        self._videos = videos

    def train(self, items: Sequence[Item], epoch: int) -> Iterator[np.ndarray]:
        """Yield an example for each item; all epochs are the same."""
        del epoch
        for item in items:
            yield self._videos[int(item.item_id)].astype(np.float32) / 255.0

    def test(self, items: Sequence[Item]) -> Iterator[np.ndarray]:
        """Yield the single window of each item."""
        for example in self.train(items, 0):
            yield example[np.newaxis]


def world_task(config: ml_collections.ConfigDict) -> Task:
    """Generate labeled clips: training clips from one world, test clips from another.

    Args:
      config: the study's configuration.

    Raises:
      ValueError: there is no such factor.
    """
    factor = config.world.factor
    if factor not in narrated_world.CHANCE:
        raise ValueError(
            f"world.factor is {factor!r}; expected one of {', '.join(narrated_world.CHANCE)}."
        )
    settings = config.network.scoring.copy_and_resolve_references().unlock()
    settings.update(
        probe_clips=config.world.train_clips, galleries=config.world.galleries, groups=1
    )
    world = comparison.Comparison(config.network).world()
    questions = scoring.make_questions(settings, world)
    train, test = questions.probe, questions.galleries
    videos = np.concatenate([train.arrays["video"], test.arrays["video"]])

    def items(pool: narrated_world.Pool, first: int, clips: int, use: str) -> tuple[Item, ...]:
        """Return items; each group has this many consecutive clips."""
        return tuple(
            Item(str(first + row), "", use, (int(label),), group=f"{use}{row // clips}")
            for row, label in enumerate(pool.arrays[f"factors/{factor}"])
        )

    # Clips in an episode are similar; clips in a gallery are drawn independently.
    division = Division(
        items(train, 0, scenes.EPISODE_CLIPS, TRAIN), items(test, len(train), 1, TEST)
    )
    names = {"shape": scenes.SHAPES, "colour": scenes.COLOURS, "motion": scenes.MOTIONS}
    quarters = tuple(f"quarter {number + 1}" for number in range(scenes.FINE_BINS))
    return Task(
        name=WORLD,
        modality="video",
        classes=names.get(factor, quarters),
        divisions={ALL: division},
        divisions_of=((ALL,),) * len(config.seeds),
        source=PoolSource(videos),
        epochs=config.world.epochs,
    )


def esc10_task(
    config: ml_collections.ConfigDict, data: pathlib.Path, network: EmbeddingGraph
) -> Task:
    """Read ESC-10.

    Args:
      config: the study's configuration.
      data: the ESC-10 folder, see docs/data.md.
      network: network whose log-mel layer is used for the examples.

    Raises:
      ValueError: the folder does not contain ESC-10, a file can't be read, or the number of folds
        differs from the number of seeds.
    """
    folds = tuple(tuple(names) for names in config.esc10.folds)
    if len(folds) != len(config.seeds):
        raise ValueError(
            f"esc10.folds has folds for {len(folds)} seeds, but there are {len(config.seeds)} "
            "seeds; give each seed a tuple of folds."
        )
    benchmark = ESC10_FINE_TUNE
    listings: dict[str, Any] = {
        fold: benchmark.read_list(data, None, fold) for names in folds for fold in names
    }
    items = {item.item_id: item for one in listings.values() for item in one.items}
    failures = Failures(0)
    paths, failures.missing = MediaIndex(data).find_all(list(items.values()))
    failures.check()
    train_views, test_views = benchmark.train_views, benchmark.test_views
    if not (isinstance(train_views, AudioViews) and isinstance(test_views, AudioViews)):
        raise ValueError(f"{benchmark.name} has no views of audio.")
    source = AudioSource(network, list(items.values()), paths, train_views, test_views, 0, failures)
    failures.check()
    return Task(
        name=ESC10,
        modality="audio",
        classes=next(iter(listings.values())).classes,
        divisions={
            fold: Division(tuple(one.of(TRAIN)), tuple(one.of(TEST)))
            for fold, one in listings.items()
        },
        divisions_of=folds,
        source=source,
        epochs=config.fine_tune.epochs,
    )
