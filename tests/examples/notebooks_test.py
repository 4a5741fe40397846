# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The notebooks run from top to bottom, and come to what their text says."""

from __future__ import annotations

import ast
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def cells(path: pathlib.Path) -> list[str]:
    """The source of its code cells."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_plain_python(path):
    for cell in cells(path):
        ast.parse(cell)


def run(path: pathlib.Path, directory: pathlib.Path, check: str) -> None:
    """Runs its cells and then `check`, in a process and folder of their own."""
    code = "\n".join([*cells(path), check])
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]


@pytest.mark.slow
def test_use_a_checkpoint(tmp_path):
    run(ROOT / "examples" / "use_a_checkpoint.ipynb", tmp_path, "assert difference < 1e-4")


@pytest.mark.slow
def test_train_and_search(tmp_path):
    # Chance is a quarter.
    run(ROOT / "examples" / "train_and_search.ipynb", tmp_path, "assert share > 0.5, share")
