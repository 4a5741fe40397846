# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf import command_line
from tests import programs


def test_an_unknown_entry_names_the_nearest(tmp_path):
    found = programs.run_forked(
        "train",
        "--config=configs/quickstart.py:runlocal",
        "--config.trainning.steps=3",
        f"--output={tmp_path / 'run'}",
    )
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "error: The configuration has no entry 'trainning.steps'; nearest: 'training.steps'."
    ]
    assert not (tmp_path / "run").exists()


def test_data_that_are_not_there_fail_in_one_line(tmp_path):
    found = programs.run_forked(
        "train",
        "--config=configs/quickstart.py:runlocal",
        "--config.training.steps",
        "3",
        f"--data={tmp_path / 'absent'}",
        f"--output={tmp_path / 'run'}",
    )
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert "absent" in found.stderr
    assert not (tmp_path / "run").exists()


def test_overrides_are_put_aside(monkeypatch):
    monkeypatch.setattr(command_line, "_overrides", {"config": []})
    rest = command_line._take_overrides(
        [
            "train",
            "--config=f.py",
            "--config.a.b=1",
            "-config.c",
            "x",
            "--other.d=2",
            "--",
            "--config.e=3",
        ]
    )
    assert rest == ["train", "--config=f.py", "--other.d=2", "--", "--config.e=3"]
    assert command_line._overrides == {"config": ["a.b=1", "c=x"]}
    with pytest.raises(SystemExit) as stopped:
        command_line._take_overrides(["train", "--config.a"])
    assert stopped.value.code == 2
