# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Evaluate a model with a declared protocol, or test whether two results differ.

  mmv evaluate --protocol=narrated_film --model=RUN --data=DIR --output=results.json
  mmv evaluate --protocol=hmdb51_linear --model=RUN --data=HMDB51 --output=a.json
  mmv evaluate --compare a.json b.json

Prints a table, and writes the results as JSON and each item's score to OUTPUT.items.npz. The
protocols are listed in docs/evaluation.md.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from mmv_tf.data.file_types import is_media
from mmv_tf.evaluation import (
    BENCHMARKS,
    PROTOCOLS,
    Evaluation,
    Options,
    changed,
    compare,
    run_benchmark,
    run_protocol,
)
from mmv_tf.evaluation.report import format_benchmark, format_comparison, format_results
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.training import load_model
from mmv_tf.training.run_folder import initial_file
from mmv_tf.util import command_line
from mmv_tf.util import files as files_lib
from mmv_tf.util.configuration import write_json
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import media_folder, storage_flags, updated_folder

# A protocol from earlier versions.
_MOVED = "narrated_world"
_PROTOCOL = flags.DEFINE_enum(
    "protocol",
    None,
    sorted([*PROTOCOLS, *BENCHMARKS, _MOVED]),
    "The evaluation protocol.",
)
_MODEL = define_network_flags(required=False, image_model=True)
_DATA = flags.DEFINE_string(
    "data",
    None,
    "Media folder; for narrated_film, the shard folder.",
)
_LISTS = flags.DEFINE_string(
    "lists", None, "File or folder with the published lists; default: --data."
)
_OUTPUT = flags.DEFINE_string("output", None, "Results file (JSON).")
_FEATURES = flags.DEFINE_string(
    "features", None, "Folder for cached features; default: `features` beside --output."
)
_ALLOW_MISSING = flags.DEFINE_integer(
    "allow_missing", 0, "Number of missing or unreadable items to tolerate.", lower_bound=0
)
_C = flags.DEFINE_string(
    "C", "chosen", "C for the linear SVM: chosen (on held-out videos), published, or a number."
)
_CHANGES = command_line.define_overrides(
    "protocol", "Change a setting of the protocol; the results record the change."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Windows per batch.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed for views, order and initial weights.")
_EMBEDDINGS = flags.DEFINE_string(
    "embeddings", None, "With narrated_film, an .npz file to write all embeddings to."
)
_COMPARE = flags.DEFINE_list(
    "compare", None, "Two results files from the same protocol to compare."
)

storage_flags(
    inputs=["lists", "compare"],
    outputs=["output", "embeddings"],
    updated=["features"],
    last=["sums.json"],
)


def main(argv: list[str]) -> None:
    """Evaluate a model or compare two results."""
    del argv
    if _COMPARE.value is not None:
        _compare(_COMPARE.value)
        return
    if _PROTOCOL.value == _MOVED:
        raise command_line.UsageError(
            "narrated_world is now a separate project: python -m projects.narrated_world.evaluate "
            "--model=RUN --output=results.json."
        )
    for flag in (_PROTOCOL, _MODEL, _DATA, _OUTPUT):
        if flag.value is None:
            raise command_line.UsageError(f"--{flag.name} is missing; see --help.")
    if _PROTOCOL.value in BENCHMARKS:
        _benchmark()
    else:
        _protocol()
    print(f"Results are in {name_of(_OUTPUT.value)}.")


def _refuse(*given: flags.FlagHolder) -> None:
    for flag in given:
        if flag.value:
            raise command_line.UsageError(f"--{flag.name} can't be used with {_PROTOCOL.value}.")


def _protocol() -> None:
    _refuse(_LISTS, _FEATURES, _ALLOW_MISSING)
    if _CHANGES.value:
        raise command_line.UsageError(f"{_PROTOCOL.value} has no settings to change.")
    model = network_flags()
    model.refuse("image_model", "settings")
    encoder = model.load_encoder()
    before = initial_file(_MODEL.value)
    untrained = load_model(before) if before.exists() else None
    evaluation = run_protocol(PROTOCOLS[_PROTOCOL.value], encoder, _DATA.value, untrained)
    evaluation = evaluation.led_by(model=name_of(_MODEL.value), data=name_of(_DATA.value))
    print(format_results(evaluation.results))
    if _EMBEDDINGS.value:
        write_embeddings(evaluation, _EMBEDDINGS.value)
    evaluation.write(_OUTPUT.value)


def _benchmark() -> None:
    if _EMBEDDINGS.value:
        raise command_line.UsageError(
            "--embeddings supports only narrated_film; other features are cached in --features, or "
            "written by mmv embed."
        )
    output = pathlib.Path(_OUTPUT.value)
    features = _FEATURES.value or updated_folder(output.parent / "features", last=["sums.json"])
    benchmark = changed(BENCHMARKS[_PROTOCOL.value], _CHANGES.value)
    options = Options(
        features=pathlib.Path(features),
        lists=pathlib.Path(_LISTS.value) if _LISTS.value else None,
        allow_missing=_ALLOW_MISSING.value,
        C=_parse_C(_C.value),
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        changed=tuple(_CHANGES.value),
    )
    encoder = network_flags().load_encoder()
    data = pathlib.Path(media_folder(_DATA.value, is_media))
    outcome = run_benchmark(benchmark, encoder, data, options)
    paths = {"model": name_of(_MODEL.value), "data": name_of(_DATA.value)}
    outcome = outcome.led_by(paths=paths)
    print(format_benchmark(outcome.results))
    outcome.write(output)


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
        raise command_line.UsageError(f"--compare expects two results files; got {len(paths)}.")
    first, second = paths
    outcome = compare(first, second)
    print(format_comparison(outcome))
    if _OUTPUT.value:
        write_json({"compared": [name_of(path) for path in paths], "parts": outcome}, _OUTPUT.value)


def write_embeddings(evaluation: Evaluation, path: str) -> None:
    """Write the embeddings of all clips in both splits to an .npz file, with test clips marked."""
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
    """Allow `--compare a.json b.json`, with a space between the files."""
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
