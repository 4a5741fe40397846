# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""`mmv completion`: the scripts as the shells run them, and that the table of flags is current."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys

import pytest

from mmv_tf.programs.launcher import programs
from tools import flag_table


def script(shell: str) -> str:
    """What `mmv completion SHELL` prints."""
    return subprocess.run(
        [sys.executable, "-m", "mmv_tf", "completion", shell],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture(scope="module")
def complete():
    """Completes words in bash, the last of them; words are split at "=" as bash does it."""
    source = script("bash")

    def run(*words: str) -> list[str]:
        code = (
            f"{source}\nCOMP_WORDS=({shlex.join(['mmv', *words])})\nCOMP_CWORD={len(words)}\n"
            '_mmv\nprintf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", code], capture_output=True, text=True, check=True
        )
        assert "syntax" not in done.stderr
        return done.stdout.split()

    return run


def test_the_table_is_current():
    assert flag_table.TABLE.read_text() == flag_table.text(flag_table.collect()), (
        "python -m tools.flag_table writes it anew"
    )


def test_bash_completes_programs_commands_and_flags(complete):
    assert complete("") == programs()
    assert complete("tr") == ["train"]
    assert complete("search", "") == "index query cut serve mcp merge export".split()
    assert complete("search", "qu") == ["query"]
    assert complete("train", "--init_f") == ["--init_from="]
    assert {"--text=", "--index=", "--json"} <= set(complete("search", "query", "--"))
    assert "--text=" not in complete("search", "index", "--")
    assert complete("search", "query", "--text", "=", "a", "--ind") == ["--index="]


def test_bash_completes_values_and_leaves_files_to_the_shell(complete):
    assert complete("train", "--config", "=") == "quickstart own_videos howto100m_audioset".split()
    assert complete("train", "--config", "=", "own") == ["own_videos"]
    assert complete("search", "query", "--within", "=", "s") == ["speech"]
    assert complete("train", "--output", "=", "ru") == []
    assert "-o default" in script("bash")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_name_every_program_and_are_correct_to_the_shell(shell, tmp_path):
    path = tmp_path / "script"
    path.write_text(script(shell))
    for place, entry in json.loads(flag_table.TABLE.read_text()).items():
        assert place.split()[-1] in path.read_text()
        for name in entry["flags"]:
            assert name in path.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", path], check=True)


def test_it_does_not_load_tensorflow():
    code = (
        "import runpy, sys\nsys.argv = ['mmv', 'completion', 'fish']\n"
        "try:\n    runpy.run_module('mmv_tf', run_name='__main__', alter_sys=True)\n"
        "finally:\n    print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "False"
    assert done.returncode == 0


def test_another_shell_is_wrong_usage():
    done = subprocess.run(
        [sys.executable, "-m", "mmv_tf", "completion", "csh"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: got 'csh'; expected one of bash, zsh, fish.\n"
