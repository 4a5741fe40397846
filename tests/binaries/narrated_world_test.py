# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from tests import programs


@pytest.mark.slow
def test_the_program_prints_and_writes_the_table(tmp_path):
    arguments = (
        "--config=configs/narrated_world.py:runlocal",
        '--config.run=["untrained"]',
        f"--output={tmp_path / 'out'}",
        "--images",
    )
    done = programs.run("narrated_world", *arguments)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out" / "table.md").read_text()
    images = (tmp_path / "out" / "images.md").read_text()
    assert table in done.stdout and images in done.stdout
    assert (tmp_path / "out" / "models" / "untrained_0.keras").exists()
    assert programs.run("narrated_world", *arguments).returncode == 0


def test_wrong_usage_ends_with_one_line(tmp_path):
    done = programs.run_forked(
        "narrated_world", "--config=configs/narrated_world.py:fast", f"--output={tmp_path}"
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "takes no argument" in done.stderr
    done = programs.run_forked("narrated_world", "--config.run=fac")
    assert done.returncode == 2
