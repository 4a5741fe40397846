# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares writing shards with only decoding by PyAV, in the same processes.

  python -m benchmarks.write_data
  python -m benchmarks.write_data --num_videos=8 --seconds=60
  python -m benchmarks.write_data --num_videos=4 --seconds=20 --width=1280 --height=720

Generates videos (by default 340 x 256, 30 frames per second, H.264, with stereo AAC audio). Then,
in turn and with the same warm child processes, only decodes all frames and audio with PyAV, and
prepares the videos. Decoding is measured twice: to the codec's output ("codec": YUV frames,
discarded) and to arrays ("arrays": RGB frames and float samples, as in a program that decodes with
PyAV). Prints one line of JSON, with the time per second of video for each step.
"""

from __future__ import annotations

import contextlib
import fractions
import io
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import av
import numpy as np
from absl import app, flags
from PIL import Image

from benchmarks.measure import print_result
from mmv_tf.data import media, preparation
from mmv_tf.data.preparation import decoding, plan
from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.data.records.shard_writer import ClipSpan
from mmv_tf.util.worker_pool import Failure, Task, WorkerPool

_FILMS = flags.DEFINE_integer("num_videos", 8, "Number of videos.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 30.0, "Length of a video in seconds.", lower_bound=5.0)
_WIDTH = flags.DEFINE_integer("width", 340, "Width of a video in pixels; even.", lower_bound=128)
_HEIGHT = flags.DEFINE_integer("height", 256, "Height of a video in pixels; even.", lower_bound=180)
_REPEATS = flags.DEFINE_integer("rounds", 3, "Measurements of each kind.", lower_bound=1)
_PROCESSES = flags.DEFINE_integer("processes", None, "Child processes; by default one per core.")
_FOLDER = flags.DEFINE_string("work_dir", None, "Working folder; by default a temporary one.")

_RATE = 30
_SETTINGS = preparation.Settings(cut="window")


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    processes = _PROCESSES.value or len(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(
            _FOLDER.value or stack.enter_context(tempfile.TemporaryDirectory(prefix="write_data"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"film{n}.mp4" for n in range(_FILMS.value)]
        for number, path in enumerate(paths):
            if not path.exists():
                write_film(path, _SECONDS.value, number)
        with WorkerPool(processes, 300.0) as pool:
            times = measure(paths, folder, pool, processes)
            peak = pool.peak_bytes()
        seconds = _FILMS.value * _SECONDS.value
        rates = {
            name: seconds / statistics.median(taken) / processes for name, taken in times.items()
        }
        size = sum(path.stat().st_size for path in paths)
        print_result(
            "write_data",
            {
                "films": _FILMS.value,
                "seconds_of_film": seconds,
                "size": [_HEIGHT.value, _WIDTH.value],
                "kilobits_a_second": round(size * 8 / seconds / 1000),
                "processes": processes,
            },
            film_seconds_a_core_second={k: round(v, 1) for k, v in rates.items()},
            write_over_arrays=round(rates["write"] / rates["arrays"], 3),
            write_over_codec=round(rates["write"] / rates["codec"], 3),
            milliseconds_a_film_second=steps(paths[0]),
            rounds_seconds={k: [round(t, 2) for t in v] for k, v in times.items()},
            peak_worker_bytes=peak,
        )


# ---- Videos --------------------------------------------------------------------------------------


def write_film(path: pathlib.Path, seconds: float, seed: int) -> None:
    """Write five-second scenes with a drifting textured background, an object and sensor noise."""
    generator = np.random.default_rng(seed)
    width, height = _WIDTH.value, _HEIGHT.value
    noise = generator.normal(0, 4, (16, height, width, 1)).astype(np.int16)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=_RATE)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=44_100, layout="stereo")
        for number in range(round(seconds * _RATE)):
            at = number % (5 * _RATE)
            if at == 0:
                background = _texture(generator, 2 * height, 2 * width)
                thing = _texture(generator, 90, 110)
            x, y = int(1.3 * at), int(0.8 * at)
            picture = background[y : y + height, x : x + width].copy()
            left = 2 * at % (width - 110)
            picture[80:170, left : left + 110] = thing
            noisy = (picture + noise[generator.integers(16)]).clip(0, 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(video.encode(None))
        for start in range(0, round(seconds * 44_100), 1024):
            wave = 0.1 * generator.standard_normal((2, 1024)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 44_100, start
            frame.time_base = fractions.Fraction(1, 44_100)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def _texture(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return int16 [height, width, 3] noise, stronger at coarse scales, as in photos."""
    total = np.zeros((height, width, 3), np.float32)
    for cell in (2, 4, 8, 16, 32, 64):
        coarse = generator.integers(0, 256, (height // cell + 1, width // cell + 1, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(smooth, np.float32) * cell**0.5
    total = (total - total.mean()) / total.std()
    return (120 + 50 * total).clip(0, 255).astype(np.int16)


# ---- Measuring -----------------------------------------------------------------------------------


class _Warm(preparation.Execution):
    """Runs tasks in a pool that outlives them."""

    def runner(self, work: WorkFolder) -> Any:
        """Return the pool, which is kept running."""
        del work
        return contextlib.nullcontext(_warm[0])


_warm: list[WorkerPool] = []


def measure(
    paths: Sequence[pathlib.Path], folder: pathlib.Path, pool: WorkerPool, processes: int
) -> dict[str, list[float]]:
    """Return the seconds of each round for "codec", "arrays" and "write", which run in turn."""
    _warm[:] = [pool]
    warm_up = [Task(decode, "warm-up", (str(paths[0]), True), ((n, 0),)) for n in range(processes)]
    _finish(pool, warm_up)
    times: dict[str, list[float]] = {"codec": [], "arrays": [], "write": []}
    sources = [preparation.Source(path.stem, path, split="train") for path in paths]
    for repeat in range(_REPEATS.value + 1):
        for name, arrays in (("codec", False), ("arrays", True)):
            tasks = [Task(decode, str(path), (str(path), arrays), ((path, 0),)) for path in paths]
            times[name].append(_timed(lambda tasks=tasks: _finish(pool, tasks)))
        with tempfile.TemporaryDirectory(dir=folder) as output:
            times["write"].append(
                _timed(
                    lambda output=output: preparation.prepare(
                        sources, output, _SETTINGS, execution=_Warm(processes)
                    )
                )
            )
        if repeat == 0:
            # The first write imports TensorFlow in the children, which takes a few seconds per run.
            for taken in times.values():
                taken.clear()
    return times


def decode(path: str, arrays: bool, parts: Sequence[Any]) -> Iterator[int]:
    """Decode a whole video with PyAV in a child process, and count frames and samples."""
    for _ in parts:
        count = 0
        for kind in ("video", "audio"):
            with av.open(path) as container:
                stream = getattr(container.streams, kind)[0]
                stream.codec_context.thread_count = 1
                for frame in container.decode(stream):
                    if arrays:
                        array = (
                            frame.to_ndarray(format="rgb24")
                            if kind == "video"
                            else frame.to_ndarray()
                        )
                        count += array.shape[0]
                    count += 1
        yield count


def _finish(pool: WorkerPool, tasks: Sequence[Task]) -> None:
    for _, outcome in pool.run(tasks):
        if isinstance(outcome, Failure):
            raise RuntimeError(outcome.reason)


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def steps(path: pathlib.Path) -> dict[str, float]:
    """Return the core milliseconds of each step per second of video, in this process."""
    seconds = _SECONDS.value
    clips = tuple(
        plan.PlannedClip(ClipSpan("film", n * 3200, (n + 1) * 3200, 0, "train"), (), ())
        for n in range(int((seconds - 0.5) / 3.2))
    )
    end = clips[-1].span.end_ms / 1000
    times = media.frame_times(0.0, end, _SETTINGS.frame_rate)
    side, quality = _SETTINGS.short_side, _SETTINGS.jpeg_quality

    def frames() -> list[bytes]:
        return [jpeg for _, jpeg in media.iter_frames_at(path, times, side, quality)]

    pictures = [np.asarray(Image.open(io.BytesIO(jpeg), formats=["JPEG"])) for jpeg in frames()]

    def encode_jpegs() -> None:
        for picture in pictures:
            Image.fromarray(picture).save(io.BytesIO(), "JPEG", quality=quality)

    def everything(folder: str) -> None:
        work = decoding.DecodeJob("0.block", clips, True)
        options = decoding.DecodeOptions(_SETTINGS, {}, WorkFolder(folder))
        list(decoding.decode_units(str(path), "video", "", None, options, [work]))

    with tempfile.TemporaryDirectory() as folder:
        everything(folder)  # imports TensorFlow
        jpeg = _timed(encode_jpegs)
        pictures_time = _timed(frames)
        sound = _timed(lambda: media.read_waveform(path, 0.0, end))
        whole = _timed(lambda: everything(folder))
    taken = {
        "decode_and_scale": pictures_time - jpeg,
        "jpeg": jpeg,
        "sound": sound,
        "records": max(0.0, whole - pictures_time - sound),
        "all_but_shards": whole,
    }
    return {name: round(1000 * value / end, 2) for name, value in taken.items()}


if __name__ == "__main__":
    app.run(main)
