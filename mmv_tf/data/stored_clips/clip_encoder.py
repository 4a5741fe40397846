# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Encodes a clip as an MP4 file in memory: H.264 frames with exact times, and Opus or AAC audio.

The same frames and samples give the same bytes: encoders use one thread, and neither dates nor
program names are written. Opus and AAC compute in floats, so another kind of processor may give
different audio bytes.
"""

from __future__ import annotations

import fractions
import functools
import io
import pathlib
from collections.abc import Iterable

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import Interpolation, VideoReformatter

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.records import keys

# Ours, measured in docs/measurements/data.md. Without B-frames, frames are stored in the order in
# which they are shown, and are decoded faster.
VIDEO_OPTIONS = {"preset": "medium", "bf": "0", "g": "32", "threads": "1"}
# Opus decodes to 48 kHz whatever the original rate was, so AAC stores the other rates.
_OPUS_RATE = 48_000
# Sample rates in Hz that can be stored: AAC's (ISO/IEC 14496-3, table 1.18).
SAMPLE_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025),
    *(8_000, 7_350),
)
# Ours: bits per second for one channel, at which both codecs are nearly transparent.
SOUND_BIT_RATE = 64_000
_MICROSECONDS = fractions.Fraction(1, 1_000_000)
# Removes SEI, in which x264 writes its version and options in 700 bytes per clip.
_WITHOUT_NOTES = "filter_units=remove_types=6"
# "fflags": no date and no program name. Audio is encoded after all frames, which have to wait.
_FILE_OPTIONS = {
    "fflags": "+bitexact",
    "video_track_timescale": "1000000",
    "max_interleave_delta": "0",
}
_EXACT = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND


class VideoEncoder:
    """Encodes one clip's frames: `add` them in order, then `finish`.

    Args:
      height, width: size of the frames in pixels.
      frame_rate: frames per second.
      crf: x264's constant rate factor, 1 to 51; adding 6 halves the size.

    Attributes:
      count: number of frames added so far.

    Raises:
      MediaError: H.264 cannot have this frame size.
    """

    def __init__(self, height: int, width: int, frame_rate: float, crf: int):
        self.height, self.width, self.count = height, width, 0
        self._frame_rate = frame_rate
        self._file = io.BytesIO()
        self._container = av.open(self._file, "w", format="mp4", options=_FILE_OPTIONS)
        self._reformatter = VideoReformatter()
        options = {**VIDEO_OPTIONS, **_exact_kernels(), "crf": str(crf)}
        # x264's rate control looks at the nominal rate; the frames have times of their own.
        nominal = fractions.Fraction(frame_rate).limit_denominator(1001)
        video = self._container.add_stream("libx264", rate=nominal, options=options)
        # 4:2:0 needs even sides.
        video.height, video.width = height + height % 2, width + width % 2
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = _MICROSECONDS
        video.codec_context.flags |= Flags.bitexact
        try:
            self._container.start_encoding()
        except av.FFmpegError as error:
            raise MediaError(
                f"Frames of {width} x {height} can't be stored as H.264 ({error.strerror}); choose "
                "another --short_side, or --store=jpeg."
            ) from error
        self._video = video
        self._filter = av.bitstream.BitStreamFilterContext(_WITHOUT_NOTES, video)

    def add(self, pixels: np.ndarray) -> None:
        """Encode a frame, uint8 [height, width, 3].

        If a side is odd, its last row or column is repeated; readers cut it off.
        """
        if self.height % 2 or self.width % 2:
            padding = ((0, self.height % 2), (0, self.width % 2), (0, 0))
            pixels = np.pad(pixels, padding, mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = self._reformatter.reformat(rgb, format="yuv420p", interpolation=_EXACT)
        frame.pts = keys.frame_offset(self.count, self._frame_rate)
        frame.time_base = _MICROSECONDS
        self._mux(self._video.encode(frame))
        self.count += 1

    def finish(self) -> bytes:
        """Return the file, an MP4 with one track."""
        self._mux(self._video.encode(None))
        self._container.close()
        return self._file.getvalue()

    def _mux(self, packets: Iterable[av.Packet]) -> None:
        for packet in packets:
            for kept in self._filter.filter(packet):
                kept.stream = self._video
                self._container.mux(kept)


@functools.cache
def _exact_kernels() -> dict[str, str]:
    """Return options that keep x264 from its AVX-512 kernels.

    With them (x264 165 of PyAV 18), one in a hundred encodings of the same frames differed. With
    AVX2's, none of 800 did.
    """
    try:
        processor = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {"x264-params": "asm=AVX2"} if " avx512" in processor else {}


def with_sound(video: bytes, waveform: np.ndarray, sample_rate: int) -> bytes:
    """Return a clip's file.

    Args:
      video: bytes from `VideoEncoder.finish`; empty for audio alone.
      waveform: float32 [samples] in [-1, 1].
      sample_rate: one of `SAMPLE_RATES`.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options=_FILE_OPTIONS) as output:
        if video:
            with av.open(io.BytesIO(video), format="mp4") as source:
                track = output.add_stream_from_template(source.streams.video[0])
                sound = _sound_track(output, sample_rate)
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream = track
                        output.mux(packet)
        else:
            sound = _sound_track(output, sample_rate)
        _encode(output, sound, waveform)
    return file.getvalue()


def _sound_track(output: av.container.OutputContainer, sample_rate: int) -> av.AudioStream:
    # The codec, and the kind of floats it takes.
    codec, form = ("libopus", "flt") if sample_rate == _OPUS_RATE else ("aac", "fltp")
    sound = output.add_stream(codec, rate=sample_rate, layout="mono")
    sound.codec_context.format = form
    sound.bit_rate = SOUND_BIT_RATE
    sound.codec_context.flags |= Flags.bitexact
    return sound


def _encode(
    output: av.container.OutputContainer, sound: av.AudioStream, waveform: np.ndarray
) -> None:
    output.start_encoding()
    context = sound.codec_context
    samples = np.ascontiguousarray(waveform, np.float32)[np.newaxis]
    for start in range(0, samples.shape[1], context.frame_size):
        piece = av.AudioFrame.from_ndarray(
            samples[:, start : start + context.frame_size],
            format=context.format.name,
            layout="mono",
        )
        piece.sample_rate = context.sample_rate
        piece.pts, piece.time_base = start, fractions.Fraction(1, context.sample_rate)
        output.mux(sound.encode(piece))
    output.mux(sound.encode(None))
