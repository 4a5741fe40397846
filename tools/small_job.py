# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs the whole job on sixteen seconds of generated video, with the programs of any checkout.

The job is the same for every version, for comparing versions (tools/compare_checkouts.py) and for
keeping old files (tools/write_artifacts.py). It imports nothing from the package.
"""

from __future__ import annotations

import fractions
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import av
import numpy as np

SECONDS = 16
SENTENCE = "the red square"
_FRAME_RATE, _SAMPLE_RATE = 10, 8_000
_WORDS = "red gray square circle moves stands left right".split()
_CONFIG = pathlib.Path(__file__).with_name("small_config.py")


class JobError(RuntimeError):
    """A program of the checkout failed."""


def write_media(folder: pathlib.Path) -> None:
    """Write a film with captions and labels, a silent film, and word vectors, always the same."""
    folder.mkdir(parents=True)
    _write_film(folder / "film.mp4", with_audio=True)
    _write_film(folder / "silent.mp4", with_audio=False)
    starts = range(0, SECONDS, 2)
    captions = [f"the {_WORDS[n // 2 % 4]} {_WORDS[4 + (n // 2 + n // 8) % 4]}" for n in starts]
    cues = [
        f"00:00:{n:02d}.100 --> 00:00:{n + 1:02d}.900\n{text}\n"
        for n, text in zip(starts, captions, strict=True)
    ]
    (folder / "film.vtt").write_text("\n".join(["WEBVTT\n", *cues]))
    rows = [
        f"{n}.1\t{n + 1}.9\t{'first' if n < SECONDS / 2 else 'second'}\t{text}"
        for n, text in zip(starts, captions, strict=True)
    ]
    (folder / "film.tsv").write_text("\n".join(["start\tend\tlabel\tcaption", *rows]) + "\n")
    vectors = np.random.default_rng(0).normal(size=(len(_WORDS), 6)).astype(np.float32)
    np.save(folder / "words.npy", vectors)
    (folder / "words.txt").write_text("\n".join(_WORDS) + "\n")


def _write_film(path: pathlib.Path, with_audio: bool) -> None:
    """Write a video with a moving square on gray, and a tone that gets higher each second."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=_FRAME_RATE)
        video.width, video.height, video.pix_fmt, video.bit_rate = 48, 36, "yuv420p", 200_000
        audio = (
            container.add_stream("aac", rate=_SAMPLE_RATE, layout="mono") if with_audio else None
        )
        for number in range(SECONDS * _FRAME_RATE):
            image = np.full((36, 48, 3), 96, np.uint8)
            left = number % 36
            image[12:24, left : left + 12] = (250, 5 * left, number)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            times = np.arange(SECONDS * _SAMPLE_RATE) / _SAMPLE_RATE
            tone = 0.5 * np.sin(2 * np.pi * (220 + 60 * np.floor(times)) * times)
            for start in range(0, len(tone), 1024):
                block = tone[np.newaxis, start : start + 1024].astype(np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = _SAMPLE_RATE, start
                frame.time_base = fractions.Fraction(1, _SAMPLE_RATE)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


def steps() -> dict[str, list[str]]:
    """Return the job's command lines by name, in order: `binaries.NAME` and its arguments."""
    shards = ["--frame_rate=5", "--short_side=36", "--sample_rate=8000", "--processes=1"]
    shards += ["--num_shards=1", "--jpeg_quality=60"]
    model = "--model=run"
    return {
        "prepare": [
            "prepare_data",
            "--videos=media/film.mp4",
            "--captions=media/film.vtt",
            "--labels=media/film.tsv",
            "--output=data",
            "--min_clip_seconds=1.6",
            "--block_seconds=2",
            "--split_pattern=train,test,train,validation",
            *shards,
        ],
        "prepare silent": [
            "prepare_data",
            "--videos=media/silent.mp4",
            "--output=silent",
            "--cut=window",
            "--window_seconds=4",
            "--stride_seconds=4",
            "--split_pattern=train",
            *shards,
        ],
        "train": [
            "train",
            f"--config={_CONFIG}",
            "--data=data",
            "--word_vectors=media/words.npy",
            "--output=run",
        ],
        "evaluate": [
            "evaluate",
            "--protocol=narrated_film",
            model,
            "--data=data",
            "--output=results.json",
            "--embeddings=embeddings.npz",
        ],
        "embed": ["embed", model, "--videos=media", "--output=features"],
        "deflate": [
            "deflate",
            model,
            "--data=data",
            "--epochs=2",
            "--output=image.keras",
        ],
        "export": [
            "export",
            model,
            "--image_model=image.keras",
            "--output=saved_model",
        ],
        "index": [
            "search",
            "index",
            model,
            "--videos=media",
            "--index=index",
            "--processes=0",
        ],
        "query": ["search", "query", "--index=index", f"--text={SENTENCE}", "--json"],
    }


def run(checkout: pathlib.Path, work: pathlib.Path) -> None:
    """Run the job in an empty folder with a checkout's programs; output goes to `work`/printed.

    Raises:
      JobError: a program failed; the message ends with its output.
    """
    write_media(work / "media")
    (work / "printed").mkdir()
    for name, command in steps().items():
        printed = run_program(checkout, work, command)
        (work / "printed" / f"{name}.txt").write_text(printed)


def run_program(checkout: pathlib.Path, work: pathlib.Path, command: Sequence[str]) -> str:
    """Run `binaries.NAME ARGUMENTS` in a checkout and return its standard output."""
    program, *arguments = command
    return run_python(checkout, work, ["-m", f"binaries.{program}", *arguments])


def run_python(checkout: pathlib.Path, work: pathlib.Path, arguments: Sequence[str]) -> str:
    """Run Python in a folder with a checkout's modules, without a GPU; return its output.

    Raises:
      JobError: it failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(checkout), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise JobError(f"{checkout}: {' '.join(arguments)}\n{done.stdout}{done.stderr[-3000:]}")
    return done.stdout
