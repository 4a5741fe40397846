# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Configurations from files and the command line, and results to files."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import json
import os
import re
from collections.abc import Sequence
from typing import Any

import google_crc32c
import ml_collections
import numpy as np

from mmv_tf.util import files, safe_files
from mmv_tf.util.files import read_regular


def load_config(path: str, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Reads a configuration file and changes entries of it.

    Args:
      path: a Python file with `get_config(arg)`, or "FILE:ARG".
      overrides: "section.key=value"; the value is read as the type that the entry has.

    Returns:
      A locked ConfigDict.

    Raises:
      ValueError: for a file that is not there or an entry that does not exist (the nearest is
        named).
    """
    file, _, arg = path.partition(":")
    if not os.path.isfile(file):
        raise ValueError(f"There is no configuration file {file}; see configs/.")
    spec = importlib.util.spec_from_file_location("mmv_tf_configuration", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise ValueError(f"{file} has no function get_config(arg).")
    config = module.get_config(arg)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"{override!r} is not of the form section.key=value.")
        _override(config, key, value)
    return config.lock()


def _override(config: ml_collections.ConfigDict, key: str, text: str) -> None:
    *path, name = key.split(".")
    section: Any = config
    for step in [*path, name]:
        if not isinstance(section, ml_collections.ConfigDict) or step not in section:
            known = _keys(config)
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise ValueError(f"The configuration has no entry {key!r}; nearest: {near[0]!r}.")
        parent, section = section, section[step]
    parent[name] = _parse(text, section, key)


def _keys(config: ml_collections.ConfigDict, prefix: str = "") -> list[str]:
    keys = []
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            keys += _keys(value, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def _parse(text: str, old: Any, key: str) -> Any:
    if isinstance(old, ml_collections.ConfigDict):
        raise ValueError(f"{key!r} is a section with the entries {list(old)}, not a value.")
    try:
        if isinstance(old, str):
            return text
        # Tuples as Python writes them or as JSON's lists.
        read = ast.literal_eval if text.startswith("(") else json.loads
        value = read(text.lower() if isinstance(old, bool) else text)
    except (ValueError, SyntaxError) as error:
        raise ValueError(
            f"{key} is {text!r}; expected a {type(old).__name__}, like {old!r}."
        ) from error
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(old, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(value) is not type(old):
        raise ValueError(f"{key} is {text!r}; expected a {type(old).__name__}, like {old!r}.")
    return value


_ANY: safe_files.Form = {}  # any dict


def differences(old: Any, new: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """Where two nested dicts differ: (dotted key, the one's value, the other's), None if absent."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [(key, old, new)]
    found = []
    for name in sorted(set(old) | set(new)):
        found += differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
    return found


def read_json(path: str | os.PathLike[str], form: safe_files.Form = _ANY) -> Any:
    """A dict that `write_json` wrote.

    Args:
      path: of the file.
      form: see `safe_json.check_form`.

    Raises:
      ValueError: the file holds something else.
    """
    try:
        return safe_files.read_json(path, form)
    except ValueError as error:
        raise ValueError(f"{error}; restore the file, or choose another folder.") from error


def write_json(value: Any, path: str | os.PathLike[str]) -> None:
    """Writes JSON whole or not at all; NumPy's numbers are taken too."""
    files.write_text(_dumps(value) + "\n", path)


def write_checked_json(value: Any, path: str | os.PathLike[str]) -> None:
    """As `write_json`, with a checksum of the value; for what a later run relies on."""
    body = _dumps(value)
    crc = google_crc32c.value(body.encode())
    files.write_text(f'{{"crc32c": {crc}, "content":\n{body}\n}}\n', path)


def read_checked_json(path: str | os.PathLike[str]) -> Any:
    """A value that `write_checked_json` wrote.

    Raises:
      FileNotFoundError: there is none.
      ValueError: the file was damaged, or written without a checksum.
    """
    found = _CHECKED.fullmatch(read_regular(path, safe_files.MAX_BYTES))
    if found is None or int(found[1]) != google_crc32c.value(found[2]):
        raise ValueError(f"{path}: its checksum is missing or wrong.")
    try:
        return safe_files.parse_json(found[2])
    except ValueError as error:
        raise ValueError(f"{path}: {error}.") from None


_CHECKED = re.compile(rb'\{"crc32c": (\d+), "content":\n(.*)\n\}\n', re.DOTALL)


def _dumps(value: Any) -> str:
    return json.dumps(value, indent=1, default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"Can't write a {type(value).__name__} as JSON.")
