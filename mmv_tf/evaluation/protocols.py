# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Protocols that evaluate on prepared shards, and the function that runs them."""

from __future__ import annotations

import bisect
import dataclasses
from typing import Any

import numpy as np

from mmv_tf.data import Reader, config_for_network
from mmv_tf.evaluation.embed import ClipEmbedder, ClipEmbeddings
from mmv_tf.evaluation.linear_probe import linear_probe
from mmv_tf.evaluation.results import Outcome, Scored, environment, summarize
from mmv_tf.evaluation.retrieval import ranks, retrieval_metrics
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, GraphNetwork, as_encoder, model_hash
from mmv_tf.util.registry import Registry


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A protocol on prepared shards.

    Attributes:
      name, version: identify the meaning of results; every change increments the version.
      windows: windows per clip, evenly spaced; their embeddings are averaged.
      retrieval: (query, item) modalities; item i matches query i, ties count against it.
      probe: modalities whose `before_head` is classified by a linear probe.
      train_split, test_split: the probe's training split, and the split for all scores.
      permutations: number of permutations for the p-values.
      source: source of these choices.
    """

    name: str
    version: int
    windows: int
    retrieval: tuple[tuple[str, str], ...]
    probe: tuple[str, ...]
    train_split: str
    test_split: str
    permutations: int
    source: str


NARRATED_FILM = Protocol(
    name="narrated_film",
    version=2,  # 2: permutations and intervals by blocks of time; a clip's own sentence.
    windows=4,
    retrieval=(("text", "video"), ("video", "audio"), ("audio", "text")),
    probe=("video", "audio"),
    train_split="train+validation",
    test_split="test",
    permutations=9999,
    source="ours; four windows averaged as in VATT (Akbari et al., 2021)",
)
PROTOCOLS: Registry[Protocol] = Registry("protocol")
PROTOCOLS.register(NARRATED_FILM.name)(NARRATED_FILM)


@dataclasses.dataclass(frozen=True)
class Evaluation(Outcome):
    """An outcome with the embeddings of the training and test clips."""

    train: ClipEmbeddings
    test: ClipEmbeddings


def run_protocol(
    protocol: Protocol,
    model: Encoder | EmbeddingGraph,
    directory: str,
    untrained: EmbeddingGraph | None = None,
    batch_size: int = 8,
) -> Evaluation:
    """Evaluate a model with a protocol.

    Args:
      protocol: the protocol.
      model: the model; its metadata determines how clips are read.
      directory: folder of shards from `prepare_data`.
      untrained: the same model before training, to run the probe on as well.
      batch_size: clips per batch; does not affect the results.

    Raises:
      ValueError: the model lacks a modality or is not an mmv_tf model, or the data do not suit the
        protocol or model.
    """
    encoder = as_encoder(model)
    graph = _graph(encoder)
    for query, item in protocol.retrieval:
        graph.common_space(query, item)
    train_reader = make_reader(graph, directory, protocol.train_split, protocol, batch_size)
    test_reader = make_reader(graph, directory, protocol.test_split, protocol, batch_size)
    embed = ClipEmbedder(encoder)
    train, test = embed(train_reader), embed(test_reader)
    blocks = test_reader.manifest["blocks"]
    retrieved = {
        f"{query} -> {item}": _retrieve(graph, test, blocks, query, item, protocol.permutations)
        for query, item in protocol.retrieval
    }
    results: dict[str, Any] = {
        "protocol": dataclasses.asdict(protocol),
        "model_sha256": model_hash(graph),
        "clips": {
            "listed": {"train": train_reader.num_examples(), "test": test_reader.num_examples()},
            "scored": {"train": len(train), "test": len(test)},
        },
        "retrieval": {name: metrics for name, (metrics, _) in retrieved.items()},
        "environment": environment(),
    }
    engine = encoder.network.description().get("engine")
    if engine is not None:
        results["engine"] = engine
    labels = train_reader.manifest["labels"]
    if protocol.probe and labels:
        probes = {"trained": _probe(protocol, train, test, blocks)}
        if untrained is not None:
            embed = ClipEmbedder(untrained)
            probes["untrained"] = _probe(protocol, embed(train_reader), embed(test_reader), blocks)
        results["linear_probe"] = {"labels": labels, **probes}
    scored = {name: one for name, (_, one) in retrieved.items()}
    return Evaluation(results, scored, train, test)


def _graph(encoder: Encoder) -> EmbeddingGraph:
    network = encoder.network
    if not isinstance(network, GraphNetwork) or network.model is None:
        raise ValueError(
            "The clips are read as in training, which needs an mmv_tf model; this one is a "
            "SavedModel or a deflated model."
        )
    return network.model


def make_reader(
    model: EmbeddingGraph, directory: str, split: str, protocol: Protocol, batch_size: int
) -> Reader:
    """Return a reader for a split, with the settings from the model's training."""
    config = config_for_network(
        model.metadata, directory, split, windows=protocol.windows, batch_size=batch_size
    )
    return Reader(config, model.tokenizer, model.log_mel)


def _retrieve(
    model: EmbeddingGraph,
    clips: ClipEmbeddings,
    blocks: list[dict[str, Any]],
    query: str,
    item: str,
    permutations: int,
) -> tuple[dict[str, Any], Scored]:
    space = model.common_space(query, item)
    rows = clips.valid[query] & clips.valid[item]
    queries, items = (clips.features[f"{m}/{space}"][rows] for m in (query, item))
    ids = np.array(clips.example_ids)[rows]
    # Neighboring clips are similar; blocks of time are independent.
    groups = _blocks_of(clips, blocks)[rows]
    scored = Scored(ids, groups.astype(str), np.full(len(ids), "test"), ranks=ranks(queries, items))
    intervals = {
        name: metric["interval"] for name, metric in summarize(scored, retrieval=True).items()
    }
    order = np.argsort(clips.starts[rows], kind="stable")
    metrics = retrieval_metrics(queries[order], items[order], permutations, groups=groups[order])
    return {"left_out": int((~rows).sum()), **metrics, "intervals": intervals}, scored


def _blocks_of(clips: ClipEmbeddings, blocks: list[dict[str, Any]]) -> np.ndarray:
    """Return each clip's block of time, int [N]."""
    starts = sorted(block["start"] for block in blocks)
    return np.array([bisect.bisect_right(starts, start + 1e-3) for start in clips.starts])


def _probe(
    protocol: Protocol, train: ClipEmbeddings, test: ClipEmbeddings, blocks: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    groups, test_groups = _blocks_of(train, blocks), _blocks_of(test, blocks)
    scores = {}
    for modality in protocol.probe:
        learn = train.valid[modality] & (train.labels >= 0)
        score = test.valid[modality] & (test.labels >= 0)
        key = f"{modality}/before_head"
        scores[modality] = linear_probe(
            train.features[key][learn],
            train.labels[learn],
            test.features[key][score],
            test.labels[score],
            groups[learn],
            test_groups=test_groups[score],
        )
    return scores
