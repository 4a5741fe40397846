# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The program as a user runs it, with child processes and a real kill."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from mmv_tf.data import writer
from tests import media_samples

ROOT = pathlib.Path(__file__).parent.parent.parent
CUES = [(i * 1.0, i * 1.0 + 0.9, f"caption {i}") for i in range(8)]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "my film.mp4"
    media_samples.write_film(path, 8.0, codec="libx264")
    media_samples.write_vtt(path.with_suffix(".vtt"), CUES)
    return path


def command(film, output, *more):
    return [
        *(sys.executable, "-m", "binaries.prepare_data", f"--videos={film}", f"--output={output}"),
        *("--short_side=32", "--min_clip_seconds=0.5", "--block_seconds=1"),
        *("--split_pattern=train,test", "--num_shards=2", "--processes=1", *more),
    ]


def run(*arguments):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, cwd=ROOT
    )


def contents(directory):
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir()) if p.is_file()}


def test_killed_and_run_again_gives_the_same_bytes(film, tmp_path):
    whole = run(film, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert "train: 4 clips, 4 captions, 2 shards" in whole.stdout
    assert "done: " in whole.stdout
    assert "decoding: 8/8 seconds of film (100%)" in whole.stderr
    assert "Traceback" not in whole.stderr

    output = tmp_path / "killed"
    for ending, status, last in (
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGKILL, -signal.SIGKILL, None),
    ):
        # In a group of its own, all of which a terminal's Ctrl-C would reach.
        process = subprocess.Popen(
            command(film, output),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        before = len(list(output.glob(".partial/*/blocks/*/*.block")))
        deadline = time.monotonic() + 60
        while len(list(output.glob(".partial/*/blocks/*/*.block"))) <= before:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.001)
        os.killpg(process.pid, ending)
        _, errors = process.communicate()
        assert process.returncode == status
        assert "Traceback" not in errors
        assert last is None or errors.splitlines()[-1] == last
        assert not (output / writer.MANIFEST).exists()

    again = run(film, output)
    assert again.returncode == 0, again.stderr
    assert contents(output) == contents(tmp_path / "whole")

    third = run(film, output)
    assert third.returncode == 0
    assert "already prepared, nothing to do" in third.stdout
    assert "decoding" not in third.stderr


@pytest.mark.parametrize(
    ("video", "more", "status", "message"),
    [
        ("none.mp4", (), 1, "error: none.mp4: no such file or folder"),
        (None, ("--frame_rat=3",), 2, "error: unknown flag --frame_rat; did you mean --frame_rate"),
        (None, ("--frame_rate=0",), 2, "error: frame_rate is 0.0; it must be above 0."),
        ("", (), 2, "error: --videos is missing"),
        (None, ("--list=a.csv",), 2, "error: --videos and --list exclude each other"),
        ("", ("--dataset=ucf101",), 2, "error: --dataset and --directory come together"),
        (None, ("--beam_option=--x",), 2, "error: --beam_option needs --runner=beam"),
    ],
)
def test_mistakes_end_with_one_line(film, tmp_path, video, more, status, message):
    done = run(film if video is None else video, tmp_path / "data", *more)
    assert done.returncode == status
    assert done.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()
