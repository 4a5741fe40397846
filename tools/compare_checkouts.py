# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares the results of two checkouts' programs on the same small data.

  python -m tools.compare_checkouts FIRST SECOND [--work=DIR]

Both checkouts prepare, train (deterministically), evaluate, embed, deflate, export, index and
search, see tools/small_job.py. Prints a line for each result: "equal", or "differs" with the
largest difference. The exit status is 1 if anything differs. --work=DIR keeps the files.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tools import small_job

_ANSWERS = pathlib.Path(__file__).with_name("network_answers.py")
# Values that vary between runs of the same checkout: times (also in the data's fingerprint),
# speeds, paths and versions.
_VARIES = re.compile(
    r"seconds|_ms$|speed|time|date|created|commit|version|environment|fingerprint|path"
)
_PLACES = re.compile(r"/[^\s\"]*mmv_tf_[^/\s\"]*/")

Values = dict[str, Any]


def main() -> int:
    """Run both, compare, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=pathlib.Path)
    parser.add_argument("second", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, help="keep the files in this new folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mmv_tf_") as temporary:
        work = options.work or pathlib.Path(temporary)
        folders = [work / "first", work / "second"]
        for checkout, folder in zip((options.first, options.second), folders, strict=True):
            run(checkout.resolve(), folder.resolve())
        same = [report(name, *map(read, folders)) for name, read in THINGS.items()]
    return 0 if all(same) else 1


def run(checkout: pathlib.Path, folder: pathlib.Path) -> None:
    """Run the job and collect its models' outputs; existing results are kept."""
    if (folder / "answers.npz").exists():
        return
    small_job.run(checkout, folder)
    small_job.run_python(checkout, folder, [str(_ANSWERS), str(folder)])


def report(name: str, first: Values, second: Values) -> bool:
    """Print and return whether a result is equal in both checkouts."""
    missing = sorted(first.keys() ^ second.keys())
    differing = {
        key: difference(first[key], second[key])
        for key in first
        if key in second and not equal(first[key], second[key])
    }
    if not missing and not differing:
        print(f"equal    {name} ({len(first)} values)", flush=True)
        return True
    largest = max(differing.values(), default=0.0)
    shown = [*missing, *differing][:4]
    print(
        f"differs  {name}: {len(differing)} of {len(first)} values, by {largest:.3g} at most; "
        f"{len(missing)} in one only: {', '.join(shown)}",
        flush=True,
    )
    return False


def equal(first: Any, second: Any) -> bool:
    """Compare bitwise; NaN equals NaN."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return (
            first.dtype == second.dtype
            and first.shape == second.shape
            and first.tobytes() == second.tobytes()
        )
    return type(first) is type(second) and (first == second or first != first != second)


def difference(first: Any, second: Any) -> float:
    """Return the largest difference between two values; infinity if they are not numbers."""
    try:
        return float(np.nanmax(np.abs(np.subtract(first, second, dtype=np.float64))))
    except (TypeError, ValueError):
        return float("inf")


def _files(folder: pathlib.Path, pattern: str) -> Iterator[tuple[str, pathlib.Path]]:
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not found:
        raise SystemExit(f"{folder}: no file {pattern}")
    return ((path.relative_to(folder).as_posix(), path) for path in found)


def read_bytes(pattern: str) -> Callable[[pathlib.Path], Values]:
    """Return a reader of whole files."""
    return lambda folder: {name: path.read_bytes() for name, path in _files(folder, pattern)}


def read_arrays(pattern: str) -> Callable[[pathlib.Path], Values]:
    """Return a reader of the arrays in .npz files, except "versions", which are file times."""

    def read(folder: pathlib.Path) -> Values:
        values = {}
        for name, path in _files(folder, pattern):
            with np.load(path, allow_pickle=True) as arrays:
                values.update({f"{name}/{k}": arrays[k] for k in arrays if k != "version"})
        return values

    return read


def read_json(pattern: str) -> Callable[[pathlib.Path], Values]:
    """Return a reader of the JSON values that don't vary between runs."""

    def read(folder: pathlib.Path) -> Values:
        values: Values = {}
        for name, path in _files(folder, pattern):
            _add_leaves(values, name, json.loads(path.read_text(encoding="utf-8")))
        return values

    return read


def _add_leaves(values: Values, name: str, value: Any) -> None:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if not (isinstance(key, str) and _VARIES.search(key)):
                _add_leaves(values, f"{name}/{key}", item)
    else:
        values[name] = _PLACES.sub("", value) if isinstance(value, str) else value


def read_checkpoints(folder: pathlib.Path) -> Values:
    """Return the variables of all checkpoints in the run."""
    import tensorflow as tf

    values = {}
    for index in sorted(folder.glob("run/checkpoints/step-*/state.index")):
        reader = tf.train.load_checkpoint(str(index.with_suffix("")))
        for name in reader.get_variable_to_shape_map():
            if not name.startswith("_CHECKPOINTABLE"):
                values[f"{index.parent.name}/{name}"] = np.asarray(reader.get_tensor(name))
    return values


def read_answers(kind: str) -> Callable[[pathlib.Path], Values]:
    """Return a reader of a model's outputs."""
    read = read_arrays("answers.npz")
    return lambda folder: {
        k: v for k, v in read(folder).items() if k.startswith(f"answers.npz/{kind}/")
    }


def read_index(folder: pathlib.Path) -> Values:
    """Return the arrays in the search index; its segment names end at random."""
    return {
        re.sub(r"-\w+/", "/", name): np.load(path, allow_pickle=False)
        for name, path in _files(folder, "index/segments/*/*.npy")
    }


THINGS: dict[str, Callable[[pathlib.Path], Values]] = {
    "shards": read_bytes("data/*.tfrecord"),
    "silent shards": read_bytes("silent/*.tfrecord"),
    "manifests": read_json("*/manifest.json"),
    "checkpoints": read_checkpoints,
    "settings of the run": read_json("run/*.json"),
    "trained network's answers": read_answers("run"),
    "results.json": read_json("results.json"),
    "scored items": read_arrays("results.items.npz"),
    "embeddings of the evaluation": read_arrays("embeddings.npz"),
    "features": read_arrays("features/*.npz"),
    "network's fingerprint": read_json("features/description.json"),
    "deflation's report": read_json("image.json"),
    "deflated network's answers": read_answers("image"),
    "export's answers": read_answers("saved_model"),
    "index": read_index,
    "answers of the search": read_json("printed/query.txt"),
}


if __name__ == "__main__":
    sys.exit(main())
