# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The wheel: what is in it, and that it works installed."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from mmv_tf.version import __version__

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("mmv_tf", "binaries", "configs")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """Built of a copy of the sources, so that nothing is left behind in the tree."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # With what must stay out, tests and benchmarks.
    for name in (*PACKAGES, "tests", "benchmarks", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    output = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--no-index", "--wheel-dir", output, source),
    )
    (built,) = output.glob("*.whl")
    return built


def run(*words: object, cwd: pathlib.Path | None = None) -> str:
    """A program's output; fails with what it says if it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_contents(wheel):
    """Every module and data file of the three packages, their metadata, and nothing else."""
    assert wheel.name == f"mmv_tf-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"mmv_tf-{__version__}.dist-info/METADATA").decode()
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == expected
    print("\n".join(sorted(inside)))
    assert any(name.endswith("LICENSE") for name in names - inside)
    assert "License-Expression: Apache-2.0" in metadata or "License: Apache-2.0" in metadata


@pytest.mark.slow
def test_installed_in_a_fresh_environment_it_works(wheel, tmp_path):
    """Its dependencies are this environment's; the package is the wheel's, not the tree's."""
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"),
        *("--no-index", "--no-compile", wheel),
    )
    site = pathlib.Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    code = (
        "import mmv_tf, binaries, configs, importlib.metadata;"
        "print(mmv_tf.__file__, binaries.__file__, configs.__file__);"
        "print(importlib.metadata.version('mmv_tf'));"
        "print(mmv_tf.losses.nce([[1.0, 0.0]], [[0.0, 1.0]]).shape)"
    )
    files, version, shape = run(python, "-c", code, cwd=tmp_path).splitlines()[-3:]
    assert all(path.startswith(str(site)) for path in files.split())
    assert (version, shape) == (__version__, "()")
    said = run(python, "-m", "mmv_tf", "import_checkpoint", "--help", cwd=tmp_path)
    assert "--checkpoint" in said
