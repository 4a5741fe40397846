# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from tests import running
from tests.projects.label_efficiency.tasks_test import write_esc10


@pytest.mark.slow
def test_the_program_studies_the_world_and_esc10(tmp_path):
    arguments = (
        "--config=projects/label_efficiency/config.py:runlocal",
        "--config.shares=(0.02,)",
        f"--esc10={write_esc10(tmp_path / 'esc10')}",
        f"--output={tmp_path / 'out'}",
    )
    done = running.run("projects.label_efficiency", *arguments)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in done.stdout
    assert "The narrated world (chance 16.7 %)" in table and "ESC-10 (chance 50.0 %)" in table
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [run["task"] for run in results["runs"]] == (["world"] * 2 + ["esc10"] * 2) * 2
    assert (tmp_path / "out" / "label_efficiency.png").exists()


@pytest.mark.slow
def test_wrong_usage_ends_with_one_line(tmp_path):
    done = running.run_forked(
        "projects.label_efficiency", f"--output={tmp_path}", f"--esc10={tmp_path / 'none'}"
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "none is not a folder; pass the ESC-10 folder" in done.stderr
    done = running.run_forked("projects.label_efficiency")
    assert done.returncode == 2
