# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The package's metadata, and the lock file that `make setup` installs."""

from __future__ import annotations

import pathlib
import re
import runpy
import subprocess
import tomllib
from typing import Any

import pytest
import setuptools
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
DOCS_LOCK = (ROOT / "requirements-docs.lock").read_text(encoding="utf-8")
PYTHONS = ["3.11", "3.12", "3.13"]
REPOSITORY = "https://github.com/mmv-tf/mmv_tf"
PICTURES = "https://raw.githubusercontent.com/mmv-tf/mmv_tf/main"


@pytest.fixture
def setup_script(monkeypatch) -> dict[str, Any]:
    """What setup.py defines, run without setting anything up."""
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: None)
    return runpy.run_path(str(ROOT / "setup.py"))


@pytest.fixture
def project() -> dict[str, Any]:
    """The table [project]."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lock_entries(lock: str) -> list[str]:
    """One string a package: requirement, marker and hashes."""
    return [entry for entry in re.split(r"\n(?=\S)", lock.replace("\\\n", "")) if entry.strip()]


def environment(python: str) -> dict[str, str]:
    """The variables of markers on Linux with that Python."""
    variables = {str(key): str(value) for key, value in default_environment().items()}
    variables |= {"python_version": python, "python_full_version": f"{python}.1"}
    return variables | {"sys_platform": "linux", "platform_python_implementation": "CPython"}


def locked(python: str, lock: str) -> dict[str, Requirement]:
    """The packages that a lock installs on Linux with that Python."""
    found: dict[str, Requirement] = {}
    for entry in lock_entries(lock):
        requirement = Requirement(entry.split(" --hash")[0])
        if requirement.marker is None or requirement.marker.evaluate(environment(python)):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is locked twice for Python {python}"
            found[name] = requirement
    return found


def test_base_needs_no_package_that_only_developers_or_some_users_need(project):
    base = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    extras = project["optional-dependencies"]
    assert {"tensorflow", "keras", "av", "starlette"} <= base
    for name in ("docs", "test", "beam", "search", "io", "text", "hub"):
        assert not base & {canonicalize_name(Requirement(text).name) for text in extras[name]}
    for text in (*project["dependencies"], *(one for extra in extras.values() for one in extra)):
        Requirement(text)  # raises if malformed


def test_every_extra_is_in_the_table_of_the_install_page(project):
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.M)
    assert sorted(listed) == sorted(project["optional-dependencies"])


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_covers_what_is_required(project, python):
    extras = project["optional-dependencies"]
    names = ("test", "text", "io", "hub", "parquet", "beam", "search", "serve", "fast", "s3", "gcs")
    required = [*project["dependencies"], *(text for name in names for text in extras[name])]
    assert_locked(required, python, LOCK)
    assert_locked(extras["docs"], python, DOCS_LOCK)


def test_classifiers_name_the_pythons_that_are_allowed(project):
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if ":: 3." in line]
    assert named == PYTHONS
    for minor in range(9, 20):
        allowed = f"3.{minor}" in PYTHONS
        assert SpecifierSet(project["requires-python"]).contains(f"3.{minor}.1") is allowed


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("[a](docs/a.md#b)", f"[a]({REPOSITORY}/blob/main/docs/a.md#b)"),
        ("![a](docs/a.png)", f"![a]({PICTURES}/docs/a.png)"),
        ('<source srcset="docs/a.svg">', f'<source srcset="{PICTURES}/docs/a.svg">'),
        ("[a](https://b.org/c) [d](#e)", "[a](https://b.org/c) [d](#e)"),
        ("```\nx[0](y)\n```\n[a](b)", f"```\nx[0](y)\n```\n[a]({REPOSITORY}/blob/main/b)"),
    ],
)
def test_relative_links_get_addresses(setup_script, given, expected):
    assert setup_script["with_addresses"](given) == expected


def test_no_link_of_the_readme_is_relative_on_a_package_index(setup_script):
    readme = setup_script["with_addresses"]((ROOT / "README.md").read_text(encoding="utf-8"))
    links = re.findall(r"""(?:\]\(|(?:src|srcset|href)=")([^)"\s]+)""", readme)
    assert len(links) > 20
    assert [link for link in links if not re.match(r"https?://|#", link)] == []
    for link in links:
        path = re.sub("[#?].*", "", link)
        for start in (f"{REPOSITORY}/blob/main/", f"{PICTURES}/"):
            if path.startswith(start):
                assert (ROOT / path.removeprefix(start)).exists(), link


def assert_locked(required: list[str], python: str, lock: str) -> None:
    packages = locked(python, lock)
    for text in required:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate(environment(python)):
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
    assert "Install Python 3.11, 3.12 or 3.13" in line
    assert not (tmp_path / ".venv").exists()
