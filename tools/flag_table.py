# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes the table of programs, commands and flags for `mmv completion`, read from the programs.

python -m tools.flag_table
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import pathlib
from typing import Any

from absl import flags

from mmv_tf.programs.launcher import programs, summary

ROOT = pathlib.Path(__file__).parents[1]
TABLE = ROOT / "mmv_tf" / "programs" / "flag_table.json"


def collect() -> dict[str, dict[str, Any]]:
    """Return "PROGRAM" or "PROGRAM COMMAND" -> {"summary": text, "flags": {name: its kind}}.

    The kind of a flag is the list of its values, "bool", or "text", which is completed by files.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mmv_tf.util.quiet_start", "mmv_tf.search", "mmv_tf.training"])
    names = programs()
    # A separate process for each, since programs define flags with the same names.
    with context.Pool(2, maxtasksperchild=1) as pool:
        commands = pool.map(_commands, names, chunksize=1)
        places = [
            (name, command)
            for name, own in zip(names, commands, strict=True)
            for command in ("", *own)
        ]
        return dict(pool.starmap(_entry, places, chunksize=1))


def text(table: dict[str, dict[str, Any]]) -> str:
    """Return the file's content."""
    return json.dumps(table, indent=1) + "\n"


def _commands(program: str) -> list[str]:
    return list(getattr(_module(program), "COMMANDS", {}))


def _entry(program: str, command: str) -> tuple[str, dict[str, Any]]:
    module = _module(program)
    about = summary(program)
    if command:
        define, _ = module.COMMANDS[command]
        define()
        about = (define.__doc__ or "").strip()
    defined = {
        flag.name: _kind(flag)
        for home, own in flags.FLAGS.flags_by_module_dict().items()
        if home.startswith("mmv_tf.")
        for flag in own
    }
    return f"{program} {command}".strip(), {
        "summary": about,
        "flags": dict(sorted(defined.items())),
    }


def _module(program: str) -> Any:
    return importlib.import_module(f"mmv_tf.programs.{program}")


def _kind(flag: flags.Flag) -> str | list[str]:
    values = getattr(flag, "enum_values", None) or getattr(flag.parser, "enum_values", None)
    if values:
        return [str(value) for value in values]
    return "bool" if flag.boolean else "text"


if __name__ == "__main__":
    TABLE.write_text(text(collect()), encoding="utf-8")
