# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The command `mmv`."""

import runpy
import subprocess
import sys

import pytest

from mmv_tf.programs import launcher
from mmv_tf.version import __version__
from tests import running


def test_help_lists_every_program(capsys):
    launcher.main(["--help"])
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    for name in launcher.programs():
        assert listed[name].endswith("."), "the first line of its docstring"
    launcher.main(["--version"])
    assert capsys.readouterr().out == f"mmv_tf {__version__}\n"


def test_help_does_not_load_tensorflow():
    program = (
        "import sys; from mmv_tf.programs.launcher import main; main(['--help']);"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=running.ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "unknown program 'trian'; did you mean train?"),
        ([], "unknown program ''; expected one of classify, "),
        (["--config=quickstart"], "unknown program '--config=quickstart'"),
    ],
)
def test_mistakes_end_with_one_line(argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        launcher.main(argv)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {message}") and errors.count("\n") == 1


def test_a_program_is_run_as_the_main_module(monkeypatch):
    seen = []

    def run_module(name, run_name, alter_sys):
        seen.append((name, run_name, alter_sys, sys.argv))

    monkeypatch.setattr(runpy, "run_module", run_module)
    monkeypatch.setattr(sys, "argv", ["mmv"])
    launcher.main(["verify-data", "--data=DIR"])
    ((name, *rest),) = seen
    assert name == "mmv_tf.programs.verify_data"
    assert rest == ["__main__", True, ["mmv verify_data", "--data=DIR"]]


@pytest.mark.parametrize(
    "command",
    [pytest.param(["mmv_tf", "verify_data"], marks=pytest.mark.slow), ["binaries.verify_data"]],
)
def test_a_checkout_runs_it_in_two_ways(command):
    done = subprocess.run(
        [sys.executable, "-m", *command, "--data=/nonexistent"],
        capture_output=True,
        text=True,
        cwd=running.ROOT,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: /nonexistent") and done.stderr.count("\n") == 1


def test_every_program_has_a_file_in_binaries():
    inside = {path.stem for path in (running.ROOT / "binaries").glob("*.py")} - {"__init__"}
    # Those that are older than `mmv`.
    assert inside <= set(launcher.programs()) and len(inside) == 12
