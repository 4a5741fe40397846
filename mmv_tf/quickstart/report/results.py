# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A quickstart run's results: reads the files of its steps and gathers the metrics."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np

from mmv_tf.data.records.manifests import read_manifest
from mmv_tf.search.store import open_index
from mmv_tf.training.logging import read_scalars
from mmv_tf.training.run_summary import processor_name
from mmv_tf.training.validation import PREFIX

# The index written by the last step.
SEARCH_INDEX = "search_index"


@dataclasses.dataclass(frozen=True)
class Run:
    """The contents of the steps' result files; clips are in film order.

    Attributes:
      manifest: the shards' manifest.
      config: training configuration.
      scalars: see `mmv_tf.training.logging.read_scalars`.
      evaluation: evaluation results on the test clips.
      embeddings: embeddings of all clips; "starts" and "ends" in seconds, "captions", "is_test",
        and for example "text/vat", float32 [clips, dim].
      deflation: report on the fit.
      asked: the exported model's results.
      windows: number of windows in the search index.
    """

    manifest: dict[str, Any]
    config: dict[str, Any]
    scalars: dict[str, list[tuple[int, float]]]
    evaluation: dict[str, Any]
    embeddings: dict[str, np.ndarray]
    deflation: dict[str, Any]
    asked: dict[str, Any]
    windows: int

    @classmethod
    def read(cls, work: pathlib.Path) -> Run:
        """Read the quickstart's folder."""

        def load(path: pathlib.Path) -> dict[str, Any]:
            return json.loads(path.read_text(encoding="utf-8"))

        with np.load(work / "embeddings.npz", allow_pickle=False) as file:
            embeddings = {name: file[name] for name in file.files}
        order = np.argsort(embeddings["starts"], kind="stable")
        return cls(
            manifest=read_manifest(work / "data"),
            config=load(work / "run" / "config.json"),
            scalars=read_scalars(work / "run"),
            evaluation=load(work / "evaluation.json"),
            embeddings={name: values[order] for name, values in embeddings.items()},
            deflation=load(work / "image_encoder.json"),
            asked=load(work / "ask.json"),
            windows=open_index(work / SEARCH_INDEX).manifest.rows,
        )

    def test_clips(self) -> dict[str, np.ndarray]:
        """Return the embeddings of the test clips only."""
        return {
            name: values[self.embeddings["is_test"]] for name, values in self.embeddings.items()
        }


def gather(run: Run, film: pathlib.Path, record: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return all of a run's metrics, for `results.json`.

    Args:
      run: the steps' results.
      film: the film.
      record: seconds and memory of the steps; see `run_steps`.
    """
    return {
        "film": film.name,
        "data": {
            "blocks": run.manifest["blocks"],
            "dropped": run.manifest["dropped"],
            "clips": {
                split: values["num_examples"] for split, values in run.manifest["splits"].items()
            },
        },
        "training": _training(run),
        **{key: run.evaluation[key] for key in ("protocol", "clips", "retrieval", "linear_probe")},
        "deflation": run.deflation,
        "export": {key: value for key, value in run.asked.items() if key != "answers"},
        "answers": run.asked["answers"],
        "search": {"windows": run.windows},
        "steps": record,
        "environment": {
            **run.evaluation["environment"],
            "processor": processor_name(),
            "cores": len(os.sched_getaffinity(0)),
        },
    }


def _training(run: Run) -> dict[str, Any]:
    """Return the number of steps, first and last losses, and the ranks of the test clips."""
    losses = {name: values for name, values in run.scalars.items() if "loss" in name}
    return {
        "steps": run.config["training"]["steps"],
        "batch_size": run.config["data"]["batch_size"],
        "first": {name: values[0][1] for name, values in losses.items()},
        "last": {name: values[-1][1] for name, values in losses.items()},
        "held_out": {
            name.removeprefix(PREFIX): values
            for name, values in run.scalars.items()
            if name.startswith(PREFIX)
        },
    }
