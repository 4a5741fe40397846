# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes the needed frames and samples of a clip stored by `clip_encoder`.

PyAV is imported at the first decoding, since all readers of records import this module.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mmv_tf.data.stored_clips import mp4

if TYPE_CHECKING:
    import av

# FFmpeg rounds the sides up by 64 pixels or more before it compares the area with its limit.
_ROUNDING = 128
# Ours: seconds that an audio decoder runs before the first sample needed. Opus needs 80 ms
# (RFC 7845, section 4.6); two packets of AAC at 8 kHz take 256 ms.
_RUN_UP_SECONDS = 0.3


# ITU-R BT.601 with 219 steps of luma from 16 and 224 steps of color around 128: the rows are red,
# green and blue; the columns Y, U, V and the offset.
TO_RGB = np.array(
    [
        [255 / 219, 0.0, 1.402 * 255 / 224],
        [255 / 219, -0.344136 * 255 / 224, -0.714136 * 255 / 224],
        [255 / 219, 1.772 * 255 / 224, 0.0],
    ]
)
TO_RGB = np.concatenate([TO_RGB, -TO_RGB @ [[16.0], [128.0], [128.0]]], axis=1)


class UndecodableError(ValueError):
    """Raised for frames or audio that cannot be decoded."""


@dataclasses.dataclass(frozen=True)
class VideoPlanes:
    """A frame as ITU-R BT.601 luma and color, with 219 and 224 steps.

    Attributes:
      y: uint8 [height, width]; both are even.
      u, v: uint8 [height / 2, width / 2].
    """

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def rgb(self, height: int, width: int) -> np.ndarray:
        """Return the frame, uint8 [height, width, 3], with colors interpolated linearly."""
        size = self.y.shape[1], self.y.shape[0]
        linear = Image.Resampling.BILINEAR
        color = [np.asarray(Image.fromarray(p).resize(size, linear)) for p in (self.u, self.v)]
        yuv = np.stack([self.y, *color], axis=-1)[:height, :width]
        matrix = TO_RGB.astype(np.float32)
        mapped = yuv.astype(np.float32) @ matrix[:, :3].T + matrix[:, 3]
        return mapped.round().clip(0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class StoredClip:
    """A clip's file and the positions of its samples.

    Attributes:
      data: the file's content.
      tracks: the file's tracks.
    """

    data: bytes
    tracks: mp4.Mp4

    @classmethod
    def parse(cls, data: bytes) -> StoredClip:
        """Parse a file.

        Raises:
          Mp4Error: it is damaged, or was not written by `clip_encoder`.
        """
        return cls(data, mp4.read_mp4(data))

    @property
    def num_frames(self) -> int:
        """Number of frames; 0 if there is no video track."""
        return 0 if self.tracks.video is None else len(self.tracks.video.sizes)

    def check_size(self, height: int, width: int) -> None:
        """Compare a record's frame size with the file's, whose sides are even.

        Raises:
          UndecodableError: they differ.
        """
        track = self.tracks.video
        found = (0, 0) if track is None else (track.height, track.width)
        if found != (height + height % 2, width + width % 2):
            raise UndecodableError(
                f"its frames are {found[1]} x {found[0]}, but the record states {width} x {height}"
            )

    def frames(self, indices: Sequence[int]) -> Iterator[tuple[int, VideoPlanes]]:
        """Yield (index, frame) for each distinct index, in ascending order.

        Decoding starts at the key frame before a wanted frame, and frames between two wanted ones
        are skipped if there is a key frame between them.

        Raises:
          UndecodableError: a frame is missing or damaged.
        """
        track = self.tracks.video
        wanted = sorted(set(indices))
        if track is None or not wanted or wanted[0] < 0 or wanted[-1] >= self.num_frames:
            raise UndecodableError(
                f"it has {self.num_frames} frames, but frames {wanted} are needed"
            )
        left = iter(wanted)
        following = next(left, None)
        for index, frame in self._decoded_video(track, wanted):
            if index != following:
                continue
            found = frame.width, frame.height, frame.format.name
            if found != (track.width, track.height, "yuv420p"):
                raise UndecodableError(
                    f"frame {index} is {found[0]} x {found[1]} in {found[2]} instead of "
                    f"{track.width} x {track.height} in yuv420p"
                )
            yield index, VideoPlanes(*map(_pixels, frame.planes))
            following = next(left, None)
        if following is not None:
            raise UndecodableError(f"frame {following} can't be decoded")

    def _decoded_video(
        self, track: mp4.Track, wanted: Sequence[int]
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield decoded frames with their indices; they include those wanted."""
        area = (track.width + _ROUNDING) * (track.height + _ROUNDING)
        context = _decoder(track, {"max_pixels": str(area), "err_detect": "explode"})
        for first, last in _runs(track.keys, wanted):
            context.flush_buffers()
            for index in range(first, last + 1):
                yield from self._fed(context, track, index)
            yield from self._fed(context, track, None)

    def _fed(
        self, context: av.CodecContext, track: mp4.Track, index: int | None
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """Feed a frame's packet, or the end of the stream, to a decoder; yield what it returns."""
        import av

        packet = None
        if index is not None:
            start = int(track.starts[index])
            packet = av.Packet(self.data[start : start + int(track.sizes[index])])
            packet.pts = packet.dts = index
        try:
            frames = context.decode(packet)
        except av.FFmpegError as error:
            where = "the last frame" if index is None else f"frame {index}"
            raise UndecodableError(f"{where} can't be decoded") from error
        for frame in frames:
            yield frame.pts, frame

    def waveform(self, count: int, start: int = 0, end: int | None = None) -> np.ndarray:
        """Return the clip's audio.

        Args:
          count: number of samples in the clip.
          start, end: range of samples that are needed; by default, all are. Others are zeros, and
            packets that hold only those are not decoded.

        Returns:
          float32 [count] in [-1, 1]; [0] if there is no audio track.

        Raises:
          UndecodableError: a packet is damaged, or NaN or infinity was stored.
        """
        from av.codec.context import Flags2

        track = self.tracks.sound
        if track is None:
            return np.zeros(0, np.float32)
        samples = np.zeros(count, np.float32)
        begin, stop = max(0, start), count if end is None else min(end, count)
        if begin >= stop:
            return samples
        run_up = int(_RUN_UP_SECONDS * track.timescale)
        first = max(0, int(np.searchsorted(track.times, begin - run_up, "right")) - 1)
        last = int(np.searchsorted(track.times, stop, "left"))
        context = _decoder(track, {})
        context.flags2 |= Flags2.skip_manual
        place = int(track.times[first])
        for index in range(first, last):
            for piece in self._heard(context, track, index):
                low, high = max(place, begin), min(place + len(piece), stop)
                if low < high:
                    samples[low:high] = piece[low - place : high - place]
                place += len(piece)
        if place < min(stop, track.end):
            raise UndecodableError(f"its audio ends at sample {place} of {count}")
        if not np.isfinite(samples).all():
            raise UndecodableError("its audio contains NaN or infinity")
        return np.clip(samples, -1.0, 1.0, out=samples)

    def _heard(
        self, context: av.CodecContext, track: mp4.Track, index: int
    ) -> Iterator[np.ndarray]:
        """Yield the samples of a packet, float32 [samples]."""
        import av

        start = int(track.starts[index])
        packet = av.Packet(self.data[start : start + int(track.sizes[index])])
        try:
            frames = context.decode(packet)
        except av.FFmpegError as error:
            raise UndecodableError(f"packet {index} of its audio can't be decoded") from error
        for frame in frames:
            piece = frame.to_ndarray()
            if piece.shape[0] != 1 or piece.dtype != np.float32:
                raise UndecodableError(f"packet {index} of its audio is not one channel of floats")
            if frame.sample_rate != track.timescale:
                raise UndecodableError(
                    f"its audio has {frame.sample_rate} samples a second, but the file states "
                    f"{track.timescale}"
                )
            yield piece[0]


def _pixels(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """Return a view of a plane's pixels."""
    rows = np.frombuffer(plane, np.uint8, plane.line_size * plane.height)
    return rows.reshape(plane.height, plane.line_size)[:, : plane.width]


def _decoder(track: mp4.Track, options: dict[str, str]) -> av.CodecContext:
    import av

    context = av.CodecContext.create(track.codec, "r")
    context.extradata = track.setup
    context.thread_count = 1  # Clips are decoded in parallel.
    context.options = options
    return context


def _runs(keys: np.ndarray, wanted: Sequence[int]) -> list[tuple[int, int]]:
    """Return runs (first, last) that hold the wanted frames; the first is always a key frame."""
    runs: list[tuple[int, int]] = []
    for index in wanted:
        key = int(keys[np.searchsorted(keys, index, "right") - 1])
        if runs and key <= runs[-1][1] + 1:
            runs[-1] = runs[-1][0], index
        else:
            runs.append((key, index))
    return runs
