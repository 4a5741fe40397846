# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Features on disk, in parts that are written atomically, so that interrupted work can resume.

A store is a folder with `description.json` (the origin of the features) and part-00000.npz,
part-00001.npz, ... or the same in Parquet. A part holds "id" [n] (strings), "version" [n] (size and
modification time of the media), "windows" [n] (number of rows per item) and each feature as
"NAME" [windows of all n, dim]. `sums.json` holds the SHA-256 of each part. A damaged part is
deleted with a warning, and its items are recomputed.
"""

from __future__ import annotations

import json
import logging
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.util import files
from mmv_tf.util.files import read_regular
from mmv_tf.util.safe_files import read_json, read_npz

logger = logging.getLogger(__name__)

FORMATS = ("npz", "parquet")
SUMS = "sums.json"
_PART = re.compile(r"part-(\d{5,})")
_MAX_DESCRIPTION_BYTES = 1 << 20  # ours; a description is about 2 kB
DESCRIPTION = "description.json"
_OWN = ("id", "version", "windows")


def media_version(path: pathlib.Path) -> str:
    """Return a string that changes whenever the file changes."""
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"


class FeatureStore:
    """A feature store, indexed by item id.

    Args:
      directory: the folder, which is created if needed.
      description: plain values that the features depend on; a folder with other values is rejected.
      part_items: items per part, the most that an interruption can lose; the default is ours.
      file_format: "npz" or "parquet" (which needs pyarrow).

    Raises:
      ValueError: the folder holds other features, or pyarrow is missing.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        description: Mapping[str, Any],
        part_items: int = 256,
        file_format: str = "npz",
    ):
        if file_format not in FORMATS:
            raise ValueError(f"The format is {file_format!r}; use one of {', '.join(FORMATS)}.")
        if file_format == "parquet":
            _pyarrow()
        self.directory = directory
        self._format = file_format
        self._part_items = part_items
        self._waiting: list[tuple[str, str, dict[str, np.ndarray]]] = []
        self._last: tuple[pathlib.Path, dict[str, np.ndarray]] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        files.remove_unfinished(directory)
        self._describe({**description, "format": file_format})
        # id -> (version, part, index in it)
        self._known: dict[str, tuple[str, pathlib.Path, int]] = {}
        self._sums = self._read_sums()
        self._next = 0
        for part in sorted(directory.glob(f"part-*.{file_format}")):
            match = _PART.fullmatch(part.stem)
            if match is None:
                continue
            self._next = int(match[1]) + 1
            try:
                found = self._checked_part(part)
            except (OSError, ValueError) as error:
                logger.warning("%s can't be read (%s); recomputing its items.", part, error)
                _remove(part)
                continue
            for place, (name, version) in enumerate(
                zip(found["id"].tolist(), found["version"].tolist(), strict=True)
            ):
                self._known[name] = (version, part, place)

    def _describe(self, description: Mapping[str, Any]) -> None:
        text = json.dumps(description, indent=1, sort_keys=True) + "\n"
        path = self.directory / DESCRIPTION
        if path.exists():
            if read_regular(path, _MAX_DESCRIPTION_BYTES) != text.encode():
                raise ValueError(
                    f"{self.directory} holds features from another model, from other views or in "
                    "another format; choose another folder or delete this one."
                )
        else:
            files.write_text(text, path)

    def has(self, item_id: str, version: str) -> bool:
        """Return whether the store has features for this version of an item."""
        return item_id in self._known and self._known[item_id][0] == version

    def add(self, item_id: str, version: str, features: Mapping[str, np.ndarray]) -> None:
        """Add an item's features, name -> float32 [windows, dim]; full parts are written.

        Raises:
          ValueError: a feature is not finite.
        """
        for name, values in features.items():
            if not np.isfinite(values).all():
                raise ValueError(
                    f"{item_id}: its {name!r} is not finite (NaN or infinity) and is not stored; "
                    "check the model."
                )
        self._waiting.append((item_id, version, dict(features)))
        if len(self._waiting) >= self._part_items:
            self.flush()

    def flush(self) -> None:
        """Write the items that are not yet in a part."""
        if not self._waiting:
            return
        names = list(self._waiting[0][2])
        arrays: dict[str, np.ndarray] = {
            "id": np.array([name for name, _, _ in self._waiting]),
            "version": np.array([version for _, version, _ in self._waiting]),
            "windows": np.array([len(found[names[0]]) for _, _, found in self._waiting]),
        }
        for name in names:
            arrays[name] = np.concatenate([found[name] for _, _, found in self._waiting])
        part = self.directory / f"part-{self._next:05d}.{self._format}"
        with files.replacing(part) as temporary:
            if self._format == "npz":
                np.savez(temporary, **arrays)  # type: ignore[arg-type]
            else:
                _write_parquet(temporary, arrays)
            self._sums[part.name] = files.file_sha256(temporary)
        # If killed here, a part without a checksum remains, of which only the form is checked.
        files.write_text(json.dumps(self._sums, indent=1) + "\n", self.directory / SUMS)
        for place, (name, version, _) in enumerate(self._waiting):
            self._known[name] = (version, part, place)
        self._next += 1
        self._waiting = []

    def load(self, item_ids: Sequence[str], name: str) -> list[np.ndarray]:
        """Return a feature of items, float32 [windows, dim] each, in the given order.

        Raises:
          KeyError: an item is missing.
          ValueError: a file was damaged after opening the store.
        """
        self.flush()
        by_part: dict[pathlib.Path, list[tuple[int, int]]] = {}
        for index, item_id in enumerate(item_ids):
            _, part, place = self._known[item_id]
            by_part.setdefault(part, []).append((index, place))
        result: list[np.ndarray] = [np.empty(0)] * len(item_ids)
        for part, places in by_part.items():
            found = self._read_part(part, ("windows", name))
            ends = np.cumsum(found["windows"])
            for index, place in places:
                result[index] = found[name][ends[place] - found["windows"][place] : ends[place]]
        return result

    def features(self, item_id: str) -> dict[str, np.ndarray]:
        """Return an item's features, as given to `add`.

        The part stays in memory, so that its other items are read at once.

        Raises:
          KeyError: the item is missing.
          ValueError: a file was damaged after opening the store.
        """
        self.flush()
        _, part, place = self._known[item_id]
        if self._last is None or self._last[0] != part:
            self._last = part, self._read_part(part, None)
        found = self._last[1]
        end = int(found["windows"][: place + 1].sum())
        rows = slice(end - int(found["windows"][place]), end)
        return {name: values[rows] for name, values in found.items() if name not in _OWN}

    def _read_sums(self) -> dict[str, str]:
        path = self.directory / SUMS
        try:
            return read_json(path, {str: str})
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            logger.warning(
                "%s; checking only the structure of the parts, not their content.", error
            )
            return {}

    def _checked_part(self, part: pathlib.Path) -> dict[str, np.ndarray]:
        """Return the ids and versions in a part; without a sum, only its form is checked.

        Raises:
          ValueError: the part is damaged.
          OSError: the part can't be read.
        """
        expected = self._sums.get(part.name)
        files.check_content(part, sha256=expected)
        found = self._read_part(part, None if expected is None else _OWN)
        windows = found["windows"]
        features = [values for name, values in found.items() if name not in _OWN]
        if not (
            all(found[name].ndim == 1 and len(found[name]) == len(windows) for name in _OWN)
            and windows.dtype.kind in "iu"
            and (windows >= 0).all()
            and all(values.ndim == 2 and len(values) == windows.sum() for values in features)
        ):
            raise ValueError("its columns don't match each other")
        return found

    def _read_part(self, part: pathlib.Path, names: Sequence[str] | None) -> dict[str, np.ndarray]:
        """Return columns of a part; all if `names` is None."""
        if self._format == "parquet":
            return _read_parquet(part, names)
        return read_npz(part, names)


def _remove(part: pathlib.Path) -> None:
    if part.is_dir():
        raise ValueError(f"{part} is a folder; delete it.")
    part.unlink()


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError(
            "Parquet needs pyarrow; install mmv_tf[parquet], or write npz (--format=npz)."
        ) from None
    return pyarrow


def _write_parquet(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write one row per window: "id", "version", "window" and features of fixed length."""
    pyarrow = _pyarrow()
    windows = arrays["windows"]
    columns: dict[str, Any] = {
        "id": np.repeat(arrays["id"], windows),
        "version": np.repeat(arrays["version"], windows),
        "window": np.concatenate([np.arange(count) for count in windows]),
    }
    for name, values in arrays.items():
        if name not in _OWN:
            flat = pyarrow.array(np.ascontiguousarray(values, np.float32).reshape(-1))
            columns[name] = pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _read_parquet(path: pathlib.Path, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    try:
        return _parquet_columns(path, names)
    except OSError:
        raise
    # Damage causes many errors: Arrow's own, KeyError, ValueError, UnicodeDecodeError, ...
    except Exception as error:
        raise ValueError(f"{path}: is not a complete part ({error})") from error


def _parquet_columns(path: pathlib.Path, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    pyarrow = _pyarrow()
    rows = ("id", "version", "window")
    if names is None:
        names = [name for name in pyarrow.parquet.read_schema(path).names if name not in rows]
    features = [name for name in names if name not in _OWN]
    table = pyarrow.parquet.read_table(path, columns=[*rows, *features])
    first = np.flatnonzero(table["window"].to_numpy() == 0)
    found = {
        "id": np.array(table["id"].to_pylist(), str)[first],
        "version": np.array(table["version"].to_pylist(), str)[first],
        "windows": np.diff(np.append(first, len(table))),
    }
    for name in features:
        column = table[name].combine_chunks()
        found[name] = column.flatten().to_numpy().reshape(len(column), -1)
    return found
