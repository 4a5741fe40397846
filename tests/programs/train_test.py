# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mmv_tf import training
from tests import running, small_world


def test_an_unknown_entry_names_the_nearest(tmp_path):
    found = running.run_forked(
        "train",
        "--config=quickstart:runlocal",
        "--config.trainning.steps=3",
        f"--output={tmp_path / 'run'}",
    )
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "error: There is no --config.trainning.steps; nearest: --config.training.steps."
    ]
    assert not (tmp_path / "run").exists()


def test_data_that_are_not_there_fail_in_one_line(tmp_path):
    found = running.run_forked(
        "train",
        "--config=quickstart:runlocal",
        "--config.training.steps",
        "3",
        f"--data={tmp_path / 'absent'}",
        f"--output={tmp_path / 'run'}",
    )
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert "absent" in found.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # quick ones are the loop's own: validation_test
def test_the_last_lines_name_the_best_step(prepared, tmp_path):
    found = running.run(
        "train",
        "--config=tests/small_run.py:silent",
        "--config.training.evaluate_every_steps=1",
        "--config.training.stop_after=1",
        "--config.training.best_metric=held_out/text_to_video/median_rank",
        "--config.training.average_decay=0.999",  # so slow that no rank changes
        f"--data={prepared}",
        f"--word_vectors={small_world.write_word_vectors(tmp_path)}",
        f"--output={tmp_path / 'run'}",
    )
    assert found.returncode == 0, found.stderr
    metrics, best, place = found.stdout.splitlines()
    assert metrics.startswith("loss ")
    assert re.fullmatch(
        r"The best held_out/text_to_video/median_rank is from step \d, "
        "whose weights the model has\\.",
        best,
    )
    assert place == f"The model is in {tmp_path / 'run'}."
    assert re.search(r"Step 1, held-out clips: loss [\d.]+; text_to_video R@1 ", found.stderr)


def test_every_entry_is_printed_as_the_flag_that_sets_it():
    found = running.run_forked(
        "train", "--config=quickstart", "--config.training.steps=7", "--print_config"
    )
    assert found.returncode == 0
    lines = [word for line in found.stdout.splitlines() for word in shlex.split(line)]
    assert "--config.training.steps=7" in lines
    assert "--config.training.freeze=()" in lines
    again = running.run_forked("train", "--config=quickstart", *lines[:20], "--print_config")
    assert again.stdout == found.stdout.replace("training.steps=7", "training.steps=300")


@pytest.mark.slow
def test_training_needs_a_folder_and_a_right_name_of_what_it_freezes(prepared, tmp_path):
    missing = running.run_forked("train", "--config=quickstart")
    assert missing.returncode == 2
    assert "--output is missing" in missing.stderr
    source = tmp_path / "source.keras"
    training.save_model(small_world.tiny_model(), source)
    wrong = running.run_forked(
        "train",
        f"--config=own_videos:data={prepared},weights,runlocal",
        f"--init_from={source}",
        "--config.training.freeze=('vidio',)",
        f"--output={tmp_path / 'run'}",
    )
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith(
        "error: training.freeze has 'vidio', which matches no part or layer of the model"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # three runs of the program with the quickstart's kind of network
def test_killed_s3d_goes_on_bit_for_bit(prepared, tmp_path):
    words = small_world.write_word_vectors(tmp_path)

    def arguments(run):
        return (
            "--config=quickstart:runlocal",
            "--config.training.deterministic=True",
            "--config.training.steps=12",
            "--config.training.checkpoint_every_seconds=0",
            "--config.training.keep_checkpoints=20",
            "--config.model.text.embedding_dim=6",
            f"--data={prepared}",
            f"--word_vectors={words}",
            f"--output={tmp_path / run}",
        )

    def final_weights(run):
        return [variable.numpy() for variable in training.load_model(tmp_path / run).variables]

    assert running.run("train", *arguments("whole")).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "mmv_tf", "train", *arguments("killed")],
        cwd=running.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = tmp_path / "killed" / "checkpoints"
    while len(list(checkpoints.glob("step-*"))) < 3:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.keras").exists()
    assert running.run("train", *arguments("killed")).returncode == 0
    for whole, killed in zip(final_weights("whole"), final_weights("killed"), strict=True):
        np.testing.assert_array_equal(whole, killed)
