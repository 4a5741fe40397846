# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""ShellCheck on every shell script of the repository."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SHELLCHECK = pathlib.Path(sys.executable).with_name("shellcheck")
FOLDERS = ("examples", "docker", "tools")
SCRIPTS = [
    ROOT / ".ci" / "run",
    *sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.sh")),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    found = subprocess.run([SHELLCHECK, script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
