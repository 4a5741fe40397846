# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The changelog lists every renamed flag, and the program names the new one."""

import re

import pytest
from absl import flags

from mmv_tf.util import command_line
from tests import running
from tests.documentation import pages
from tests.documentation.commands_test import flags_in

ROWS = re.findall(
    r"^\| `(mmv \w+|[\w.]+)` \| `--(\w+)(?:=KEY=VALUE)?` \| `--(\w+\.?)(?:KEY=VALUE)?` \|$",
    (pages.ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    re.M,
)


def defined(program):
    path = pages.ROOT / program.replace("mmv ", "mmv_tf.programs.").replace(".", "/")
    return flags_in(path / "__main__.py" if path.is_dir() else path.with_suffix(".py"))


@pytest.mark.parametrize(("program", "old", "new"), ROWS)
def test_an_old_spelling_names_the_new_one(program, old, new):
    known = defined(program)
    assert new in known
    assert old not in known
    assert next(name for name in command_line.RENAMED[old] if name in known) == new


def test_every_name_in_the_table_is_of_a_program():
    listed = {(old, new) for _, old, new in ROWS}
    assert {(old, new) for old, news in command_line.RENAMED.items() for new in news} == listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serve", "--port=8500"), "--port is now --grpc_port; see --help."),
        (("serve", "--rest_api_port", "8501"), "--rest_api_port is now --http_port; see --help."),
        (("search", "serve", "--port=1"), "--port is now --http_port; see --help."),
        (
            ("evaluate", "--set=test_views.windows=4"),
            "--set is now --protocol.KEY=VALUE; see --help.",
        ),
        (
            ("embed", "--setting", "num_frames=4"),
            "--setting is now --settings.KEY=VALUE; see --help.",
        ),
        (("train", "--port=1"), "unknown flag --port; "),
        (("prepare_data", "--media=sound"), "flag --media=sound: value should be one of <video|a"),
        (
            (
                "evaluate",
                "--protocol=ucf101_linear",
                "--protocol.metrics=x",
                "--model=m",
                "--data=d",
                "--output=o",
            ),
            "There is no --protocol.metrics; nearest: --protocol.metric.",
        ),
    ],
)
def test_programs_say_so_in_one_line(arguments, message):
    done = running.run_forked(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_help_shows_the_flags_that_programs_share():
    done = running.run_forked("evaluate", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("model", "dtype", "settings.", "protocol", "protocol.", "[no]traceback"):
        assert f"\n  --{name}: " in done.stdout


def test_a_boolean_is_renamed_with_its_no(monkeypatch):
    values = flags.FlagValues()
    flags.DEFINE_bool("deflate", False, "", flag_values=values)
    monkeypatch.setattr(flags, "FLAGS", values)
    assert command_line._unknown("noimages") == "--images is now --deflate; see --help."
