# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Configurations from files and the command line, and JSON result files."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import json
import os
import pathlib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import google_crc32c
import ml_collections
import numpy as np
from absl import flags
from ml_collections import config_flags

from mmv_tf.util import files, safe_files
from mmv_tf.util.command_line import UsageError
from mmv_tf.util.files import read_regular


def load_config(path: str, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Read a configuration file and change some settings.

    Args:
      path: a Python file with `get_config(arg)`, or the name of a configuration in the package,
        such as "quickstart"; with an argument, "FILE:ARG" or "NAME:ARG".
      overrides: see `override`.

    Returns:
      A locked ConfigDict.

    Raises:
      ValueError: the file does not exist, or as for `override`.
    """
    name, _, arg = path.partition(":")
    file = config_file(name)
    spec = importlib.util.spec_from_file_location("mmv_tf_configuration", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise ValueError(f"{file} has no function get_config(arg).")
    return override(module.get_config(arg), overrides, "config")


def config_file(name: str) -> pathlib.Path:
    """Return the path to a configuration file, given its path or a name in the package.

    Raises:
      ValueError: it does not exist; the error lists the names.
    """
    path = pathlib.Path(name)
    if path.is_file():
        return path
    known = {file.stem: file for file in _config_folder().glob("[!_]*.py")}
    # A checkout's path, used outside the checkout.
    stem = name.removeprefix("configs/").removesuffix(".py")
    if stem not in known or name not in (stem, f"configs/{stem}.py"):
        names = ", ".join(sorted(known))
        raise ValueError(
            f"There is no configuration {name}; give a Python file, or one of {names}."
        )
    return known[stem]


def _config_folder() -> pathlib.Path:
    """Return the folder of the package's configurations; a checkout has it beside the package."""
    package = pathlib.Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def choose(arg: str, choices: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Parse a configuration file's argument: words separated by commas.

    Args:
      arg: at most one word of each kind, in any order, such as "tsm50,runlocal".
      choices: kind -> its words, the default first.

    Returns:
      Kind -> the word given, or its default.

    Raises:
      ValueError: a word is unknown, or two are of one kind.
    """
    found: dict[str, str] = {}
    for word in filter(None, arg.split(",")):
        kind = next((kind for kind, words in choices.items() if word in words), None)
        if kind is None or kind in found:
            every = "; ".join(" or ".join(words) for words in choices.values())
            problem = "unknown" if kind is None else "a second word from its group"
            raise ValueError(
                f"This config expects at most one word from each of these groups: {every}; "
                f"{word!r} is {problem}."
            )
        found[kind] = word
    return {kind: found.get(kind, words[0]) for kind, words in choices.items()}


def override(
    config: ml_collections.ConfigDict, settings: Sequence[str], flag: str
) -> ml_collections.ConfigDict:
    """Change settings in a configuration in place, and lock it.

    Args:
      config: the configuration.
      settings: "section.key=value"; `ml_collections.config_flags` parses the value as the setting's
        type.
      flag: the flag's name, for errors: --FLAG.section.key=value.

    Raises:
      UsageError: a setting is unknown (the closest is suggested), or a value has another type.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--{flag}.{setting} needs a value: --{flag}.{key}=value.")
        section, name = _entry(config, key, flag)
        values = flags.FlagValues()
        argv = ["", f"--{flag}.{setting}"]
        before = section[name]
        try:
            config_flags.DEFINE_config_dict(flag, config, flag_values=values, sys_argv=argv)
            values(argv)
            if section[name] in ((text,), (None,)):
                raise ValueError("config_flags takes any text for a tuple of it.")
        except (flags.Error, ValueError) as error:
            shown = ("first", "second") if before == () else before
            example = "" if before is None else f", like {shown!r}"
            raise UsageError(
                f"--{flag}.{setting}: expected {section.get_type(name).__name__}{example}."
            ) from error
    return config.lock()


def _entry(
    config: ml_collections.ConfigDict, key: str, flag: str
) -> tuple[ml_collections.ConfigDict, str]:
    """Return a setting's section, and its name there."""
    known = _keys(config)
    if key not in known:
        inside = [name for name in known if name.startswith(f"{key}.")]
        if inside:
            raise UsageError(
                f"--{flag}.{key} is a section, not a value; give --{flag}.{inside[0]}."
            )
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        raise UsageError(f"There is no --{flag}.{key}; nearest: --{flag}.{near[0]}.")
    *path, name = key.split(".")
    return functools.reduce(lambda section, step: section[step], path, config), name


def entries_of(config: ml_collections.ConfigDict) -> list[str]:
    """Return every setting of a configuration as the flag that sets it, quoted for a shell."""
    return [f"--config.{key}={shlex.quote(str(_value(config, key)))}" for key in _keys(config)]


def _value(config: ml_collections.ConfigDict, key: str) -> Any:
    return functools.reduce(lambda section, step: section[step], key.split("."), config)


def _keys(config: ml_collections.ConfigDict, prefix: str = "") -> list[str]:
    keys = []
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            keys += _keys(value, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


_ANY: safe_files.Form = {}  # any dict


def differences(old: Any, new: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """Return differences between two nested dicts: (dotted key, old, new), with None if absent."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [(key, old, new)]
    found = []
    for name in sorted(set(old) | set(new)):
        found += differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
    return found


def read_json(path: str | os.PathLike[str], form: safe_files.Form = _ANY) -> Any:
    """Read a dict written by `write_json`.

    Args:
      path: the file.
      form: see `safe_files.check_form`.

    Raises:
      ValueError: the file holds something else.
    """
    try:
        return safe_files.read_json(path, form)
    except ValueError as error:
        raise ValueError(f"{error}; restore the file, or choose another folder.") from error


def write_json(value: Any, path: str | os.PathLike[str]) -> None:
    """Write JSON atomically; NumPy numbers are allowed."""
    files.write_text(_dumps(value) + "\n", path)


def write_checked_json(value: Any, path: str | os.PathLike[str]) -> None:
    """Write JSON with a checksum of the value, for files that a later run relies on."""
    body = _dumps(value)
    crc = google_crc32c.value(body.encode())
    files.write_text(f'{{"crc32c": {crc}, "content":\n{body}\n}}\n', path)


def read_checked_json(path: str | os.PathLike[str]) -> Any:
    """Read a value written by `write_checked_json`.

    Raises:
      FileNotFoundError: the file does not exist.
      ValueError: the file is damaged, or was written without a checksum.
    """
    found = _CHECKED.fullmatch(read_regular(path, safe_files.MAX_BYTES))
    if found is None or int(found[1]) != google_crc32c.value(found[2]):
        raise ValueError(f"{path}: its checksum is missing or does not match.")
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
