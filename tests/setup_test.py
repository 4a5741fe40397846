# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The package's metadata, and the lock file that `make setup` installs."""

from __future__ import annotations

import pathlib
import re
import runpy
import subprocess
from typing import Any

import pytest
import setuptools
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
DOCS_LOCK = (ROOT / "requirements-docs.lock").read_text(encoding="utf-8")


@pytest.fixture
def metadata(monkeypatch) -> dict[str, Any]:
    """What setup.py hands to setuptools."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def lock_entries(lock: str) -> list[str]:
    """One string a package: requirement, marker and hashes."""
    return [entry for entry in re.split(r"\n(?=\S)", lock.replace("\\\n", "")) if entry.strip()]


def locked(python: str, lock: str) -> dict[str, Requirement]:
    """The packages that a lock installs on Linux with that Python."""
    environment = {str(key): str(value) for key, value in default_environment().items()}
    environment |= {"python_version": python, "python_full_version": f"{python}.1"}
    environment |= {"sys_platform": "linux", "platform_python_implementation": "CPython"}
    found: dict[str, Requirement] = {}
    for entry in lock_entries(lock):
        requirement = Requirement(entry.split(" --hash")[0])
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is locked twice for Python {python}"
            found[name] = requirement
    return found


def test_metadata(metadata):
    assert metadata["name"] == "mmv_tf"
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", metadata["version"])
    assert "mmv_tf.layers" in metadata["packages"]
    assert not [name for name in metadata["packages"] if name.startswith("tests")]
    assert {"cuda", "beam", "fast", "search", "serve", "test", "docs"} <= set(
        metadata["extras_require"]
    )
    for requirements in (metadata["install_requires"], *metadata["extras_require"].values()):
        for requirement in requirements:
            Requirement(requirement)  # raises if malformed


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_lock_covers_what_is_required(metadata, python):
    extras = metadata["extras_require"]
    required = [
        *metadata["install_requires"],
        *extras["test"],
        *extras["parquet"],
        *extras["fast"],
        "wheel",
    ]
    assert_locked(required, locked(python, LOCK))
    assert_locked(extras["docs"], locked(python, DOCS_LOCK))


def assert_locked(required: list[str], packages: dict[str, Requirement]) -> None:
    for text in required:
        wanted = Requirement(text)
        assert canonicalize_name(wanted.name) in packages, f"{text}: run make lock"
        (version,) = packages[canonicalize_name(wanted.name)].specifier
        assert wanted.specifier.contains(version.version), f"{text}: locked is {version}"


@pytest.mark.parametrize("lock", [LOCK, DOCS_LOCK], ids=["all", "docs"])
def test_lock_has_exact_versions_and_hashes(lock):
    for entry in lock_entries(lock):
        assert re.match(r"[A-Za-z0-9._-]+==[^ ;]+ ", entry), entry[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry[:80]


@pytest.mark.parametrize("lock", [LOCK, DOCS_LOCK], ids=["all", "docs"])
def test_lock_has_no_addresses(lock):
    assert "://" not in lock
    assert " @ " not in lock
    assert not re.search(r"^-|--(index-url|extra-index-url|find-links|trusted-host)", lock, re.M)


@pytest.mark.parametrize(
    ("python", "complaint"),
    [("{folder}/no-such-python", "does not run"), ("{folder}/old", "is Python 3.10")],
)
def test_setup_refuses_other_pythons_in_one_line(tmp_path, python, complaint):
    # A copy, so that a .venv that is in use stays as it is.
    (tmp_path / "tools").mkdir()
    script = (ROOT / "tools" / "setup.sh").read_text(encoding="utf-8")
    (tmp_path / "tools" / "setup.sh").write_text(script)
    (tmp_path / "requirements.lock").touch()
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho 3.10 /usr/bin/python3.10\n")
    old.chmod(0o755)
    run = subprocess.run(
        ["sh", str(tmp_path / "tools" / "setup.sh")],
        env={"PATH": "/usr/bin:/bin", "PYTHON": python.format(folder=tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert complaint in line
    assert "Install Python 3.11 or 3.12" in line
    assert not (tmp_path / ".venv").exists()
