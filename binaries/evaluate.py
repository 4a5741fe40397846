# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores a network by a declared protocol, or tells whether two runs differ.

  python -m binaries.evaluate --protocol=narrated_film --model=RUN --data=DIR --output=results.json
  python -m binaries.evaluate --protocol=hmdb51_linear --model=RUN --data=HMDB51 --output=a.json
  python -m binaries.evaluate --compare a.json b.json

Prints a table and writes the results as JSON; beside it, in OUTPUT.items.npz, what each item
scored. The protocols are listed in docs/evaluation.md.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from mmv_tf.evaluation import (
    BENCHMARKS,
    NARRATED_WORLD,
    PROTOCOLS,
    Evaluation,
    Options,
    changed,
    compare,
    run_benchmark,
    run_protocol,
    run_world_protocol,
    write_results,
)
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.training import load_model
from mmv_tf.training.checkpoints import NETWORK_FILE
from mmv_tf.util import command_line
from mmv_tf.util import files as files_lib
from mmv_tf.util.configuration import write_json

_PROTOCOL = flags.DEFINE_enum(
    "protocol",
    None,
    sorted([*PROTOCOLS, *BENCHMARKS, NARRATED_WORLD.name]),
    "What is scored, and how.",
)
_MODEL = define_network_flags(required=False, image_model=True)
_DATA = flags.DEFINE_string(
    "data",
    None,
    "Folder of the media; for narrated_film of the shards; narrated_world needs none.",
)
_LISTS = flags.DEFINE_string(
    "lists", None, "The published lists (a file or folder), if they are not in --data."
)
_OUTPUT = flags.DEFINE_string("output", None, "Results file (JSON).")
_FEATURES = flags.DEFINE_string(
    "features", None, "Folder of cached features; by default `features` beside --output."
)
_ALLOW_MISSING = flags.DEFINE_integer(
    "allow_missing", 0, "Listed items that may be missing or unreadable.", lower_bound=0
)
_C = flags.DEFINE_string(
    "C", "chosen", "Of a linear SVM: chosen (on held-out training videos), published, or a number."
)
_SET = flags.DEFINE_multi_string(
    "set", [], "Changes the protocol for a trial: test_views.windows=4; the results say so."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Windows at once.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of random views, order and weights.")
_EMBEDDINGS = flags.DEFINE_string(
    "embeddings", None, "narrated_film: also writes all embeddings to this .npz."
)
_COMPARE = flags.DEFINE_list("compare", None, "Two results files of one protocol.")


def main(argv: list[str]) -> None:
    """Reads the flags, evaluates or compares, prints and writes."""
    del argv
    if _COMPARE.value is not None:
        _compare(_COMPARE.value)
        return
    world = _PROTOCOL.value == NARRATED_WORLD.name
    for flag in (_PROTOCOL, _MODEL, _OUTPUT) if world else (_PROTOCOL, _MODEL, _DATA, _OUTPUT):
        if flag.value is None:
            raise command_line.UsageError(f"--{flag.name} is missing; see --help.")
    if world:
        _world()
    elif _PROTOCOL.value in BENCHMARKS:
        _benchmark()
    else:
        _protocol()
    print(f"Results are in {_OUTPUT.value}.")


def _refuse(*given: flags.FlagHolder) -> None:
    for flag in given:
        if flag.value:
            raise command_line.UsageError(f"--{flag.name} does not go with {_PROTOCOL.value}.")


def _world() -> None:
    _refuse(_DATA, _LISTS, _FEATURES, _ALLOW_MISSING, _EMBEDDINGS)
    protocol = changed(NARRATED_WORLD, _SET.value)
    outcome = run_world_protocol(protocol, network_flags().open_model(), _SET.value)
    results = {"paths": {"model": _MODEL.value}, **outcome.results}
    print(format_benchmark(results))
    write_results(results, outcome.scored, pathlib.Path(_OUTPUT.value))


def _protocol() -> None:
    _refuse(_LISTS, _FEATURES, _SET, _ALLOW_MISSING)
    model = network_flags().open_model()
    before = pathlib.Path(_MODEL.value) / NETWORK_FILE
    untrained = load_model(before) if before.exists() else None
    evaluation = run_protocol(PROTOCOLS[_PROTOCOL.value], model, _DATA.value, untrained)
    results = {"model": _MODEL.value, "data": _DATA.value, **evaluation.results}
    print(format_results(results))
    if _EMBEDDINGS.value:
        write_embeddings(evaluation, _EMBEDDINGS.value)
    write_results(results, evaluation.scored, _OUTPUT.value)


def _benchmark() -> None:
    if _EMBEDDINGS.value:
        raise command_line.UsageError(
            "--embeddings goes with narrated_film only; features are cached in --features, or "
            "written by binaries.embed."
        )
    output = pathlib.Path(_OUTPUT.value)
    benchmark = changed(BENCHMARKS[_PROTOCOL.value], _SET.value)
    options = Options(
        features=pathlib.Path(_FEATURES.value or output.parent / "features"),
        lists=pathlib.Path(_LISTS.value) if _LISTS.value else None,
        allow_missing=_ALLOW_MISSING.value,
        C=_parse_C(_C.value),
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        changed=tuple(_SET.value),
    )
    encoder = network_flags().load_encoder()
    outcome = run_benchmark(benchmark, encoder, pathlib.Path(_DATA.value), options)
    results = {"paths": {"model": _MODEL.value, "data": _DATA.value}, **outcome.results}
    print(format_benchmark(results))
    write_results(results, outcome.scored, output)


def _parse_C(text: str) -> str | float:
    if text in ("chosen", "published"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise command_line.UsageError(
            f"--C={text}: expected chosen, published or a number above 0."
        )
    return value


def _compare(paths: Sequence[str]) -> None:
    if len(paths) != 2:
        raise command_line.UsageError(f"--compare takes two results files, got {len(paths)}.")
    first, second = paths
    outcome = compare(first, second)
    print(format_comparison(outcome))
    if _OUTPUT.value:
        write_json({"compared": list(paths), "parts": outcome}, _OUTPUT.value)


def _unit(name: str) -> float:
    """What a metric is multiplied by to be shown."""
    return 1.0 if name in ("median_rank", "mean_rank", "d_prime") else 100.0


def format_benchmark(results: dict[str, Any]) -> str:
    """The metrics with their intervals, and what the paper reports."""
    protocol, counts = results["protocol"], results["counts"]
    lines = [
        f"{protocol['name']} version {protocol['version']}"
        + (f", changed: {', '.join(results['changed'])}" if results["changed"] else "")
    ]
    metrics = results["metrics"]
    parts = metrics if any("->" in name for name in metrics) else {"test": metrics}
    for part, values in parts.items():
        items = values.get("items", counts["scored"]["test"])
        lines.append(f"{part:<16}{items:>7} items   95 % interval")
        for name, metric in values.items():
            if not isinstance(metric, dict) or "value" not in metric:
                continue
            unit = _unit(name)
            shown = f"  {name:<14}{unit * metric['value']:8.2f}"
            if "interval" in metric:
                low, high = (unit * end for end in metric["interval"])
                shown += f"   {low:.2f} to {high:.2f}"
            if metric.get("skipped_classes"):
                shown += f"   ({metric['skipped_classes']} classes skipped)"
            lines.append(shown)
    for figure in results["reported"]:
        value = _unit(figure["metric"]) * figure["value"]
        lines.append(
            f"  paper: {figure['metric']} {value:.1f} ({figure['network']}; {figure['where']})"
        )
    gone = len(set(counts["missing"]) | set(counts["unreadable"]))
    lines.append(
        f"listed {counts['listed']['test']}, scored {counts['scored']['test']}, missing or "
        f"unreadable {gone}"
    )
    return "\n".join(lines)


def format_comparison(outcome: dict[str, dict[str, dict[str, Any]]]) -> str:
    """A line for each metric."""
    lines = [
        f"{'':<20}{'first':>9}{'second':>9}{'change':>9}   {'95 % interval':<20}{'p':>8}  verdict"
    ]
    for part, metrics in outcome.items():
        lines.append(part)
        for name, row in metrics.items():
            unit = _unit(name)
            low, high = (unit * end for end in row["interval"])
            verdict = "no significant difference"
            if row["significant"]:
                better = (row["difference"] > 0) != row["lower_is_better"]
                verdict = f"the second is {'better' if better else 'worse'}"
            lines.append(
                f"  {name:<18}{unit * row['first']:9.2f}{unit * row['second']:9.2f}"
                f"{unit * row['difference']:+9.2f}   {f'{low:+.2f} to {high:+.2f}':<20}"
                f"{row['p_value']:8.4f}  {verdict}"
            )
    return "\n".join(lines)


def format_results(results: dict[str, Any]) -> str:
    """The tables, as text."""
    lines = [
        f"{'retrieval':<16}{'n':>5}{'R@1':>7}{'R@5':>7}{'R@10':>7}{'median':>8}{'mean':>7}{'p':>9}"
    ]
    for name, metrics in results["retrieval"].items():
        for label, prefix, p_value in (
            (name, "", metrics["p_value"]),
            ("  chance", "chance/", None),
        ):
            recalls = "".join(f"{100 * metrics[f'{prefix}R@{k}']:7.1f}" for k in (1, 5, 10))
            shown = "" if p_value is None else f"{p_value:9.4f}"
            lines.append(
                f"{label:<16}{metrics['count']:>5}{recalls}{metrics[prefix + 'median_rank']:8.1f}"
                f"{metrics[prefix + 'mean_rank']:7.1f}{shown}"
            )
    probe = results.get("linear_probe", {})
    if probe:
        lines.append(
            f"{'linear probe':<16}{'n':>5}{'trained':>10}{'untrained':>11}{'majority':>10}"
        )
        for modality, metrics in probe["trained"].items():
            other = probe.get("untrained", {}).get(modality)
            untrained = "-" if other is None else f"{100 * other['accuracy']:.1f}"
            lines.append(
                f"{modality:<16}{metrics['count']:>5}{100 * metrics['accuracy']:10.1f}"
                f"{untrained:>11}{100 * metrics['majority']:10.1f}"
            )
    return "\n".join(lines)


def write_embeddings(evaluation: Evaluation, path: str) -> None:
    """All clips of both splits, test clips marked, as arrays in an .npz."""
    train, test = evaluation.train, evaluation.test
    arrays: dict[str, Any] = {
        key: np.concatenate([train.features[key], test.features[key]]) for key in train.features
    }
    for name in ("labels", "starts", "ends", "captions", "example_ids"):
        arrays[name] = np.concatenate([getattr(train, name), getattr(test, name)])
    arrays["is_test"] = np.repeat([False, True], [len(train), len(test)])
    with files_lib.replacing(path) as temporary:
        np.savez(temporary, **arrays)


def arguments(argv: Sequence[str]) -> list[str]:
    """Lets `--compare a.json b.json` be written with a space, as two files usually are."""
    arguments = list(argv)
    for flag in ("--compare", "-compare"):
        if flag in arguments:
            place = arguments.index(flag)
            files = arguments[place + 1 : place + 3]
            if len(files) == 2 and not any(file.startswith("-") for file in files):
                arguments[place : place + 3] = [f"--compare={','.join(files)}"]
    return arguments


if __name__ == "__main__":
    command_line.run(main, arguments(sys.argv))
