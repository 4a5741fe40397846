# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The wheel, and an environment in which it is installed, outside the tree."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# What a wheel is built of, and folders that must stay out of it.
_FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
_FOLDERS = ("mmv_tf", "configs", "binaries", "tests", "benchmarks", "examples", "projects")


def run(
    *words: object,
    cwd: pathlib.Path | None = None,
    env: dict[str, str] | None = None,
    seconds: float = 300.0,
) -> str:
    """A program's output; fails with what it says if it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=seconds,
        check=False,
    )
    said = f"{' '.join(map(str, words))}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, said
    return done.stdout


def build_wheel(folder: pathlib.Path) -> pathlib.Path:
    """Builds it of a copy of the sources, so that nothing is left behind in the tree."""
    source = folder / "source"
    source.mkdir()
    for name in _FILES:
        shutil.copy(ROOT / name, source)
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--no-index", "--wheel-dir", folder, source),
    )
    (built,) = folder.glob("*.whl")
    return built


def make_environment(wheel: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Installs the wheel with the packages of this Python for its dependencies; returns bin."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"),
        *("--no-index", "--no-compile", wheel),
    )
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    pathlib.Path(site, "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


@contextlib.contextmanager
def first_on_the_path(programs: pathlib.Path) -> Iterator[None]:
    """Commands are those of an installed wheel, as a user has them, not of the tree."""
    with pytest.MonkeyPatch.context() as changes:
        for name, value in variables(programs).items():
            changes.setenv(name, value)
        changes.delenv("PYTHONPATH", raising=False)
        yield


def variables(programs: pathlib.Path) -> dict[str, str]:
    """The environment's variables of a user whose PATH begins with `programs`."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
