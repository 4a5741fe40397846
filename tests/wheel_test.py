# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The wheel: what is in it, and that it works installed."""

from __future__ import annotations

import email
import pathlib
import re
import zipfile

import pytest

from mmv_tf.programs import launcher
from mmv_tf.version import __version__
from tests import installed

pytestmark = pytest.mark.slow
ROOT = installed.ROOT
# The issue of the first contact asks for these.
MOST_INSTALL_SECONDS = 120.0
MOST_SECONDS = 600.0


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
