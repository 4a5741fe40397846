# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores a model on the narrated world: retrieval between modalities, probes for every factor."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import ml_collections
import numpy as np

from mmv_tf.evaluation.linear_probe import factor_probe
from mmv_tf.evaluation.retrieval import normalize, ranks
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, as_encoder
from mmv_tf.inference.network import BACKBONE_KINDS
from projects import narrated_world

DIRECTIONS = (("text", "video"), ("video", "audio"), ("audio", "text"))
# Video to audio among clips with the same coarse facts.
SAME_COARSE = "video -> audio, same coarse facts"
# All galleries together. A result is correct if it shares the relevant facts with the query: all
# facts that sentences name, or all audible ones (color is not audible). Audio is only correct for
# its own clip, whose fine facts are visible and audible.
LARGE_GALLERY = "large gallery"
_TOLD = {
    ("text", "video"): ("shape", "colour", "motion"),
    ("audio", "text"): ("shape", "motion"),
}
RECALLS = (1, 10)
_CHUNK = 128  # clips to embed at once; ours


def default_config() -> ml_collections.ConfigDict:
    """Return the scoring settings; all are ours."""
    return ml_collections.ConfigDict(
        {
            "seed": 2,  # of the test world; 1 is for choosing settings
            "probe_seed": 3,  # of the world for training linear probes
            "galleries": 10,  # each with all 216 combinations of coarse facts once
            "groups": 36,  # of clips with the same coarse facts
            "group_clips": 24,
            "probe_clips": 2000,
        }
    )


@dataclasses.dataclass(frozen=True)
class Questions:
    """Clips for scoring, the same for all models.

    Attributes:
      galleries: clips in galleries of `gallery_clips` consecutive clips, each with every
        combination of coarse facts once. "text" is one sentence per clip that names its three
        facts.
      gallery_clips: number of clips per gallery.
      groups: clips in groups of `group_clips` consecutive clips with the same coarse facts.
      group_clips: number of clips per group.
      probe: random clips for fitting linear probes, which are tested on the galleries.
    """

    galleries: narrated_world.Pool
    gallery_clips: int
    groups: narrated_world.Pool
    group_clips: int
    probe: narrated_world.Pool


def make_questions(
    config: ml_collections.ConfigDict, world: narrated_world.NarratedWorld
) -> Questions:
    """Generate the clips.

    Args:
      config: see `default_config`.
      world: the training world, with a tokenizer and a log-mel.

    Raises:
      ValueError: a seed equals the training world's.
    """

    def seeded(seed: int) -> narrated_world.NarratedWorld:
        settings = ml_collections.ConfigDict(world.config.to_dict())
        settings.seed = seed
        return narrated_world.NarratedWorld(settings, world.tokenizer, world.log_mel)

    if world.config.seed in (config.seed, config.probe_seed):
        raise ValueError(
            f"Seed {world.config.seed} is the training world's seed, and scoring uses the seeds "
            f"{config.seed} and {config.probe_seed}; they must differ."
        )
    combinations = narrated_world.all_combinations()
    asked = seeded(config.seed)
    coarse = np.tile(combinations, (config.galleries, 1))
    galleries = narrated_world.make_pool(asked, np.arange(len(coarse)), coarse)
    # Evenly spread over the combinations; different clips from the galleries.
    chosen = combinations[np.arange(config.groups) * len(combinations) // config.groups]
    index = len(coarse) + np.arange(config.groups * config.group_clips)
    groups = narrated_world.make_pool(asked, index, np.repeat(chosen, config.group_clips, axis=0))
    # All with video: clips with a given combination lack no part.
    learnt = seeded(config.probe_seed)
    index = np.arange(config.probe_clips)
    drawn = learnt.scenes(index)
    facts = np.stack([drawn.shape, drawn.colour, drawn.motion], axis=1)
    probe = narrated_world.make_pool(learnt, index, facts)
    return Questions(galleries, len(combinations), groups, config.group_clips, probe)


def embed_pool(model: Encoder | EmbeddingGraph, pool: narrated_world.Pool) -> dict[str, np.ndarray]:
    """Embed clips with one narration each.

    Returns:
      "MODALITY/before_head" and "MODALITY/SPACE" -> float32 [N, dim].
    """
    network = as_encoder(model).network
    parts: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(pool), _CHUNK):
        batch = pool.batch(np.arange(start, min(start + _CHUNK, len(pool))))
        for modality in network.modalities:
            inputs = batch[modality][:, 0] if modality == "text" else batch[modality]
            for name, value in network.run(BACKBONE_KINDS[modality], inputs, _CHUNK).items():
                parts.setdefault(f"{modality}/{name}", []).append(value)
    return {
        name: np.concatenate(values)
        for name, values in parts.items()
        if not name.endswith("/last_conv")
    }


def chance(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Return the scores of a random model, in the form of `score`."""
    combinations = narrated_world.all_combinations()
    labels = dict(zip(narrated_world.COARSE, combinations.T, strict=True))

    def expected(among: int, right: int = 1) -> dict[str, float]:
        return {f"R@{k}": chance_of_recall(k, among, right) for k in RECALLS}

    retrieval = {_name(*pair): expected(len(combinations)) for pair in DIRECTIONS}
    for pair in DIRECTIONS:
        right = 1
        if pair in _TOLD:
            told = _told(pair, labels)
            right = config.galleries * int((told == told[0]).sum())
        retrieval[_large(*pair)] = expected(config.galleries * len(combinations), right)
    retrieval[SAME_COARSE] = expected(config.group_clips)
    return {"retrieval": retrieval, "probe": {"any": dict(narrated_world.CHANCE)}}


def chance_of_recall(k: int, among: int, right: int = 1) -> float:
    """Return the probability that any of the first k of `among` random items is correct."""
    k = min(k, among)
    return 1 - math.comb(among - right, k) / math.comb(among, k)


@dataclasses.dataclass(frozen=True)
class Found:
    """Retrieval results in one direction.

    Attributes:
      space: space in which the two modalities are compared.
      ranks: int [N], rank of each query's first correct clip.
      among: number of clips that are ranked.
      right: number of correct clips among them.
    """

    space: str
    ranks: np.ndarray
    among: int
    right: int = 1

    def chance(self, recalls: tuple[int, ...]) -> dict[str, float]:
        """Return "R@k" and "mean_rank" for a random order."""
        found = {f"R@{k}": chance_of_recall(k, self.among, self.right) for k in recalls}
        return {**found, "mean_rank": (self.among + 1) / (self.right + 1)}


def retrieve(
    model: Encoder | EmbeddingGraph, questions: Questions, galleries: dict[str, np.ndarray]
) -> dict[str, Found]:
    """Return ranks by direction, except for directions whose modalities share no space.

    Args:
      model: the model.
      questions: see `make_questions`.
      galleries: their embeddings, see `embed_pool`.
    """
    found = {}
    for query, item in DIRECTIONS:
        try:
            space = model.common_space(query, item)
        except ValueError:
            continue
        pair = galleries[f"{query}/{space}"], galleries[f"{item}/{space}"]
        among = questions.gallery_clips
        found[_name(query, item)] = Found(space, ranks_within(*pair, among), among)
        kinds = np.arange(len(pair[0]))
        if (query, item) in _TOLD:
            kinds = _told((query, item), _labels(questions.galleries))
        right = int((kinds == kinds[0]).sum())
        found[_large(query, item)] = Found(space, first_ranks(*pair, kinds), len(kinds), right)
    if "audio" in model.modalities:
        space = model.common_space("video", "audio")
        groups, among = embed_pool(model, questions.groups), questions.group_clips
        rank = ranks_within(groups[f"video/{space}"], groups[f"audio/{space}"], among)
        found[SAME_COARSE] = Found(space, rank, among)
    return found


def probe(
    model: Encoder | EmbeddingGraph, questions: Questions, galleries: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Return accuracies of linear probes, "MODALITY/before_head" or "MODALITY/SPACE" -> factor."""
    learnt = embed_pool(model, questions.probe)
    labels = _labels(questions.probe)
    return {
        name: factor_probe(learnt[name], labels, values, _labels(questions.galleries))
        for name, values in galleries.items()
        if not name.startswith("text/")
    }


def score(model: Encoder | EmbeddingGraph, questions: Questions) -> dict[str, Any]:
    """Score a model.

    Returns:
      "retrieval": direction -> {"R@k": mean over galleries}, see `retrieve`; "probe": see `probe`.
    """
    galleries = embed_pool(model, questions.galleries)
    retrieval = {
        name: recalls(found.ranks) for name, found in retrieve(model, questions, galleries).items()
    }
    return {"retrieval": retrieval, "probe": probe(model, questions, galleries)}


def recalls(found: np.ndarray) -> dict[str, float]:
    """Return the share of ranks that are at most k, as "R@k"."""
    return {f"R@{k}": float((found <= k).mean()) for k in RECALLS}


def ranks_within(queries: np.ndarray, items: np.ndarray, clips: int) -> np.ndarray:
    """Return ranks within groups of `clips` consecutive rows, int [N].

    Args:
      queries, items: float [N, D], N a multiple of `clips`; item i is correct for query i.
      clips: number of items to rank.

    Raises:
      ValueError: N is not a multiple of `clips`, or `ranks` rejects the embeddings.
    """
    if len(queries) % clips:
        raise ValueError(f"The number of queries, {len(queries)}, is not a multiple of {clips}.")
    return np.concatenate(
        [
            ranks(queries[start : start + clips], items[start : start + clips])
            for start in range(0, len(queries), clips)
        ]
    )


def first_ranks(queries: np.ndarray, items: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return the rank of the first item of the query's kind, ties counted against it, int [N].

    Args:
      queries, items: float [N, D].
      kinds: [N], kind of query i and item i.
    """
    queries, items = normalize(queries, "query"), normalize(items, "item")
    similarity = queries.astype(np.float64) @ items.T.astype(np.float64)
    right = kinds[:, np.newaxis] == kinds
    best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((similarity >= best) & ~right).sum(axis=1)


def _name(query: str, item: str) -> str:
    return f"{query} -> {item}"


def _large(query: str, item: str) -> str:
    return f"{_name(query, item)}, {LARGE_GALLERY}"


def _told(pair: tuple[str, str], labels: dict[str, np.ndarray]) -> np.ndarray:
    """Return an id for the combination of facts that both modalities of a pair express, [N]."""
    facts = np.stack([labels[fact] for fact in _TOLD[pair]], axis=1)
    return np.unique(facts, axis=0, return_inverse=True)[1].reshape(-1)


def _labels(pool: narrated_world.Pool) -> dict[str, np.ndarray]:
    return {name: pool.arrays[f"factors/{name}"] for name in narrated_world.CHANCE}
