# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs a small program in processes of its own: flags can be parsed once in a process."""

import pathlib
import subprocess
import sys

import pytest
from absl import flags

from mmv_tf.util import command_line

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = '''"""Does nothing of use."""
import errno, sys
from absl import flags
from mmv_tf.util import command_line

KINDS = ["fine", "value", "os", "usage", "bug", "stop", "exit", "full", "disk", "pipe", "long"]
KIND = flags.DEFINE_enum("kind", "fine", KINDS, "What to do.")
flags.DEFINE_integer("frame_rate", 10, "Frames a second.")
flags.DEFINE_string("output", None, "Where to.", required="--needy" in sys.argv)
flags.DEFINE_bool("needy", False, "Makes --output required.")

def main(argv):
    match KIND.value:
        case "value":
            raise ValueError("got 1,\\nexpected 2; say 2.")
        case "os":
            open("/nonexistent/file")
        case "usage":
            raise command_line.UsageError("these flags do not go together.")
        case "bug":
            raise KeyError("bug")
        case "stop":
            raise KeyboardInterrupt
        case "exit":
            return command_line.PREEMPTED
        case "full":
            raise OSError(errno.ENOSPC, "No space left on device", "a/file")
        case "disk":  # as TensorFlow says it
            raise RuntimeError("b/file; No space left on device")
        case "pipe":  # as a server's connection
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        case "long":
            for number in range(100_000):
                print(number)
    print("fine")

if __name__ == "__main__":
    command_line.run(main)
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    program = tmp_path_factory.mktemp("program") / "program.py"
    program.write_text(PROGRAM)

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, str(program), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
        )
        return done.returncode, done.stdout, done.stderr

    call.program = program
    return call


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--kind=value"], 1, "error: got 1, expected 2; say 2."),
        (["--kind=os"], 1, "error: /nonexistent/file: No such file or directory"),
        (["--kind=usage"], 2, "error: these flags do not go together."),
        (["--kind=stop"], 130, "interrupted"),
        (["--kind=exit"], 42, ""),
        (["--frame_rates=3"], 2, "error: unknown flag --frame_rates; did you mean --frame_rate?"),
        (["--nokid"], 2, "error: unknown flag --nokid; did you mean --kind?"),
        (["--zzzzzzz"], 2, "error: unknown flag --zzzzzzz; see --help."),
        (["--frame_rate=x"], 2, "error: flag --frame_rate=x: invalid literal for int()"),
        (["--kind=valu"], 2, "error: flag --kind=valu: value should be one of"),
        (["--needy"], 2, "error: --output is missing; see --help."),
        (["file"], 2, "error: unexpected argument 'file'; give only flags"),
    ],
)
def test_ends_with_one_line_and_a_status(run, arguments, status, line):
    returned, out, err = run(*arguments)
    assert (returned, out) == (status, "")
    assert err.startswith(line)
    assert err.count("\n") == (1 if line else 0)


def test_success_and_help(run):
    assert run() == (0, "fine\n", "")
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert "Does nothing of use." in out
    assert "--frame_rate: Frames a second." in out


@pytest.mark.parametrize("arguments", [["--kind=long"], ["--help"]])
def test_a_reader_that_has_enough_is_no_error(run, arguments):
    """As `mmv ... | head` does."""
    with subprocess.Popen(
        [sys.executable, str(run.program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_another_broken_pipe_is_told(run):
    assert run("--kind=pipe") == (1, "", "error: Broken pipe\n")


def test_tracebacks(run):
    status, _, err = run("--kind=bug")
    assert status == 1
    assert "Traceback" in err
    assert "KeyError: 'bug'" in err
    status, _, err = run("--kind=value", "--traceback")
    assert status == 1
    assert "Traceback" in err
    assert err.endswith("error: got 1, expected 2; say 2.\n")


@pytest.mark.parametrize("kind", ["full", "disk"])
def test_a_full_disk_says_what_to_do(run, kind):
    status, _, errors = run(f"--kind={kind}")
    assert status == 1
    assert errors.count("\n") == 1
    assert "No space left on device; free some space and rerun the same command." in errors


def test_overrides_are_gathered():
    values = flags.FlagValues()
    found = command_line.define_overrides("config", "Change an entry.", values)
    argv = [
        "p",
        "--config=f.py",
        "--config.a.b=1",
        "-config.c",
        "x",
        "--other.d=2",
        "--config.e=a=,",
    ]
    spelled = command_line.gather_overrides([*argv, "--", "--config.f=3"], values)
    assert spelled[1] == "--config=f.py"
    assert spelled[-3:] == ["--config.=e=a=,", "--", "--config.f=3"]
    values(["p", *(one for one in spelled[:-2] if one.startswith(("--config.", "-config.")))])
    assert found.value == ["a.b=1", "c=x", "e=a=,"]
    assert command_line.gather_overrides(["p", "--config.a"], values) == ["p", "--config.=a"]


COMMANDS = '''"""Fetches and counts."""
from absl import flags
from mmv_tf.util import command_line

def define_fetch():
    """Fetches things."""
    flags.DEFINE_integer("limit", 3, "How many.")

def define_count():
    """Counts things."""
    flags.DEFINE_string("colour", None, "Of which colour.", required=True)

def fetch(argv):
    print("fetched", flags.FLAGS.limit)

def count(argv):
    print("counted", flags.FLAGS.colour)

if __name__ == "__main__":
    command_line.run_commands(
        {"fetch": (define_fetch, fetch), "count": (define_count, count)}
    )
'''


def test_commands(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(COMMANDS)

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, str(program), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONPATH": str(ROOT)},
            check=False,
        )
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    assert call("fetch", "--limit=5") == (0, "fetched 5", "")
    assert call("count", "--colour=red") == (0, "counted red", "")
    status, shown, _ = call("--help")
    assert status == 0
    assert "Fetches and counts." in shown and "count   Counts things." in shown
    status, shown, _ = call("count", "--help")
    assert status == 0
    assert "--colour" in shown and "--limit" not in shown
    for arguments, message in (
        ((), "error: unknown command ''; expected one of fetch, count. See --help."),
        (("fech",), "error: unknown command 'fech'; did you mean fetch? See --help."),
        (
            ("--limit=5",),
            "error: unknown command '--limit=5'; expected one of fetch, count. See --help.",
        ),
        (("count", "--limit=5"), "error: unknown flag --limit; see --help."),
        (("count",), "error: --colour is missing; see --help."),
        (
            ("fetch", "more"),
            "error: unexpected argument 'more'; give only flags, as --name=value; see --help.",
        ),
    ):
        assert call(*arguments) == (2, "", message)
