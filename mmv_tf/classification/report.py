# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A classifier's HTML report: metrics, confusion matrix and worst errors in one file."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmv_tf.classification import pictures
from mmv_tf.classification.classifier import Classifier
from mmv_tf.classification.features import ClipReader
from mmv_tf.classification.measures import ScoredClips, confusions, worst
from mmv_tf.util import files

_MOST_WRONG = 24  # ours
_MOST_IN_MATRIX = 40  # ours; with more classes the most frequent confusions are listed
_MOST_LISTED = 50  # ours
_TITLES = {
    "top_1": "right",
    "top_5": "correct among the top five",
    "mAP": "mean average precision",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}
_DATA = {
    "cross-validation": "training clips, each scored by a classifier trained on other clips",
    "validation": "the validation clips, scored by a classifier trained without them",
    "test": "the test clips",
    "train": "the training clips, which the classifier was trained on",
    "all": "all labeled clips",
    "held-out clips": "training clips that were held out",
}
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --muted: #5c6670; --paper: #fff; --line: #d5dae0;
  --accent: #1864ab; --wrong: #c92a2a; --soft: #eef2f6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --muted: #a3adb8; --paper: #14181d;
  --line: #3a424b; --accent: #74c0fc; --wrong: #ff8787; --soft: #20262d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.muted { color: var(--muted); font-size: .85em; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .6rem; }
.facts div, .clip { background: var(--soft); border: 1px solid var(--line); border-radius: 8px;
  padding: .6rem .8rem; }
.facts b { display: block; font-size: 1.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: normal; }
th[scope=row] { font-weight: 600; max-width: 16rem; overflow-wrap: break-word;
  min-width: 7rem; }
.matrix td { text-align: right; min-width: 2.4rem; border: 1px solid var(--paper); }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 12rem;
  font-weight: 400; vertical-align: bottom; padding: .6rem .3rem; }
.bar { display: block; width: 8rem; height: .5rem; } .track { fill: var(--line); }
.range { fill: var(--accent); opacity: .45; } .value { fill: var(--ink); }
.curve { width: 100%; max-width: 34rem; } .curve polyline { fill: none; stroke: var(--accent);
  stroke-width: 2; } .curve circle { fill: var(--accent); } .curve .best { fill: var(--wrong); }
.curve text { fill: var(--muted); font-size: 12px; }
.clips { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.clip img { max-width: 100%; border-radius: 4px; } .frames { display: grid; gap: 4px;
  grid-template-columns: repeat(4, 1fr); } .frames img { width: 100%; height: auto; }
.wave { display: block; width: 100%; height: 4rem; } .wave polygon { fill: var(--accent);
  stroke: var(--accent); } .wrong { color: var(--wrong); font-weight: 600; }
.clip p { margin: 0; } .wave + img { width: 100%; height: 5rem; }
"""


def write_report(
    results: Mapping[str, Any],
    scored: ScoredClips,
    classifier: Classifier,
    path: str | os.PathLike[str],
) -> None:
    """Write the report atomically; it needs neither other files nor network access.

    Args:
      results: output of `results.fit_results` or `evaluation_results`.
      scored: the clips and scores behind the results.
      classifier: the classifier.
      path: the HTML file.
    """
    threshold = results["protocol"]["threshold"] or 0.5
    sections = [
        _summary(results),
        _selection(results.get("selection")),
        _classes(results),
        _confusions(scored),
        _mistakes(scored, classifier, threshold),
        _left_out(results["counts"]),
    ]
    title = f"Classifier for {results['protocol']['modality']}: {len(classifier.labels)} labels"
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{_text(title)}</h1>{''.join(sections)}</body></html>\n"
    )
    files.write_text(page, path)


def _text(value: object) -> str:
    return html.escape(str(value))


def _summary(results: Mapping[str, Any]) -> str:
    counts, protocol, model = results["counts"], results["protocol"], results["model"]
    boxes = [f"<div><b>{counts['scored']}</b>clips scored, from {counts['films']} films</div>"]
    boxes.append(f"<div><b>{counts['wrong']}</b>of them misclassified</div>")
    for name, one in results["metrics"].items():
        if name not in _TITLES:
            continue
        loss = name == "log_loss"
        value = f"{one['value']:.3f} nats" if loss else f"{100 * one['value']:.1f} %"
        note = ""
        if "interval" in one:
            low, high = (100 * end for end in one["interval"])
            note = f' <span class="muted">{low:.1f} to {high:.1f} %</span>'
        boxes.append(f"<div><b>{value}</b>{_TITLES[name]}{note}</div>")
    trained = (
        f" The classifier in the file was trained on {counts['trained']} clips."
        if "trained" in counts
        else ""
    )
    return (
        f'<div class="facts">{"".join(boxes)}</div>'
        f"<p>The metrics are for {_text(_DATA.get(protocol['data'], protocol['data']))}."
        f"{trained} Ranges contain 95 % of resamplings of the films. The calibration error is the "
        "mean distance between a score and the fraction of such scores that are correct.</p>"
        f'<p class="muted">Feature {_text(model["feature"])}, at most {model["windows"]} windows '
        f"per file; their scores are averaged. Model {_text(str(model['source_sha256'])[:16])}, "
        f"classifier {_text(model['sha256'][:16])}.</p>"
    )


def _selection(selection: Mapping[str, Any] | None) -> str:
    if selection is None or "curve" not in selection:
        return ""
    where = (
        "the validation clips"
        if selection["held_out"] == "validation"
        else f"films held out in {selection['folds']} folds"
    )
    return (
        "<h2>Choice of the penalty</h2>"
        f"<p>The penalty {selection['penalty']:g} (C {selection['C']:.3g} in scikit-learn's terms) "
        f"has the smallest log loss on {_text(where)}.</p>"
        f"{pictures.curve(selection['curve'], selection['penalty'])}"
    )


def _classes(results: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_text(row["label"])}</th><td>{row["clips"]} '
        f'<span class="muted">from {row["films"]} films</span></td>'
        + "".join(
            f"<td>{pictures.interval_bar(row[name])}</td>"
            for name in ("precision", "recall", "average_precision")
        )
        + "</tr>"
        for row in results["classes"]
    )
    return (
        '<h2>Classes</h2><div class="scroll"><table><thead><tr><th>class</th><th>clips</th>'
        "<th>precision</th><th>recall</th><th>average precision</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _confusions(scored: ScoredClips) -> str:
    if scored.multi_label:
        return ""
    matrix = confusions(scored)
    if len(matrix) > _MOST_IN_MATRIX:
        return _confused_pairs(scored, matrix)
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    head = "".join(f'<th scope="col">{_text(label)}</th>' for label in scored.labels)
    rows = ""
    for row, label in enumerate(scored.labels):
        cells = ""
        for column, count in enumerate(matrix[row].tolist()):
            color = "--accent" if row == column else "--wrong"
            share = round(70 * count / totals[row, 0])
            shade = f"color-mix(in srgb, var({color}) {share}%, var(--soft))"
            cells += f'<td style="background: {shade}">{count or ""}</td>'
        rows += f'<tr><th scope="row">{_text(label)}</th>{cells}</tr>'
    return (
        "<h2>Confusions</h2><p>Rows are the labels, columns the predictions.</p>"
        f'<div class="scroll"><table class="matrix"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _confused_pairs(scored: ScoredClips, matrix: np.ndarray) -> str:
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-wrong.reshape(-1), kind="stable")[:_MOST_LISTED]
    rows = "".join(
        f"<tr><td>{_text(scored.labels[index // len(matrix)])}</td>"
        f"<td>{_text(scored.labels[index % len(matrix)])}</td>"
        f"<td>{wrong.reshape(-1)[index]}</td></tr>"
        for index in order.tolist()
        if wrong.reshape(-1)[index]
    )
    return (
        "<h2>Confusions</h2><p>The most frequent ones.</p><div class='scroll'><table><thead><tr>"
        f"<th>label</th><th>prediction</th><th>clips</th></tr></thead><tbody>{rows}</tbody></table>"
        "</div>"
    )


def _mistakes(scored: ScoredClips, classifier: Classifier, threshold: float) -> str:
    chosen = worst(scored, _MOST_WRONG, threshold)
    if not chosen:
        return "<h2>Errors</h2><p>There are none.</p>"
    reader = ClipReader(classifier.encoder, classifier.modality, classifier.network.windows)
    cards = ""
    for index in chosen:
        clip = scored.clips[index]
        scores = scored.scores[index]
        best = ", ".join(
            f"{_text(scored.labels[place])} {100 * scores[place]:.0f} %"
            for place in np.argsort(-scores, kind="stable")[:3].tolist()
        )
        true = ", ".join(
            f"{_text(label)} ({100 * scores[scored.labels.index(label)]:.0f} %)"
            for label in clip.labels
        )
        span = "" if clip.whole else f' <span class="muted">{_text(clip.span)} s</span>'
        cards += (
            f'<div class="clip">{pictures.clip_picture(clip, reader, classifier)}'
            f"<div>{_text(clip.name)}{span}</div><div>Label: {true or 'none'}</div>"
            f'<div>Scores: <span class="wrong">{best}</span></div></div>'
        )
    return (
        f"<h2>Errors</h2><p>The {len(chosen)} misclassified clips with the largest loss, "
        f'worst first.</p><div class="clips">{cards}</div>'
    )


def _left_out(counts: Mapping[str, Any]) -> str:
    unreadable = counts["failures"]["unreadable"]
    others = counts.get("left_out", [])
    if not unreadable and not others:
        return "<h2>Left out</h2><p>Nothing: all files were read.</p>"
    reasons, names = (
        "".join(f"<li>{_text(one)}</li>" for one in some[:_MOST_LISTED])
        for some in (list(unreadable.values()), others)
    )
    return (
        f"<h2>Left out</h2><p>Unreadable clips: {len(unreadable)}.</p><ul>{reasons}</ul>"
        f"<p>Files of other types: {len(others)}.</p><ul>{names}</ul>"
    )
