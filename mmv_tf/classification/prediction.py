# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classifies files and folders and writes a JSON or CSV file."""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.classification.classifier import Scorer
from mmv_tf.classification.features import ClipReader, ClipWindows, clip_id
from mmv_tf.classification.fitting import score_clips
from mmv_tf.classification.label_files import media_files, modality_of, readable_as
from mmv_tf.classification.labels import MODALITIES, Clip
from mmv_tf.classification.measures import THRESHOLD
from mmv_tf.evaluation.features import Failures
from mmv_tf.inference.network import IMAGE
from mmv_tf.util import files
from mmv_tf.util.configuration import write_json
from mmv_tf.util.text_files import printable_name

FORMATS = (".json", ".csv")
_DIGITS = 6
# Ours: window times need no more than millisecond precision.
_TIME_DIGITS = 3


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """Settings for prediction.

    Attributes:
      per_window: also return the scores of each window.
      top: number of labels in "top".
      threshold: for several labels, the minimum score of the labels in "labels".
    """

    per_window: bool = False
    top: int = 5
    threshold: float = THRESHOLD


def find_clips(sources: Sequence[str | os.PathLike[str]], modality: str) -> list[Clip]:
    """Return the given files and a modality's files in the given folders, each once.

    Raises:
      ValueError: a source does not exist, or a folder has no such file.
    """
    found: dict[str, Clip] = {}
    for source in map(pathlib.Path, sources):
        if source.is_file():
            paths = [source]
        elif source.is_dir():
            paths = [path for path in media_files(source) if readable_as(path, modality)]
            if not paths:
                raise ValueError(f"{source}: no {modality} files found; check the folder.")
        else:
            raise ValueError(f"{source}: no such file or folder.")
        for path in paths:
            within = path.name if path == source else path.relative_to(source)
            target = os.path.realpath(path)
            found.setdefault(target, Clip(pathlib.Path(target), printable_name(within), ()))
    return list(found.values())


def told_modality(sources: Sequence[str | os.PathLike[str]]) -> str:
    """Infer the modality of files, and of files in folders, from their suffixes.

    Raises:
      ValueError: a source does not exist, or the files are of several modalities, or of none.
    """
    found = set()
    for source in map(pathlib.Path, sources):
        if not source.exists():
            raise ValueError(f"{source}: no such file or folder.")
        paths = media_files(source) if source.is_dir() else [source]
        found |= {modality_of(path) for path in paths} - {None}
    if len(found) != 1:
        names = " and ".join(sorted(map(str, found))) or "no media"
        raise ValueError(
            f"Expected files of one modality; their suffixes indicate {names}; set the "
            f"modality: --modality={' or '.join(MODALITIES)}."
        )
    return str(found.pop())


def predict_clips(
    classifier: Scorer, clips: Sequence[Clip], options: PredictOptions
) -> dict[str, Any]:
    """Return the scores for clips as plain values.

    Returns:
      "labels" (names, in the order of the scores), "multi_label", "counts" ("read", "unreadable")
      and "files". For each clip in order, "files" has "path" and either "error" (why it can't be
      read) or "scores" (mean over its windows), "top" (labels with the highest scores), for several
      labels "labels" (those with at least the threshold), and if requested "windows": the same for
      each window, with "start" and "end" in seconds.
    """
    failures = Failures(allowed=len(clips))
    found = {clip_id(clip): one for clip, one in score_clips(classifier, clips, failures)}
    cut = ClipReader(classifier.encoder, classifier.modality, classifier.windows).cut
    timed = options.per_window and classifier.modality != IMAGE
    rows: list[dict[str, Any]] = []
    for clip in clips:
        key = clip_id(clip)
        if key not in found:
            rows.append({"path": clip.name, "error": failures.unreadable[key]})
            continue
        values = found[key].values
        row = {"path": clip.name, **_scores(classifier, values.mean(axis=0), options)}
        if timed:
            row["windows"] = _windows(classifier, found[key], cut.seconds, options)
        rows.append(row)
    return {
        "labels": list(classifier.labels),
        "multi_label": classifier.multi_label,
        **({"threshold": options.threshold} if classifier.multi_label else {}),
        "counts": {"read": len(found), "unreadable": len(failures.unreadable)},
        "files": rows,
    }


def _scores(classifier: Scorer, scores: np.ndarray, options: PredictOptions) -> dict[str, Any]:
    order = np.argsort(-scores, kind="stable")
    rounded = [round(float(score), _DIGITS) for score in scores]
    top = [
        {"label": classifier.labels[index], "score": rounded[index]}
        for index in order[: options.top].tolist()
    ]
    found: dict[str, Any] = {"top": top, "scores": rounded}
    if classifier.multi_label:
        above = [index for index in order.tolist() if scores[index] >= options.threshold]
        found["labels"] = [classifier.labels[index] for index in above]
    return found


def _windows(
    classifier: Scorer, one: ClipWindows, seconds: float, options: PredictOptions
) -> list[dict[str, Any]]:
    return [
        {
            "start": round(float(start), _TIME_DIGITS),
            "end": round(float(start) + seconds, _TIME_DIGITS),
            **_scores(classifier, scores, options),
        }
        for start, scores in zip(one.starts, one.values, strict=True)
    ]


def check_output(path: str | os.PathLike[str]) -> None:
    """Raise a ValueError unless a predictions file ends in .json or .csv."""
    if pathlib.Path(path).suffix not in FORMATS:
        raise ValueError(f"{os.fspath(path)}: expected a name ending in {' or '.join(FORMATS)}.")
    files.check_writable(path)


def write_predictions(predictions: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write the result of `predict_clips` as JSON or CSV, depending on the suffix.

    A CSV has a row for each file, or for each window if there are windows: path, start, end,
    labels (the best label, or for several labels those with at least the threshold, joined by ";"),
    error, and a column "score LABEL" for each label.
    """
    if pathlib.Path(path).suffix == ".json":
        write_json(predictions, path)
        return
    with (
        files.replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        scores = [f"score {label}" for label in predictions["labels"]]
        table.writerow(["path", "start", "end", "labels", "error", *scores])
        for one in predictions["files"]:
            if "error" in one:
                table.writerow([one["path"], "", "", "", one["error"], *[""] * len(scores)])
                continue
            for row in one.get("windows", [one]):
                chosen = row["labels"] if "labels" in row else [row["top"][0]["label"]]
                times = [row.get("start", ""), row.get("end", "")]
                table.writerow([one["path"], *times, ";".join(chosen), "", *row["scores"]])
