# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The program as a user runs it, with child processes and a real kill."""

import os
import signal
import subprocess
import sys
import time
from unittest.mock import ANY

import numpy as np
import pytest
from PIL import Image

from mmv_tf.data import Reader, preparation
from mmv_tf.data.records import manifests
from tests import media_samples, running, small_world

CUES = [(i * 1.0, i * 1.0 + 0.9, f"caption {i}") for i in range(8)]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "my film.mp4"
    media_samples.write_film(path, 8.0, codec="libx264")
    media_samples.write_vtt(path.with_suffix(".vtt"), CUES)
    return path


def arguments(film, output, *more):
    return [
        *(f"--videos={film}", f"--output={output}", "--short_side=32", "--min_clip_seconds=0.5"),
        *("--block_seconds=1", "--split_pattern=train,test", "--num_shards=2", "--processes=1"),
        *more,
    ]


def contents(directory):
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir()) if p.is_file()}


def blocks(output):
    return len(list(output.glob(".partial/*/blocks/*/*.block")))


def interrupt(film, output, ending, count):
    """Sends a signal to the program and its child when `count` more blocks are there.

    Returns its status and what it said; None if it was faster.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "mmv_tf", "prepare_data", *arguments(film, output)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=running.ROOT,
        start_new_session=True,  # A group of its own, all of which a terminal's Ctrl-C reaches.
    )
    wanted, deadline = blocks(output) + count, time.monotonic() + 120
    while blocks(output) < wanted and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    if process.poll() is not None:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        return None
    os.killpg(process.pid, ending)
    _, errors = process.communicate()
    assert "Traceback" not in errors
    assert not (output / manifests.MANIFEST).exists()
    assert not list(output.glob("*.tfrecord"))
    return process.returncode, errors


def prepare(film, output):
    """As the program does with `arguments`, but here."""
    settings = preparation.Settings(
        short_side=32,
        min_clip_seconds=0.5,
        block_seconds=1.0,
        split_pattern=("train", "test"),
        num_shards=2,
    )
    preparation.prepare(preparation.find_sources(film), output, settings)


@pytest.fixture(scope="module")
def whole(film, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "data"
    prepare(film, output)
    return output


@pytest.mark.slow
def test_killed_and_run_again_gives_the_same_bytes(film, whole, tmp_path):
    output = tmp_path / "killed"
    assert interrupt(film, output, signal.SIGKILL, 1) == (-signal.SIGKILL, ANY)
    assert blocks(output) >= 1
    prepare(film, output)
    assert contents(output) == contents(whole)
    again = running.run_forked("prepare_data", *arguments(film, output))
    assert again.returncode == 0, again.stderr
    assert "train: 4 clips, 4 captions, 2 shards" in again.stdout
    assert "already prepared, nothing to do" in again.stdout
    assert "decoding" not in again.stderr


@pytest.mark.slow
def test_interrupted_again_and_again_it_gives_the_same_bytes(film, whole, tmp_path):
    output, statuses = tmp_path / "killed", []
    for ending in (signal.SIGINT, signal.SIGKILL, signal.SIGINT):
        ended = interrupt(film, output, ending, 2)
        if ended is None:
            break
        status, errors = ended
        statuses.append(status)
        if ending == signal.SIGINT:
            assert errors.splitlines()[-1] == "interrupted"
    assert statuses[:2] == [130, -signal.SIGKILL]
    last = running.run("prepare_data", *arguments(film, output))
    assert last.returncode == 0, last.stderr
    assert "done: " in last.stdout or len(statuses) < 3
    assert "Traceback" not in last.stderr
    assert contents(output) == contents(whole)


@pytest.mark.slow  # bad_sources_test verifies pictures in a moment
def test_pictures_are_prepared_verified_and_read(tmp_path):
    pictures, data = tmp_path / "pictures", tmp_path / "data"
    pictures.mkdir()
    for shade in (40, 120, 200):
        Image.new("L", (40, 32), shade).save(pictures / f"{shade}.png")
    flags = (f"--videos={pictures}", "--media=image", "--split_pattern=train", "--short_side=32")
    done = running.run_forked("prepare_data", *flags, f"--output={data}", "--processes=1")
    assert done.returncode == 0, done.stderr
    verified = running.run_forked("verify_data", f"--data={data}")
    assert verified.returncode == 0, verified.stdout
    assert "train: 3 of 3 records are good" in verified.stdout
    config = small_world.data_config(data)
    config.frame_rate = preparation.Settings().frame_rate
    (batch,) = Reader(config, None, None).evaluate()
    assert batch["valid/video"].numpy().all()
    shades = batch["video"].numpy().mean(axis=(1, 2, 3, 4, 5)) * 255
    named = [int(name) for name in batch["example_id"].numpy()[:, 0]]
    np.testing.assert_allclose(shades, named, atol=2)


@pytest.mark.parametrize(
    ("video", "more", "status", "message"),
    [
        ("none.mp4", (), 1, "error: none.mp4: no such file or folder"),
        (None, ("--frame_rat=3",), 2, "error: unknown flag --frame_rat; did you mean --frame_rate"),
        (None, ("--frame_rate=0",), 2, "error: frame_rate is 0.0; it must be above 0."),
        ("", (), 2, "error: one of --videos, --list and --dataset is required"),
        (None, ("--list=a.csv",), 2, "error: --videos and --list can't be used together"),
        ("", ("--dataset=ucf101",), 2, "error: --dataset and --data must be given together"),
        (None, ("--validation_one_in=9",), 2, "error: --validation_one_in is for --dataset=howto"),
        (None, ("--beam_option=--x",), 2, "error: --beam_option needs --runner=beam"),
    ],
)
def test_mistakes_end_with_one_line(film, tmp_path, video, more, status, message):
    done = running.run_forked(
        "prepare_data", *arguments(film if video is None else video, tmp_path / "data", *more)
    )
    assert done.returncode == status
    assert done.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()
