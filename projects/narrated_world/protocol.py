# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Evaluation protocol on the narrated world, whose clips are generated, so no data are needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from mmv_tf.evaluation.results import Outcome, Scored, benchmark_results, summarize
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import model_hash
from projects import narrated_world
from projects.narrated_world import scoring as scoring


@dataclasses.dataclass(frozen=True)
class WorldProtocol:
    """The protocol's settings.

    Attributes:
      name, version: together they identify how a metric is defined; the version increases with
        every change.
      seed, probe_seed: seeds of the worlds for the test clips and for the linear probes' training
        clips; the comparison of graphs trains on seed 0 and chooses settings on seed 1.
      galleries: number of galleries, each with every combination of coarse facts once; retrieval is
        within one.
      groups, group_clips: number and size of groups of clips with the same coarse facts.
      probe_clips: number of training clips for linear probes.
      metric: the main metric, for text -> video.
      tie_rule: how equal scores count.
      sources: choice -> its source.
    """

    name: str
    version: int
    seed: int
    probe_seed: int
    galleries: int
    groups: int
    group_clips: int
    probe_clips: int
    metric: str
    sources: Mapping[str, str]
    tie_rule: str = "ties count against"

    def scoring_config(self) -> ml_collections.ConfigDict:
        """Return the config for `scoring.make_questions`."""
        config = scoring.default_config()
        return ml_collections.ConfigDict({name: getattr(self, name) for name in config})


NARRATED_WORLD = WorldProtocol(
    name="narrated_world",
    version=2,
    **scoring.default_config().to_dict(),
    metric="R@10",
    sources={
        "data": "ours: a generated world, see docs/measurements/narrated_world.md",
        "views": "ours: one window, of the training's size and length",
        "classifier": "ours: ridge regression on standardized features for each factor",
    },
)


def run_world_protocol(
    protocol: WorldProtocol, model: EmbeddingGraph, changed: Sequence[str] = ()
) -> Outcome:
    """Score a model.

    Args:
      protocol: the protocol.
      model: the model; its metadata define the size and rates.
      changed: the protocol's changed settings, for the results.

    Raises:
      ValueError: the model lacks metadata, or has an embedding that is constant or not finite.
    """
    questions = scoring.make_questions(protocol.scoring_config(), _world(model))
    galleries = scoring.embed_pool(model, questions.galleries)
    scored, metrics = {}, {}
    for name, found in scoring.retrieve(model, questions, galleries).items():
        pool = questions.groups if name == scoring.SAME_COARSE else questions.galleries
        ids = np.array([value.decode() for value in pool.arrays["example_id"]])
        scored[name] = Scored(ids, ids, np.full(len(ids), "test"), ranks=found.ranks)
        metrics[name] = {
            "items": len(ids),
            "among": found.among,
            "space": found.space,
            **summarize(scored[name], retrieval=True),
            "right": found.right,
            "chance": found.chance((1, 5, 10)),
        }
    listed = len(questions.galleries)
    if "audio" in model.modalities:
        listed += len(questions.groups)
    names = {name for one in scored.values() for name in one.ids}
    results = benchmark_results(
        protocol=dataclasses.asdict(protocol),
        changed=changed,
        model={
            "sha256": model_hash(model),
            "class": type(model).__name__,
            "parameters": int(model.count_params()),
        },
        counts={
            "listed": {"train": len(questions.probe), "test": listed},
            "scored": {"test": len(names)},
            "missing": [],
            "unreadable": {},
        },
        metrics=metrics,
        headline=protocol.metric,
        details={
            "probe": {
                "accuracy": scoring.probe(model, questions, galleries),
                "chance": dict(narrated_world.CHANCE),
            }
        },
    )
    return Outcome(results, scored)


def _world(model: EmbeddingGraph) -> narrated_world.NarratedWorld:
    """Return the world with the model's size and rates."""
    config = narrated_world.default_config()
    for name in ("size", "num_frames", "frame_rate"):
        if not model.metadata.get(name):
            raise ValueError(
                f"The model's metadata lacks {name!r}, so its clips can't be generated; add it to "
                "the metadata in the model's config."
            )
        config[name] = type(config[name])(model.metadata[name])
    if model.log_mel is not None:
        config.sample_rate = model.log_mel.sample_rate
    return narrated_world.NarratedWorld(config, model.tokenizer, model.log_mel)
