# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The wheel: what is in it, and that it works installed."""

from __future__ import annotations

import email
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time
import zipfile

import pytest

from mmv_tf.programs import launcher
from mmv_tf.version import __version__
from tests import installed
from tests.documentation import commands_run_test

pytestmark = pytest.mark.slow
ROOT = installed.ROOT
# Ours: what a newcomer waits for. TensorFlow's wheel alone takes 1.9 GB of the bytes.
MOST_INSTALL_SECONDS = 120.0
MOST_SECONDS = 600.0
MOST_BYTES = 2.8e9


def metadata(wheel: pathlib.Path) -> email.message.Message:
    """The wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"mmv_tf-{__version__}.dist-info/METADATA"))


def test_contents(wheel):
    """Every file of the package and the configurations, and nothing else."""
    assert wheel.name == f"mmv_tf-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (top_level,) = archive.read(f"mmv_tf-{__version__}.dist-info/top_level.txt").split()
    inside = {name for name in names if ".dist-info/" not in name}
    expected = {
        target + path.relative_to(ROOT / folder).as_posix()
        for folder, target in (("mmv_tf", "mmv_tf/"), ("configs", "mmv_tf/configs/"))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == expected
    assert top_level == b"mmv_tf"
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert wheel.stat().st_size < 3_000_000


def test_metadata(wheel):
    message = metadata(wheel)
    assert message["License-Expression"] == "Apache-2.0"
    assert message["Requires-Python"] and message["Keywords"] and message["Summary"]
    assert len(message.get_all("Classifier")) > 8
    labels = {line.partition(",")[0] for line in message.get_all("Project-URL")}
    assert {"Repository", "Documentation", "Issues", "Changelog"} <= labels
    readme = message.get_payload()
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert len(links) > 10
    assert [link for link in links if not re.match(r"https://|#", link)] == []


def test_installed_it_works_outside_the_tree(programs, tmp_path):
    environment = installed.variables(programs)
    code = (
        "import mmv_tf, importlib.metadata\n"
        "print(mmv_tf.__file__)\n"
        "print(importlib.metadata.version('mmv_tf'))\n"
        "print(mmv_tf.losses.nce([[1.0, 0.0]], [[0.0, 1.0]]).shape)\n"
        "for name in ('binaries', 'configs', 'tests', 'examples'):\n"
        "    try:\n"
        "        __import__(name)\n"
        "    except ModuleNotFoundError:\n"
        "        continue\n"
        "    raise SystemExit(f'{name} is installed')\n"
    )
    said = installed.run(programs / "python", "-c", code, cwd=tmp_path, env=environment)
    file, version, shape = said.splitlines()[-3:]
    assert pathlib.Path(file).is_relative_to(programs.parent)
    assert (version, shape) == (__version__, "()")
    listed = installed.run("mmv", "--help", cwd=tmp_path, env=environment)
    for name in launcher.programs():
        assert f"\n  {name} " in listed
    said = installed.run(
        *("mmv", "train", "--config=quickstart", "--output=run", "--print_config"),
        cwd=tmp_path,
        env=environment,
    )
    assert "training.steps" in said
    assert list(tmp_path.iterdir()) == []


def disk_bytes(folder: pathlib.Path) -> int:
    """What a folder takes on the disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


@pytest.mark.skipif(shutil.disk_usage("/tmp").free < 6e9, reason="needs 6 GB of disk")
def test_from_nothing_to_an_answered_sentence(wheel, tmp_path):
    """A bare environment, pip install with its downloads, and README's recipes.

    It prints a transcript (pytest -s). The limits are for two idle cores and a fast network.
    """
    started = time.monotonic()
    environment = tmp_path / "environment"
    installed.run(sys.executable, "-m", "venv", environment)
    said = subprocess.run(
        [environment / "bin" / "pip", "install", "--quiet", "--no-cache-dir", wheel],
        capture_output=True,
        text=True,
        check=False,
    )
    if re.search("connection broken|Max retries|from versions: none", said.stderr):
        pytest.skip("no package index can be reached")
    assert said.returncode == 0, said.stderr[-2000:]
    install_seconds = time.monotonic() - started
    size = disk_bytes(environment)
    print(f"\n$ pip install {wheel.name}\n{size / 1e9:.2f} GB, {install_seconds:.0f} s")

    folder = tmp_path / "empty"
    (folder / "videos").mkdir(parents=True)
    commands_run_test.write_narrated_film(folder / "videos" / "soup.mp4")
    variables = installed.variables(environment / "bin")
    recipes = [
        command.words
        for heading in ("Train on my videos", "Search my videos")
        for command in commands_run_test.under("README.md", heading)
    ]
    for words in recipes:
        if words[1:3] != ("search", "serve"):
            begun = time.monotonic()
            words = commands_run_test.known(words)
            text = installed.run(*words, cwd=folder, env=variables, seconds=MOST_SECONDS)
            print(f"$ {shlex.join(words)}\n{text.strip()}\n[{time.monotonic() - begun:.0f} s]")
    assert "soup.mp4" in text  # the query's answer
    total = time.monotonic() - started
    print(f"{total:.0f} s in all")
    assert size < MOST_BYTES
    assert install_seconds < MOST_INSTALL_SECONDS
    assert total < MOST_SECONDS
