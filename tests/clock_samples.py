# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Films that tell the time: each picture shows its number, the sound clicks at whole seconds."""

from __future__ import annotations

import fractions
import pathlib
from collections.abc import Callable, Sequence

import av
import numpy as np

from mmv_tf.data import media

WIDTH, HEIGHT = 160, 64
_BITS = 10
RATE = 48_000


def picture(number: int) -> np.ndarray:
    """uint8 [64, 160, 3]: the number in ten bits above, dark on the left and light below."""
    gray = np.full((HEIGHT, WIDTH), 128, np.uint8)
    for bit in range(_BITS):
        columns = slice(bit * WIDTH // _BITS, (bit + 1) * WIDTH // _BITS)
        gray[: HEIGHT // 2, columns] = 235 if number >> (_BITS - 1 - bit) & 1 else 16
    gray[HEIGHT // 2 :, : WIDTH // 2], gray[HEIGHT // 2 :, WIDTH // 2 :] = 60, 180
    return np.repeat(gray[:, :, np.newaxis], 3, axis=2)


def number(pixels: np.ndarray) -> int:
    """Which picture this is; -1 if it is not upright."""
    gray = pixels.astype(float).mean(axis=2)
    height, width = gray.shape
    low = gray[5 * height // 8 : 7 * height // 8]
    if not low[:, width // 8 : 3 * width // 8].mean() < 120 < low[:, 5 * width // 8 :].mean():
        return -1
    cells = gray[height // 8 : 3 * height // 8]
    found = 0
    for bit in range(_BITS):
        cell = cells[:, int((bit + 0.25) * width / _BITS) : int((bit + 0.75) * width / _BITS)]
        found = 2 * found + int(cell.mean() > 128)
    return found


def clicks(seconds: float, rate: int = RATE, first: int = 0) -> np.ndarray:
    """float32 samples with 20 ms of 500 + 100 (first + k) Hz at each whole second k."""
    times = np.arange(round(seconds * rate)) / rate
    whole = np.floor(times)
    tone = 0.7 * np.sin(2 * np.pi * (500 + 100 * (first + whole)) * (times - whole))
    return np.where(times - whole < 0.02, tone, 0.0).astype(np.float32)


def heard(samples: np.ndarray, rate: int = RATE) -> list[tuple[float, int]]:
    """(seconds, k) of each click that is whole."""
    found, at = [], 0
    loud = np.abs(samples) > 0.1
    while at < len(samples) and loud[at:].any():
        at += int(np.argmax(loud[at:]))
        piece = samples[at : at + round(0.018 * rate)]
        if at > rate // 1000 and len(piece) == round(0.018 * rate):
            crossings = np.sum(np.diff(np.signbit(piece).astype(int)) != 0) / 2
            found.append((at / rate, round((crossings / len(piece) * rate - 500) / 100)))
        at += rate // 5
    return found


def write(
    path: pathlib.Path,
    seconds: float = 4.0,
    frame_rate: fractions.Fraction | int = 25,
    video: str | None = "libx264",
    audio: str | None = "aac",
    b_frames: int = 2,
    gop: int = 25,
    offset: float = 0.0,
    video_delay: float = 0.0,
    audio_delay: float = 0.0,
    kept: Callable[[int], bool] = lambda number: True,
    format: str | None = None,
    options: dict[str, str] | None = None,
    sound_seconds: float | None = None,
    sounds: int = 1,
    default: int | None = None,
) -> pathlib.Path:
    """Writes a film.

    Args:
      path: its suffix chooses the container, unless `format` does.
      seconds, frame_rate, video, b_frames, gop: of the pictures.
      audio: codec of the sound.
      offset: seconds added to all times.
      video_delay, audio_delay: seconds added to the times of one track.
      kept: which pictures there are, for a variable frame rate.
      format, options: of the container.
      sound_seconds: of the sound, if it is not as long as the picture.
      sounds: how many tracks of it; the clicks of track t are those of seconds from 10 t on.
      default: the track that is marked as default.
    """
    step = fractions.Fraction(1) / frame_rate
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        shown, heard_tracks = None, []
        if video is not None:
            shown = container.add_stream(video, rate=frame_rate)
            shown.width, shown.height = WIDTH, HEIGHT
            shown.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
            shown.time_base = shown.codec_context.time_base = fractions.Fraction(1, 90_000)
            if video in ("mpeg4", "mpeg2video", "mpeg1video", "mjpeg"):
                shown.codec_context.time_base = step
                offset = float(round(fractions.Fraction(offset) / step) * step)
            shown.bit_rate, shown.gop_size = 1_000_000, gop
            if video not in ("libvpx", "mjpeg"):
                shown.codec_context.max_b_frames = b_frames
            if video == "libx264":
                shown.codec_context.options = {"preset": "veryfast", "bf": str(b_frames)}
            if video == "libvpx":
                shown.codec_context.options = {"deadline": "realtime", "cpu-used": "8"}
        for index in range(sounds if audio is not None else 0):
            sound = container.add_stream(audio, rate=RATE, layout="mono")
            sound.bit_rate = 96_000
            sound.disposition = av.stream.Disposition.default if index == default else 0
            heard_tracks.append(sound)
        packets: list[av.Packet] = []
        if shown is not None:
            base = shown.codec_context.time_base
            for index in range(round(seconds * frame_rate)):
                if kept(index):
                    frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
                    frame = frame.reformat(format=shown.pix_fmt)
                    time = index * step + fractions.Fraction(offset + video_delay)
                    frame.pts, frame.time_base = round(time / base), base
                    packets += shown.encode(frame)
            packets += shown.encode(None)
        for index, sound in enumerate(heard_tracks):
            length = seconds if sound_seconds is None else sound_seconds
            wave = clicks(length, first=10 * index)
            packets += encoded_sound(sound, wave, offset + audio_delay)
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        container.mux(packets)
    return path


def encoded_sound(sound: av.AudioStream, wave: np.ndarray, delay: float = 0.0) -> list[av.Packet]:
    """The packets of samples of one channel, `delay` seconds late."""
    packets: list[av.Packet] = []
    kind = sound.codec_context.format.name
    resampler = av.AudioResampler(kind, "mono", RATE, sound.codec_context.frame_size or 1024)
    for start in range(0, len(wave), 1024):
        piece = av.AudioFrame.from_ndarray(
            wave[np.newaxis, start : start + 1024], format="fltp", layout="mono"
        )
        piece.sample_rate, piece.time_base = RATE, fractions.Fraction(1, RATE)
        piece.pts = start + round(delay * RATE)
        for ready in resampler.resample(piece):
            packets += sound.encode(ready)
    for ready in resampler.resample(None):
        packets += sound.encode(ready)
    return packets + sound.encode(None)


def misplaced(
    path: pathlib.Path,
    lengths: Sequence[float] = (4.0,),
    frame_rate: float = 25.0,
    lag: float = 0.0,
    kept: Callable[[int], bool] = lambda number: True,
    spans: Sequence[tuple[float, float]] = ((0.0, 0.5), (1.3, 2.5), (3.2, 3.8)),
    frames: float = 1.0,
    seconds: float = 0.015,
) -> list[str]:
    """What of a film is not where it should be, by pictures and by clicks.

    Args:
      path: the film.
      lengths: of the pieces that it was joined from, each of which starts with picture 0.
      frame_rate: of the pictures.
      lag: by how many seconds the sound is late.
      kept: which pictures there are.
      spans: what is looked at, seconds.
      frames, seconds: how far off a picture and a click may be.
    """
    starts = np.cumsum([0.0, *lengths])
    wrong = []
    duration = media.probe(path).duration
    # A container may not store how long the last picture of a variable rate is shown.
    if abs(duration - starts[-1]) > (0.1 if kept(1) and kept(4) else 0.25):
        wrong.append(f"it lasts {duration:.3f} s, right is {starts[-1]:.3f}")
    for start, end in spans:
        times = [start + 0.4 / frame_rate + i / 25 for i in range(int((end - start) * 25))]
        for time, pixels in media.iter_pixels_at(path, times, HEIGHT):
            own = time - starts[np.searchsorted(starts, time, side="right") - 1]
            right = max(n for n in range(int(own * frame_rate) + 1) if kept(n))
            if abs(number(pixels) - right) > frames:
                wrong.append(f"at {time:.3f} s picture {number(pixels)}, right is {right}")
        if not media.probe(path).has_audio:
            continue
        for time, second in heard(media.read_waveform(path, start, end, RATE)):
            own = start + time - starts[np.searchsorted(starts, start + time, side="right") - 1]
            if abs(own - second - lag) > seconds:
                wrong.append(f"at {start + time:.3f} s the click of second {second}")
    return wrong


def write_packed_avi(path: pathlib.Path, seconds: float = 4.0) -> pathlib.Path:
    """Writes an AVI with packed B-frames, as XviD's encoder does."""
    plain = write(path.with_suffix(".m4v"), seconds, 25, "mpeg4", None, b_frames=1, format="m4v")
    mark = b"\x00\x00\x01\xb2DivX503b1393p"
    with av.open(str(plain), format="m4v") as container:
        chunks = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    packed: list[bytes] = []
    for chunk in chunks:
        at = chunk.find(b"\x00\x00\x01\xb6")
        if at > 0:  # Headers: the encoder's mark is replaced.
            old = chunk.find(b"\x00\x00\x01\xb2")
            chunk = chunk[: old if old >= 0 else at] + mark + chunk[at:]
            at = chunk.find(b"\x00\x00\x01\xb6")
        is_b = chunk[at + 4] >> 6 == 2
        if is_b:
            packed[-1] += chunk
            packed.append(b"\x00\x00\x01\xb6\x51\x40\x7f")
        else:
            packed.append(chunk)
    pcm = (clicks(seconds) * 32_767).astype("<i2").tobytes()
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.codec_tag = "XVID"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        step = RATE // 25
        for index, chunk in enumerate(packed):
            piece = pcm[2 * index * step : 2 * (index + 1) * step]
            for stream, data, base, time in (
                (video, chunk, fractions.Fraction(1, 25), index),
                (sound, piece, fractions.Fraction(1, RATE), index * step),
            ):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, base
                packet.pts = packet.dts = time
                packet.is_keyframe = stream is sound or data.find(b"\x00\x00\x01\xb6") > 4
                container.mux(packet)
    return path
