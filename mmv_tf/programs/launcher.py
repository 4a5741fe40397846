# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The command `mmv`: lists the programs and runs one of them.

Importing this module does not import TensorFlow, so that `mmv --help` responds at once.
"""

from __future__ import annotations

import ast
import importlib
import pathlib
import runpy
import sys
from collections.abc import Sequence

from mmv_tf.util.command_line import HELP_FLAGS, WRONG_USAGE, nearest, show
from mmv_tf.version import __version__

_FOLDER = pathlib.Path(__file__).parent
_NOT_PROGRAMS = {"__init__", "launcher"}
# Responds at once.
_WITHOUT_TENSORFLOW = {"completion"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run `mmv NAME ...`; exits with the program's status.

    Args:
      argv: the words after `mmv`; by default, those of the command line.
    """
    name, *arguments = list(sys.argv[1:] if argv is None else argv) or [""]
    if name in HELP_FLAGS or name == "help":
        show(_help())
    elif name in ("--version", "version"):
        print(f"mmv_tf {__version__}")
    elif (program := name.replace("-", "_")) in programs():
        run_program(program, arguments)
    else:
        guess = nearest(name, programs()) if name else None
        hint = f"did you mean {guess}?" if guess else f"expected one of {', '.join(programs())}."
        print(f"error: unknown program {name!r}; {hint} See mmv --help.", file=sys.stderr)
        sys.exit(WRONG_USAGE)


def run_program(name: str, arguments: Sequence[str] | None = None) -> None:
    """Run a program as the main module; exits with its status.

    Args:
      name: one of `programs()`.
      arguments: the words after the name; by default, those of the command line.
    """
    sys.argv = [f"mmv {name}", *(sys.argv[1:] if arguments is None else arguments)]
    if name not in _WITHOUT_TENSORFLOW:
        importlib.import_module("mmv_tf.util.quiet_start")
    runpy.run_module(f"{__package__}.{name}", run_name="__main__", alter_sys=True)


def programs() -> list[str]:
    """Return the names of the programs, sorted."""
    return sorted({path.stem for path in _FOLDER.glob("*.py")} - _NOT_PROGRAMS)


def summary(name: str) -> str:
    """Return the first line of a program's docstring, without importing it."""
    tree = ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def _help() -> str:
    lines = [f"  {name:<20}{summary(name)}" for name in programs()]
    return "\n".join(
        [
            "usage: mmv PROGRAM [--flag=value ...]",
            "",
            *lines,
            "",
            "mmv PROGRAM --help shows the flags of a program; mmv --version shows the version.",
        ]
    )
