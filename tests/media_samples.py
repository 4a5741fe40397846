# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Small films for the tests: the picture says which frame it is, the sound when it starts."""

from __future__ import annotations

import fractions
import io
import pathlib
import struct
from collections.abc import Sequence

import av
import numpy as np
from PIL import Image

_GREY_STEP = 20  # Far more than the codecs' error.


def write_film(
    path: str | pathlib.Path,
    seconds: float = 2.0,
    frame_rate: int = 24,
    size: tuple[int, int] = (64, 48),
    codec: str = "mpeg4",
    audio: str | None = "tone",
    tone_start: float = 1.0,
    audio_rate: int = 44_100,
    channels: int = 2,
    frame_times: Sequence[float] | None = None,
    rotation: int = 0,
    gop: int = 12,
    offset: float = 0.0,
    sound_seconds: float | None = None,
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> pathlib.Path:
    """Writes a film and returns its path.

    In frame n (below 120) the lower quarters' greys stand for n's tens and ones; the upper left
    quarter is black, the upper right one grey. The sound is silence up to `tone_start` and then a
    440 Hz sine of amplitude 0.5.

    Args:
      path: its suffix chooses the container.
      seconds, frame_rate, size, codec, gop: of the video; size is (width, height).
      audio: "tone", "silence" or None for no audio stream.
      tone_start: seconds.
      audio_rate, channels: of the sound.
      frame_times: seconds of each frame, for a variable frame rate.
      rotation: degrees counter-clockwise that a player shall turn the picture by.
      offset: seconds added to all timestamps, as in a recording cut out of a longer one.
      sound_seconds: of the sound, if it is not as long as the picture.
      tint: what red, green and blue are multiplied by.
    """
    path = pathlib.Path(path)
    times = frame_times or [n / frame_rate for n in range(round(seconds * frame_rate))]
    width, height = size
    base = fractions.Fraction(1, 12_288)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=frame_rate)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = video.codec_context.time_base = base
        video.bit_rate = 2_000_000
        video.gop_size = gop
        if rotation:
            video.set_display_rotation(rotation)
        sound = None
        if audio is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
            sound = container.add_stream("aac", rate=audio_rate, layout=layout)
            sound.bit_rate = 128_000 * channels  # Less, and FFmpeg's encoder distorts the tone.
        for number, time in enumerate(times):
            picture = np.full((height, width, 3), 128, np.uint8)
            picture[: height // 2, : width // 2] = 0
            for column, digit in enumerate(divmod(number % 120, 10)):
                half = slice(column * width // 2, (column + 1) * width // 2)
                picture[height // 2 :, half] = 10 + _GREY_STEP * digit
            picture = (picture * np.array(tint)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round((time + offset) / base), base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            length = seconds if sound_seconds is None else sound_seconds
            wave = tone(length, audio_rate, tone_start)
            if audio == "silence":
                wave = np.zeros_like(wave)
            for start in range(0, len(wave), 1024):
                block = np.tile(wave[start : start + 1024], (channels, 1))
                piece = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                piece.sample_rate = audio_rate
                piece.pts = start + round(offset * audio_rate)
                piece.time_base = fractions.Fraction(1, audio_rate)
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path


def write_wav(path: str | pathlib.Path, samples: np.ndarray, rate: int = 16_000) -> pathlib.Path:
    """Writes float32 samples (or one channel a column) as they are, NaN too, in a RIFF file."""
    path = pathlib.Path(path)
    data = np.asarray(samples, "<f4")
    channels = 1 if data.ndim == 1 else data.shape[1]
    header = struct.pack("<HHIIHH", 3, channels, rate, 4 * channels * rate, 4 * channels, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(header)) + header
    body += b"data" + struct.pack("<I", data.nbytes) + data.tobytes()
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def frame_number(jpeg: bytes) -> int:
    """Which frame a JPEG shows."""
    picture = decode(jpeg)
    height, width = picture.shape[:2]
    lower = picture[5 * height // 8 : 7 * height // 8]
    levels = [lower[:, c * width // 8 : (c + 2) * width // 8].mean() for c in (1, 5)]
    tens, ones = (round((level - 10) / _GREY_STEP) for level in levels)
    return 10 * tens + ones


def decode(jpeg: bytes) -> np.ndarray:
    """uint8 [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(jpeg)))


def tone(seconds: float, rate: int, start: float) -> np.ndarray:
    """float32 samples: silence, then 440 Hz from `start` on."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * times) * (times >= start)).astype(np.float32)


def write_vtt(path: str | pathlib.Path, cues: Sequence[tuple[float, float, str]]) -> pathlib.Path:
    """Writes WebVTT captions."""
    path = pathlib.Path(path)
    lines = ["WEBVTT", ""]
    for start, end, text in cues:
        lines += [f"00:{start:06.3f} --> 00:{end:06.3f}", text, ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
