# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks before a run starts: directories, manifests, splits, modalities and pairs.

Without them, a missing split would show up only at the first evaluation, after hours. Only
manifests are read here, so this is fast. One error names all problems.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from mmv_tf.data.reading.mixing import parts_of
from mmv_tf.data.records.manifests import read_manifest
from mmv_tf.data.records.shard_files import ShardFolder
from mmv_tf.losses import PAIRS

# Key under which a manifest counts a split's clips by modality, and its name in messages.
_COUNTS = {
    "video": ("num_with_video", "pictures"),
    "audio": ("num_with_audio", "sound"),
    "text": ("num_captions", "captions"),
}
AUDIO_TEXT = (
    "training.weights.at is above 0, but model.graph.audio_text is not set: audio would pass "
    "through the map into the text space in inference mode, without contributing to its "
    "statistics; set model.graph.audio_text=True, or the weight to 0"
)
# A single clip is always ranked first.
_LEAST_EVALUATED = 2


def check(
    config: ml_collections.ConfigDict,
    evaluated: Sequence[ml_collections.ConfigDict] = (),
) -> None:
    """Check everything about a run that can be checked before it starts.

    Args:
      config: the run's configuration; see `configs/`.
      evaluated: reader settings for evaluation during training.

    Raises:
      ValueError: something is missing; the message names everything.
    """
    weights = config.training.weights
    pairs = [pair for pair in PAIRS if weights.get(pair, 0.0) > 0]
    problems = _start_problems(config)
    if "video" in config.model:
        problems += _network_problems(config.model, pairs)
    needed = {modality for pair in pairs for modality in PAIRS[pair]}
    found = []
    for part in parts_of(config.data):
        looked = _look(part.config, "data.split", 1)
        problems += looked.problems
        found.append(looked)
    if not problems:
        problems += _missing_modalities(found, needed)
    for reader in evaluated:
        problems += evaluation_problems(reader)
    if problems:
        problems = list(dict.fromkeys(problem.rstrip(".") for problem in problems))
        raise ValueError(f"{'; '.join(problems)}.")


def evaluation_problems(reader: ml_collections.ConfigDict) -> list[str]:
    """Return the reasons why a reader's data can't be evaluated during training."""
    hint = "training.evaluate_split, or training.evaluate_every_steps=0 for no evaluation"
    return _look(reader, hint, _LEAST_EVALUATED).problems


@dataclasses.dataclass
class _Looked:
    """Manifest contents for the splits that are read; None if the data set has no manifest."""

    directory: str
    splits: str
    problems: list[str]
    counts: Mapping[str, int | None] = dataclasses.field(default_factory=dict)


def _look(config: ml_collections.ConfigDict, setting: str, least: int) -> _Looked:
    """Check the splits of one reader.

    Args:
      config: the reader's settings.
      setting: setting that selects another split, for messages.
      least: minimum number of clips.
    """
    looked = _Looked(config.directory, config.split, [])
    if config.records != "mmv":
        folder = ShardFolder(config.directory)
        if not (folder.is_remote or folder.path.is_dir()):
            looked.problems.append(f"{config.directory}: no such directory; expected shards in it")
        elif least > 1:
            looked.problems.append(
                f"{config.directory}: {config.records} records have no manifest, so no split of "
                f"them can be held out; set {setting}"
            )
        return looked
    try:
        folder = ShardFolder(config.directory)
        splits: dict[str, Any] = read_manifest(folder.fetch_manifest())["splits"]
    except ValueError as error:
        looked.problems.append(str(error))
        return looked
    names = config.split.split("+")
    missing = [name for name in names if name not in splits]
    if missing:
        looked.problems.append(
            f"There is no split {' or '.join(map(repr, missing))} in {config.directory}: it has "
            f"{', '.join(splits) or 'none'}; prepare that split, or choose another with {setting}"
        )
        return looked
    clips = sum(splits[name]["num_examples"] for name in names)
    if clips < least:
        looked.problems.append(
            f"The split {config.split!r} of {config.directory} has {clips} "
            f"clip{'' if clips == 1 else 's'}, but at least {least} are needed; the splits are "
            f"{', '.join(splits)}; prepare more, or choose with {setting}"
        )
    looked.counts = {
        modality: _total([splits[name].get(key) for name in names])
        for modality, (key, _) in _COUNTS.items()
    }
    return looked


def _total(counts: Sequence[int | None]) -> int | None:
    """Return the sum, or None if a value is unknown, as in manifests from older versions."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _missing_modalities(found: Sequence[_Looked], needed: set[str]) -> list[str]:
    """Return errors for modalities that no clip has, so that their pairs would never count."""
    problems = []
    for modality, (_, name) in _COUNTS.items():
        totals = [looked.counts.get(modality) for looked in found]
        if modality in needed and all(total == 0 for total in totals):
            where = ", ".join(f"{looked.splits} of {looked.directory}" for looked in found)
            pairs = ", ".join(pair for pair, members in PAIRS.items() if modality in members)
            problems.append(
                f"No training clip has {name} ({where}), which the pairs {pairs} need; prepare "
                f"data with {name}, or set their weights in training.weights to 0"
            )
    return problems


def _start_problems(config: ml_collections.ConfigDict) -> list[str]:
    """Return errors for settings that need the weights of another model."""
    problems = []
    if config.training.steps < 0:
        problems.append(f"training.steps is {config.training.steps}; expected 0 or more")
    if config.get("init_from", ""):
        return problems
    if config.training.get("frozen_batch_norm", False):
        problems.append(
            "training.frozen_batch_norm keeps the statistics of a trained model, but init_from "
            "names none; set init_from, or training.frozen_batch_norm=False"
        )
    if not config.data.num_frames:
        problems.append(
            "data.num_frames is 0, so the clips' settings come from the model in init_from, but "
            "init_from is empty; set one of them"
        )
    if "video" not in config.model:
        problems.append(
            "the model section has no video backbone, so the model comes from init_from, but "
            "init_from is empty; set one of them"
        )
    return problems


def _network_problems(model: ml_collections.ConfigDict, pairs: Sequence[str]) -> list[str]:
    """Return errors for pairs that the model can't be trained on."""
    problems = []
    for pair in pairs:
        lacking = [name for name in PAIRS[pair] if name != "video" and model.get(name) is None]
        if lacking:
            problems.append(
                f"training.weights.{pair} is above 0, but the network has no {lacking[0]} "
                f"backbone; add model.{lacking[0]}, or set the weight to 0"
            )
    graph = model.graph
    if "at" in pairs and graph.get("name") == "disjoint":
        problems.append(
            "training.weights.at is above 0, but the disjoint graph can't compare audio with text; "
            "use graph fac or shared, or set the weight to 0"
        )
    if "at" in pairs and graph.get("name") == "fac" and not graph.get("audio_text", False):
        problems.append(AUDIO_TEXT)
    return problems
