# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs benchmarks: list -> media -> features -> classifier or ranks -> results."""

from __future__ import annotations

import dataclasses
import pathlib

from mmv_tf.deflation import ImageEncoder
from mmv_tf.evaluation.classification import Classification, SplitClassification
from mmv_tf.evaluation.cross_modal import Retrieval
from mmv_tf.evaluation.declaration import Benchmark, FineTuning, ZeroShot
from mmv_tf.evaluation.fine_tune import FineTunedClassification
from mmv_tf.evaluation.listed_media import ListedMedia, Options
from mmv_tf.evaluation.results import Outcome, benchmark_results
from mmv_tf.evaluation.zero_shot import ZeroShotClassification
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, as_encoder


def run_benchmark(
    benchmark: Benchmark,
    model: Encoder | EmbeddingGraph | ImageEncoder,
    data: pathlib.Path,
    options: Options,
) -> Outcome:
    """Evaluate a model on a benchmark.

    Args:
      benchmark: the protocol.
      model: any model that `mmv_tf.load_encoder` opens; for images, a deflated model. Fine-tuning
        changes its weights.
      data: the media folder.
      options: run settings.

    Raises:
      ValueError: the model lacks a modality, a list is invalid, or more items than allowed are
        missing or unreadable.
    """
    encoder = as_encoder(model)
    # Rejects a model without the modality before reading any list.
    task = _task(benchmark, encoder, options)
    media = ListedMedia(benchmark, data, options, encoder.fingerprint)
    found = task.run(media)
    kept = media.failures.without([item for _, item in media.tested])
    listed, scored = len(media.tested), len(next(iter(found.scored.values())).ids)
    if scored != len(kept):
        raise ValueError(
            f"{listed} test items are listed and {listed - len(kept)} of them can't be read, "
            f"but {scored} were scored."
        )
    results = benchmark_results(
        protocol=benchmark.as_dict(),
        changed=options.changed,
        model={"sha256": encoder.fingerprint, **encoder.network.description()},
        counts={
            "listed": {"train": media.trained, "test": listed},
            "scored": {"test": scored},
            **media.failures.as_dict(),
        },
        metrics=found.metrics.get("test", found.metrics),
        headline=benchmark.metric,
        reported=[dataclasses.asdict(figure) for figure in benchmark.reported],
        details=found.details,
    )
    return Outcome(results, found.scored)


def _task(
    benchmark: Benchmark, encoder: Encoder, options: Options
) -> SplitClassification | Retrieval:
    if benchmark.classifier is None:
        return Retrieval(benchmark, encoder, options)
    if isinstance(benchmark.classifier, FineTuning):
        return FineTunedClassification(benchmark, encoder, options)
    if isinstance(benchmark.classifier, ZeroShot):
        return ZeroShotClassification(benchmark, encoder, options)
    return Classification(benchmark, encoder, options)
