# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Model card: a model's architecture, training data, input, results and limits."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.publishing.options import ExportOptions
from mmv_tf.util.safe_files import read_json
from mmv_tf.version import __version__

_UNSTATED = "Not stated by whoever exported this model."
# Parts of a results file that are not results.
_NOT_METRICS = (
    *("protocol", "environment", "clips", "model", "data", "labels", "model_sha256", "paths"),
    *("counts", "changed", "reported", "splits", "resamplings", "items", "among"),
    *("selection", "chance"),
)


@dataclasses.dataclass(frozen=True)
class CardDetails:
    """Details that only the person who publishes a model knows.

    Args:
      name: the model's name.
      data: its training data.
      licence: license of the weights.
      results: files that `mmv evaluate` wrote.
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
) -> str:
    """Return the card in Markdown.

    Args:
      model: the model.
      contract: see `make_contract`.
      options: options of the export.
      details: facts that the model does not contain.

    Raises:
      ValueError: a results file isn't one.
    """
    return format_card(
        _INTRODUCTION, _architecture(model, options), model.metadata, contract, details, _LIMITS
    )


def format_card(
    introduction: str,
    architecture: str,
    metadata: Mapping[str, Any],
    contract: Mapping[str, Any],
    details: CardDetails,
    limits: str,
) -> str:
    """Return a card in Markdown.

    Args:
      introduction, architecture, limits: texts of these sections.
      metadata: the model's; "data" and "licence" are used where `details` lack them.
      contract, details: see `write_card`.

    Raises:
      ValueError: a results file isn't one.
    """
    data = details.data or literal(metadata.get("data") or "") or _UNSTATED
    licence = details.licence or literal(metadata.get("licence") or "") or _UNSTATED
    sections = {
        f"# {details.name}": introduction,
        "## Architecture": architecture,
        "## Training data": data,
        "## License of the weights": licence,
        "## Input contract": _input_contract(contract),
        "## Results": "\n".join(_results(details.results)),
        "## Limits": limits,
    }
    return "\n\n".join(f"{title}\n\n{text.strip()}" for title, text in sections.items()) + "\n"


_INTRODUCTION = f"""A MultiModal Versatile network (Alayrac et al., NeurIPS 2020, arXiv
2006.16228) that puts video, audio and text into spaces where they can be compared. Exported by
mmv_tf {__version__}; it loads with TensorFlow alone, see `example.py`. The files' SHA-256 sums
are in `SHA256SUMS`."""

_LIMITS = """- Embeddings show what is alike in the model's training data, gaps and
  biases included; they are no evidence about a person, and not for identifying or judging one.
- English words of the vocabulary only; other words are left out, and word order plays no part. A
  sentence with no known word gives the same embedding as any other such.
- Clips, images and audio unlike those of the training data (other frame rates, sample rates,
  sizes) are embedded without a warning, and worse.
- The results above hold for the protocols they name and the data they were measured on."""


def literal(text: str) -> str:
    """Return a file's text as one line that Markdown shows literally, without links or tables."""
    return re.sub(r"([\\`*_\[\]<#|!&~])", r"\\\1", " ".join(str(text).split()))


def _code(text: str) -> str:
    """Return a file's name in a code span, within a table too."""
    return f"`{' '.join(str(text).split()).replace('`', '').replace('|', '')}`"


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
        lines.append("- Embeddings have unit length: a dot product is a cosine")
    else:
        lines.append("- Embeddings are not normalized: divide by their length for cosines")
    if options.checked:
        lines.append("- Signatures refuse wrong input with an error that says why")
    return "\n".join(lines)


def _input_contract(contract: Mapping[str, Any]) -> str:
    rows = ["| signature | input | outputs |", "|---|---|---|"]
    for name, signature in contract["signatures"].items():
        source = signature["input"]
        meaning = f"{source['dtype']}, {source['meaning']}"
        if source.get("sample_rate"):
            meaning += f", {source['sample_rate']} Hz"
        outputs = ", ".join(
            f"{_code(key)} {['?' if size is None else size for size in shape]}".replace("'", "")
            for key, shape in signature["outputs"].items()
        )
        rows.append(f"| `{name}` | {meaning} | {outputs} |")
    trained = ", ".join(f"{key} {value}" for key, value in contract["trained_at"].items())
    if trained:
        rows.append(f"\nSizes are free; it was trained at: {trained}.")
    return "\n".join(rows)


def _results(paths: Sequence[str | os.PathLike[str]]) -> Iterator[str]:
    if not paths:
        yield "None were given when this network was exported."
        return
    yield "| protocol | metric | value |"
    yield "|---|---|---|"
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
        for metric, value in _numbers(metrics):
            yield f"| {_code(name)} | {literal(metric)} | {value:.6g} |"


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield all numbers in nested dicts, with the keys that lead to them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _NOT_METRICS:
                yield from _numbers(inner, f"{path}, {key}" if path else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value
