# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares clips stored as video with JPEGs and floats: size, PSNR, and reading time.

  python -m benchmarks.stored_video --video=bbb.mp4
  python -m benchmarks.stored_video --video=bbb.mp4 --short_side=112 --codecs

Cuts clips of 3.2 s, evenly spaced in the film, and stores them in both ways. PSNR compares all
pixels of all clips with the scaled frames before storing, in RGB and in luma. "decode" is the CPU
time to decode all frames of a clip to the readers' input: RGB from libjpeg-turbo, or Y, U and V
from H.264. "read" is the CPU time of the whole reader, in turn with JPEGs, with data.pixels set to
opencv and to tensorflow; every window uses all 32 frames, with its audio. --codecs adds a table of
x264 options. Prints one line of JSON.
"""

from __future__ import annotations

import io
import math
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import simplejpeg
from absl import app, flags
from PIL import Image

from benchmarks.measure import print_result
from mmv_tf.data import Reader, default_config, media
from mmv_tf.data.preparation import Settings
from mmv_tf.data.records import manifests, shard_writer
from mmv_tf.data.stored_clips import clip_encoder
from mmv_tf.data.stored_clips.clip_decoder import StoredClip
from mmv_tf.layers import LogMel

_VIDEO = flags.DEFINE_string("video", None, "The film.", required=True)
_CLIPS = flags.DEFINE_integer("num_clips", 40, "Number of clips.", lower_bound=4)
_SHORT_SIDE = flags.DEFINE_integer("short_side", 256, "Shorter side of stored frames.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of each way of reading, in turn.")
_CODECS = flags.DEFINE_bool("codecs", False, "Also measure other options of x264.")

_DEFAULTS = Settings()
_RATE, _SECONDS, _SAMPLE_RATE, _BATCH = 10.0, 3.2, 48_000, 4
_FRAMES = round(_RATE * _SECONDS)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Name -> rate factor, and x264 options besides the defaults.
_OTHERS: dict[str, tuple[int, dict[str, str]]] = {
    "crf 20": (20, {}),
    "crf 24": (24, {}),
    "fastdecode": (22, {"tune": "fastdecode"}),
    "key frame every 16": (22, {"g": "16"}),
    "preset veryfast": (22, {"preset": "veryfast"}),
    "preset slow": (22, {"preset": "slow"}),
}


class Errors:
    """Squared errors of pixels, as PSNR in dB."""

    def __init__(self) -> None:
        self._rgb: list[float] = []
        self._luma: list[float] = []

    def add(self, found: np.ndarray, expected: np.ndarray) -> None:
        """Add a frame, uint8 [height, width, 3]."""
        error = found.astype(np.float32) - expected
        self._rgb.append(float(np.mean(error**2)))
        self._luma.append(float(np.mean((error @ _LUMA) ** 2)))

    def psnr(self) -> dict[str, float]:
        """Return the PSNR of all pixels in RGB and in luma, and of the worst frame in RGB."""
        means = {
            "rgb": statistics.mean(self._rgb),
            "luma": statistics.mean(self._luma),
            "rgb_of_the_worst_frame": max(self._rgb),
        }
        return {name: round(10 * math.log10(255**2 / mean), 2) for name, mean in means.items()}


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    clips, waveforms = _clips()
    jpeg, jpegs = _as_jpegs(clips)
    crf = _DEFAULTS.video_crf
    video, videos = _as_videos(clips, crf, {})
    others = {}
    if _CODECS.value:
        others = {name: _as_videos(clips, *how, every=4)[0] for name, how in _OTHERS.items()}
    for found in (video, *others.values()):
        found["bytes_over_jpeg"] = round(found["bytes"] / jpeg["bytes"], 4)
        found["decode_over_jpeg"] = round(found["decode_ms"] / jpeg["decode_ms"], 2)
    with tempfile.TemporaryDirectory(prefix="stored_video") as folder:
        stores = _write_both(pathlib.Path(folder), clips[0].shape, jpegs, videos, waveforms)
        reading = _reading({name: directory for name, (directory, _) in stores.items()})
        records = {name: round(size / len(clips)) for name, (_, size) in stores.items()}
    print_result(
        "stored_video",
        {
            "clips": len(clips),
            "clip": f"{_FRAMES} frames of {clips[0].shape[2]}x{clips[0].shape[1]}, {_SECONDS} s",
            "video_crf": crf,
        },
        jpeg=jpeg,
        video=video,
        record_bytes=records,
        record_bytes_over_jpeg=round(records["video"] / records["jpeg"], 4),
        **reading,
        codecs=others,
    )


def _clips() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return frames, uint8 [T, height, width, 3], and waveforms of the clips."""
    length = media.probe(_VIDEO.value).duration
    starts = np.linspace(0.0, length - _SECONDS - 1.0, _CLIPS.value)
    frames, waveforms = [], []
    for start in starts.round(1).tolist():
        times = media.frame_times(start, start + _SECONDS, _RATE)
        shown = media.iter_pixels_at(_VIDEO.value, times, _SHORT_SIDE.value)
        frames.append(np.stack([pixels for _, pixels in shown]))
        waveforms.append(media.read_waveform(_VIDEO.value, start, start + _SECONDS, _SAMPLE_RATE))
    return frames, waveforms


def _cpu_ms(run: Callable[[], Any], count: int) -> float:
    """Return the CPU milliseconds per item of `count`, the best of three runs."""
    best = math.inf
    for _ in range(3):
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return round(1000 * best / count, 2)


def _as_jpegs(clips: Sequence[np.ndarray]) -> tuple[dict[str, Any], list[list[bytes]]]:
    errors = Errors()
    started = time.process_time()
    jpegs = [[_jpeg(frame) for frame in clip] for clip in clips]
    encode = 1000 * (time.process_time() - started) / len(clips)
    for clip, encoded in zip(clips, jpegs, strict=True):
        for frame, jpeg in zip(clip, encoded, strict=True):
            errors.add(simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=True), frame)
    buffer = np.empty_like(clips[0][0])

    def decode() -> None:
        for encoded in jpegs:
            for jpeg in encoded:
                simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=True, buffer=buffer)

    found = {
        "bytes": round(statistics.mean(sum(map(len, encoded)) for encoded in jpegs)),
        "psnr": errors.psnr(),
        "encode_ms": round(encode, 1),
        "decode_ms": _cpu_ms(decode, len(clips)),
    }
    return found, jpegs


def _jpeg(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=_DEFAULTS.jpeg_quality)
    return buffer.getvalue()


def _as_videos(
    clips: Sequence[np.ndarray], crf: int, options: Mapping[str, str], every: int = 1
) -> tuple[dict[str, Any], list[bytes]]:
    """Return what was measured, the PSNR of every n-th frame, and the videos."""
    usual = dict(clip_encoder.VIDEO_OPTIONS)
    clip_encoder.VIDEO_OPTIONS.update(options)
    try:
        started = time.process_time()
        videos = [_encoded(clip, crf) for clip in clips]
        encode = 1000 * (time.process_time() - started) / len(clips)
    finally:
        clip_encoder.VIDEO_OPTIONS.clear()
        clip_encoder.VIDEO_OPTIONS.update(usual)
    errors = Errors()
    for clip, data in zip(clips, videos, strict=True):
        for index, planes in StoredClip.parse(data).frames(range(0, _FRAMES, every)):
            errors.add(planes.rgb(*clip.shape[1:3]), clip[index])

    def decode() -> None:
        for data in videos:
            for _ in StoredClip.parse(data).frames(range(_FRAMES)):
                pass

    found = {
        "bytes": round(statistics.mean(map(len, videos))),
        "psnr": errors.psnr(),
        "encode_ms": round(encode, 1),
        "decode_ms": _cpu_ms(decode, len(clips)),
    }
    return found, videos


def _encoded(clip: np.ndarray, crf: int) -> bytes:
    _, height, width, _ = clip.shape
    encoder = clip_encoder.VideoEncoder(height, width, _RATE, crf)
    for frame in clip:
        encoder.add(frame)
    return encoder.finish()


def _write_both(
    folder: pathlib.Path,
    shape: tuple[int, ...],
    jpegs: Sequence[list[bytes]],
    videos: Sequence[bytes],
    waveforms: Sequence[np.ndarray],
) -> dict[str, tuple[pathlib.Path, int]]:
    """Write the clips as shards of both kinds; return the folders and the shards' sizes."""
    size = shape[1], shape[2]
    plain = [
        shard_writer.ClipMedia(frames, *size, waveform)
        for frames, waveform in zip(jpegs, waveforms, strict=True)
    ]
    encoded = [
        shard_writer.ClipMedia([], *size, None, encoded=_with_sound(data, waveform))
        for data, waveform in zip(videos, waveforms, strict=True)
    ]
    found = {}
    for name, clips in ((manifests.JPEG_STORE, plain), (manifests.VIDEO_STORE, encoded)):
        directory = folder / name
        directory.mkdir()
        records = [
            shard_writer.sequence_example(
                shard_writer.ClipSpan("film", 3200 * n, 3200 * n + 3200, 0, "train"),
                clip,
                [],
                {},
                _RATE,
                _SAMPLE_RATE,
            ).SerializeToString()
            for n, clip in enumerate(clips)
        ]
        entry = shard_writer.write_shard(directory / "train-00000-of-00001.tfrecord", records)
        manifest = {
            "frame_rate": _RATE,
            "sample_rate": _SAMPLE_RATE,
            "short_side": _SHORT_SIDE.value,
            "store": name,
            "labels": [],
            "splits": {"train": {"num_examples": len(clips), "shards": [entry]}},
            "settings": {},
        }
        manifests.write_manifest(directory, manifest)
        found[name] = directory, entry["bytes"]
    return found


def _with_sound(data: bytes, waveform: np.ndarray) -> shard_writer.EncodedMedia:
    whole = clip_encoder.with_sound(data, waveform, _SAMPLE_RATE)
    return shard_writer.EncodedMedia(whole, _FRAMES, True)


def _reading(directories: Mapping[str, pathlib.Path]) -> dict[str, Any]:
    """Return the CPU milliseconds a clip of reading, in turn, and the ratios.

    A pass of evaluation reads every clip once and nothing ahead, so that all of its time counts and
    none of another's.
    """
    passes = {}
    for pixels in ("opencv", "tensorflow"):
        for store, directory in directories.items():
            for heard in (False, True):
                config = default_config()
                config.update(directory=str(directory), batch_size=_BATCH, pixels=pixels)
                reader = Reader(config, None, LogMel() if heard else None)
                name = f"{pixels}, {store}{', audio' if heard else ''}"
                passes[name] = reader.evaluate(), reader.num_examples()
    taken: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(1 + _ROUNDS.value):
        for name, (dataset, count) in passes.items():
            started = time.process_time()
            for _ in dataset:
                pass
            taken[name].append(1000 * (time.process_time() - started) / count)
    # The first one traces. The best: other programs only add to it.
    read = {name: round(min(times[1:]), 2) for name, times in taken.items()}
    ratios = {
        name.replace(", jpeg", ""): round(read[name.replace(", jpeg", ", video")] / time_, 2)
        for name, time_ in read.items()
        if ", jpeg" in name
    }
    return {"read_ms": read, "read_over_jpeg": ratios}


if __name__ == "__main__":
    app.run(main)
