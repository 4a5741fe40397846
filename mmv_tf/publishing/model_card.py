# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Model card: a model's architecture, training data, input, results and limits."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.publishing.options import ExportOptions
from mmv_tf.publishing.run_card import data_section, settings_section, training_section
from mmv_tf.publishing.run_facts import RunFacts
from mmv_tf.util.markdown import code, literal
from mmv_tf.util.safe_files import read_json
from mmv_tf.version import __version__

_UNKNOWN = "Unknown: neither the model nor its exporter states {}."
# Parts of a results file that are not results.
_NOT_METRICS = (
    *("protocol", "environment", "clips", "model", "data", "labels", "model_sha256", "paths"),
    *("counts", "changed", "reported", "splits", "resamplings", "items", "among"),
    *(
        "selection",
        "chance",
        "intervals",
        "left_out",
        "count",
        "C",
        "classes",
        "unseen",
        "majority",
    ),
)


@dataclasses.dataclass(frozen=True)
class CardDetails:
    """Details that the model's publisher knows, in addition to those of its run.

    Args:
      name: the model's name.
      data: training data; "" for the data that the run records.
      licence: the weights' license; "" for the license of the weights that they derive from, if
        known.
      results: files written by `mmv evaluate`.
    """

    name: str = "MMV model"
    data: str = ""
    licence: str = ""
    results: Sequence[str | os.PathLike[str]] = ()


def write_card(
    model: EmbeddingGraph,
    contract: Mapping[str, Any],
    options: ExportOptions,
    details: CardDetails,
    facts: RunFacts | None = None,
) -> str:
    """Return the card in Markdown.

    Args:
      model: the model.
      contract: see `make_contract`.
      options: export options.
      details: facts that the model does not contain.
      facts: facts about its training run; None if it does not come from a run.

    Raises:
      ValueError: a file given as results is not a results file.
    """
    return format_card(
        _INTRODUCTION,
        _architecture(model, options),
        model.metadata,
        contract,
        details,
        _LIMITS,
        facts,
    )


def format_card(
    introduction: str,
    architecture: str,
    metadata: Mapping[str, Any],
    contract: Mapping[str, Any],
    details: CardDetails,
    limits: str,
    facts: RunFacts | None = None,
) -> str:
    """Return a card in Markdown.

    Args:
      introduction, architecture, limits: texts for these sections.
      metadata: the model's metadata: its origin, and "data" and "licence" if `details` lack them.
      contract, details, facts: see `write_card`.

    Raises:
      ValueError: a file given as results is not a results file.
    """
    sections = {
        f"# {details.name}": introduction,
        "## Architecture": architecture,
        "## Origin": _origin(metadata, facts),
        "## Training data": _data(metadata, details, facts),
        "## Training": training_section(facts) if facts else "",
        "## License of the weights": _license(metadata, details, facts),
        "## Input contract": _input_contract(contract),
        "## Results": "\n".join(_results(details.results)),
        "## Limits": limits,
        "## Settings of the training run": settings_section(facts) if facts else "",
    }
    shown = {title: text.strip("\n") for title, text in sections.items() if text}
    return "\n\n".join(f"{title}\n\n{text}" for title, text in shown.items()) + "\n"


def _origin(metadata: Mapping[str, Any], facts: RunFacts | None) -> str:
    """Return the origin of weights that were imported or from which training started."""
    lines = []
    if facts is not None and facts.start.init_from:
        lines.append(f"- Training started from the weights of {code(_last(facts.start.init_from))}")
        for title, parts in (("Taken", facts.start.taken), ("Started anew", facts.start.new)):
            if parts:
                lines.append(f"- {title}: {', '.join(map(code, parts))}")
    elif facts is not None:
        lines.append("- Training started from random weights")
    titles = {"source": "Published at", "file": "File", "sha256": "SHA-256 of the file"}
    if facts is not None:
        titles["source"] = "The weights that training started from were published at"
    for key, title in titles.items():
        if metadata.get(key):
            lines.append(f"- {title}: {literal(metadata[key])}")
    return "\n".join(lines)


def _last(path: str) -> str:
    """Return the last part of a path; the rest is private."""
    return os.path.basename(os.path.normpath(path))


def _data(metadata: Mapping[str, Any], details: CardDetails, facts: RunFacts | None) -> str:
    stated = details.data or literal(metadata.get("data") or "")
    found = data_section(facts) if facts is not None else ""
    return "\n\n".join(filter(None, (stated, found))) or _UNKNOWN.format("the training data")


def _license(metadata: Mapping[str, Any], details: CardDetails, facts: RunFacts | None) -> str:
    inherited = literal(metadata.get("licence") or "")
    if details.licence or not inherited:
        return details.licence or _UNKNOWN.format("a license")
    if facts is None:
        return inherited
    return (
        f"{inherited}, the license of the weights that training started from; this model's "
        "exporter did not state a different one."
    )


_INTRODUCTION = f"""A MultiModal Versatile network (Alayrac et al., NeurIPS 2020, arXiv
2006.16228) that puts video, audio and text into spaces where they can be compared. Exported by
mmv_tf {__version__}; it loads with TensorFlow alone, see `example.py`. The files' SHA-256 sums
are in `SHA256SUMS`."""

_LIMITS = """- Embeddings reflect the similarities in the model's training data, gaps and
  biases included. They are not evidence about a person; do not use them to identify or judge
  anyone.
- Only English words in the vocabulary count; other words are dropped, and word order has no effect.
  All sentences without a known word have the same embedding.
- Clips, images and audio unlike the training data (other frame rates, sample rates,
  sizes) are embedded without a warning, and less accurately.
- The results above hold for the protocols they name and the data they were measured on."""


def _architecture(model: EmbeddingGraph, options: ExportOptions) -> str:
    lines = [f"- Embedding graph: {type(model).__name__}"]
    for modality in model.modalities:
        backbone = model.backbone(modality)
        spaces = ", ".join(f"{space} ({head.dim})" for space, head, _ in model.chain(modality))
        lines.append(
            f"- {modality}: {type(backbone).__name__}, {backbone.count_params():,} weights, "
            f"{backbone.feature_dim} features; spaces {spaces}"
        )
    lines.append(f"- Weights stored as {options.weights}")
    if options.fold_batch_norms:
        lines.append("- Batch norms are folded into the weights")
    if not options.trainable:
        lines.append("- For inference only: it can't be fine-tuned")
    if options.normalized:
        lines.append("- Embeddings have unit length: a dot product is a cosine similarity")
    else:
        lines.append("- Embeddings are not normalized: divide by their norm for cosine similarity")
    if options.checked:
        lines.append("- Signatures reject invalid input with an error that gives the reason")
    return "\n".join(lines)


def _input_contract(contract: Mapping[str, Any]) -> str:
    rows = ["| signature | input | outputs |", "|---|---|---|"]
    for name, signature in contract["signatures"].items():
        source = signature["input"]
        meaning = f"{source['dtype']}, {source['meaning']}"
        if source.get("sample_rate"):
            meaning += f", {source['sample_rate']} Hz"
        outputs = ", ".join(
            f"{code(key)} {['?' if size is None else size for size in shape]}".replace("'", "")
            for key, shape in signature["outputs"].items()
        )
        rows.append(f"| `{name}` | {meaning} | {outputs} |")
    trained = ", ".join(f"{key} {value}" for key, value in contract["trained_at"].items())
    if trained:
        rows.append(f"\nOther sizes are accepted; the model was trained at: {trained}.")
    return "\n".join(rows)


def _results(paths: Sequence[str | os.PathLike[str]]) -> Iterator[str]:
    if not paths:
        yield "Unknown: no results file of `mmv evaluate` was given or found."
        return
    yield "| protocol | metric | value | 95 % interval | by chance | items |"
    yield "|---|---|---|---|---|---|"
    for path in paths:
        try:
            results = read_json(path)
            protocol = results["protocol"]
            name = protocol if isinstance(protocol, str) else protocol.get("id") or protocol["name"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is not a results file of mmv evaluate: {type(error).__name__} {error}."
            ) from error
        metrics = {key: value for key, value in results.items() if key not in _NOT_METRICS}
        for metric, *columns in _rows(metrics):
            yield f"| {code(name)} | {literal(metric)} | {' | '.join(columns)} |"


def _rows(metrics: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str, str, str, str]]:
    """Yield all metrics in nested dicts: the path of keys with the name, and the columns."""
    for key, value in metrics.items():
        name = f"{path}, {key}" if path else str(key)
        if key in _NOT_METRICS or str(key).startswith("chance/"):
            continue
        if isinstance(value, Mapping):
            yield from _rows(value, name)
        elif _is_number(value):
            by_chance = metrics.get(f"chance/{key}", metrics.get("majority"))
            yield (
                name,
                f"{value:.6g}",
                _interval(metrics, key),
                _shown(by_chance) if not str(key).startswith("p_value") else "",
                _shown(metrics.get("count")),
            )


def _interval(metrics: Mapping[str, Any], key: str) -> str:
    """Return a metric's interval from "intervals", or that of a dict with one metric."""
    intervals = metrics.get("intervals")
    found = intervals.get(key) if isinstance(intervals, Mapping) else metrics.get("interval")
    if isinstance(found, list) and len(found) == 2 and all(map(_is_number, found)):
        return f"{found[0]:.4g} to {found[1]:.4g}"
    return ""


def _shown(value: Any) -> str:
    return f"{value:.4g}" if _is_number(value) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
