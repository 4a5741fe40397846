# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decoding of video and sound with PyAV: one sequential pass over a span, in bounded memory.

Pictures that are no film: see `pictures`.

All times are seconds on one clock, that of the file's presentation: 0 is where a player starts.
Frames and samples are placed by their own timestamps, so that a stream that starts late, has gaps
or a variable frame rate stays aligned with the other one.
"""

from __future__ import annotations

import bisect
import collections
import contextlib
import dataclasses
import io
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from PIL import Image

from mmv_tf.data.media_error import MediaError as MediaError
from mmv_tf.data.pictures import picture_size

# Timestamps are rounded by containers (to 1 ms in Matroska); a frame that is this little late
# still counts as being there.
_TIME_TOLERANCE = 2e-3
# Where to seek before the wanted time: containers seek by decoding time, which can be earlier than
# presentation time, and an audio decoder needs some packets before it is right. None: the start.
_SEEK_BACK = (1.0, 10.0, None)
# A picture is held on screen this long after the last frame's time, even if no duration is stored.
_HOLD_SECONDS = 0.5
_AUDIO_GAP_SECONDS = 0.03
# Decoders that can leave out frames that no other frame needs, exactly. (HEVC's notion of such a
# frame looks at its own temporal layer only.)
_CAN_LEAVE_OUT = ("h264", "mpeg4")
# Packets to look ahead for the next frame's time; 16 is the most that H.264 reorders.
_LOOK_AHEAD = 32
_MAX_PIXELS = 8192 * 8192
_MAX_ASPECT = 16
# Containers that hold what they show. Play lists (HLS, concat, DASH ...) name other files, which
# whoever made the file need not be allowed to read.
_FORMATS = ",".join(
    "aac ac3 aiff amr ape asf au avi caf dv eac3 flac flv gif h264 hevc ivf matroska mov mp3 "
    "mpeg mpegts mpegvideo m4v mxf ogg rm tta w64 wav wv y4m yuv4mpegpipe".split()
)

_Shown = TypeVar("_Shown")


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What a file holds.

    Attributes:
      duration: seconds, to the end of the video stream, or of the sound of a sound file; 0 for an
        image.
      width, height: pixels as displayed (after rotation and with square pixels), 0 for sound.
      frame_rate: mean frames a second, 0 if unknown.
      has_audio: whether there is a sound stream.
      audio_rate: samples a second, 0 without sound.
    """

    duration: float
    width: int
    height: int
    frame_rate: float
    has_audio: bool
    audio_rate: int


def probe(path: str | pathlib.Path, kind: str = "video") -> MediaInfo:
    """Reads what `path` holds, decoding its first frame.

    Args:
      path: the file.
      kind: "video", "sound" (only the sound, of a video too) or "image".

    Raises:
      MediaError: it is missing, is not of the kind, or its first frame can't be decoded.
    """
    if kind == "image":
        return MediaInfo(0.0, *picture_size(path), 0.0, False, 0)
    with _open(path) as container:
        audio = container.streams.audio[0] if container.streams.audio else None
        if kind == "sound":
            if audio is None:
                raise MediaError(f"{path}: no sound stream found; expected one.")
            rate = int(audio.rate or 0)
            return MediaInfo(_duration(container, audio, path), 0, 0, 0.0, True, rate)
        stream = _video_stream(container, path)
        duration = _duration(container, stream, path)
        frame = next(iter(container.decode(stream)), None)
        if frame is None:
            raise MediaError(f"{path}: no video frame found; check that the file is whole.")
        width, height = _display_size(frame, stream)
        average = stream.average_rate
        return MediaInfo(
            duration=duration,
            width=width,
            height=height,
            frame_rate=float(average) if average is not None else 0.0,
            has_audio=audio is not None,
            audio_rate=int(audio.rate or 0) if audio is not None else 0,
        )


def frame_times(start: float, end: float, frame_rate: float) -> list[float]:
    """The regular grid start, start + 1 / frame_rate, ... below `end` (at least one time)."""
    count = max(1, math.ceil((end - start) * frame_rate - 1e-6))
    return [start + index / frame_rate for index in range(count)]


def iter_frames(
    path: str | pathlib.Path,
    start: float,
    end: float,
    frame_rate: float,
    short_side: int,
    jpeg_quality: int = 90,
) -> Iterator[tuple[float, bytes]]:
    """The frames shown at `frame_times(start, end, frame_rate)`; see `iter_frames_at`."""
    return iter_frames_at(path, frame_times(start, end, frame_rate), short_side, jpeg_quality)


def iter_frames_at(
    path: str | pathlib.Path, times: Sequence[float], short_side: int, jpeg_quality: int = 90
) -> Iterator[tuple[float, bytes]]:
    """The frames on screen at given times, from one pass over the video.

    The frame at a time is the last one whose own time is not later. Before the first frame it is
    the first one, and up to half a second after the last frame's end it is the last one.

    Args:
      path: the video.
      times: seconds, rising (equal ones may repeat: the very same bytes are given again).
      short_side: pixels that the shorter side is scaled to, up or down.
      jpeg_quality: 1 to 95.

    Yields:
      (time, JPEG bytes) for each of `times`.

    Raises:
      MediaError: the video can't be decoded or ends before the last of `times`.
    """
    encoder = _FrameEncoder(short_side, jpeg_quality)
    yield from _iter_shown_at(path, times, encoder.encode, _HOLD_SECONDS)


def iter_pixels_at(
    path: str | pathlib.Path,
    times: Sequence[float],
    short_side: int,
    square: bool = False,
    hold_seconds: float = _HOLD_SECONDS,
) -> Iterator[tuple[float, np.ndarray]]:
    """The frames on screen at given times, as `iter_frames_at` gives them, but as pixels.

    Args:
      path: the video.
      times: seconds, rising.
      short_side: pixels that the shorter side is scaled to.
      square: scale the longer side to as many: the picture is squeezed.
      hold_seconds: how long after the last frame it is still given.

    Yields:
      (time, uint8 [height, width, 3]) for each of `times`.

    Raises:
      MediaError: see `iter_frames_at`.
    """
    scaler = _Scaler(short_side, square)
    yield from _iter_shown_at(path, times, scaler.scale, hold_seconds)


def _iter_shown_at(
    path: str | pathlib.Path,
    times: Sequence[float],
    convert: Callable[[av.VideoFrame, av.VideoStream, object], _Shown],
    hold_seconds: float,
) -> Iterator[tuple[float, _Shown]]:
    """The frames on screen at given times, each converted once."""
    if not times:
        return
    with _open(path) as container:
        stream = _video_stream(container, path)
        stream.codec_context.thread_count = 1  # Processes are what runs in parallel.

        def shown_at(start: float, end: float) -> bool:
            """Whether a frame on screen from `start` to `end` is asked for."""
            first = bisect.bisect_left(times, start - _TIME_TOLERANCE)
            return first < len(times) and times[first] < end - _TIME_TOLERANCE

        frames = _decode_from(container, stream, times[0], shown_at)
        index, shown, shown_time, shown_until = 0, None, -math.inf, -math.inf
        converted: _Shown | None = None
        for time, frame in frames:
            if shown is not None and time <= shown_time:
                continue  # Out of order: a damaged or spliced file.
            while index < len(times) and times[index] < time - _TIME_TOLERANCE:
                if converted is None:
                    converted = convert(frame if shown is None else shown, stream, path)
                yield times[index], converted
                index += 1
            if index == len(times):
                return
            length = float(frame.duration * frame.time_base) if frame.duration else 0.0
            shown, shown_time, shown_until = frame, time, time + length
            converted = None
        if shown is None:
            raise MediaError(
                f"{path}: no frame found at {times[index]:.2f} s; check that the file is whole."
            )
        while index < len(times) and times[index] < shown_until + hold_seconds:
            if converted is None:
                converted = convert(shown, stream, path)
            yield times[index], converted
            index += 1
        if index < len(times):
            raise MediaError(
                f"{path}: the video ends at {shown_until:.2f} s, before {times[index]:.2f} s; it "
                "is cut off or damaged: get a whole copy."
            )


def read_waveform(
    path: str | pathlib.Path, start: float, end: float, sample_rate: int = 48_000
) -> np.ndarray:
    """The sound from `start` to `end` as one channel, the mean of all but the bass effects one.

    Args:
      path: the video or sound file.
      start, end: seconds.
      sample_rate: Hz to resample to.

    Returns:
      float32 [round((end - start) * sample_rate)] in [-1, 1]; zero where there is no sound.

    Raises:
      MediaError: there is no sound stream, or it can't be decoded.
    """
    count = round((end - start) * sample_rate)
    samples = np.zeros(count, np.float32)
    with _open(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: no sound stream found; expected one.")
        stream = container.streams.audio[0]
        resampler: av.AudioResampler | None = None
        kind: tuple[str, str, int] | None = None
        heard: list[int] = []
        position, expected = 0, -math.inf

        def put(resampled: Sequence[av.AudioFrame]) -> None:
            nonlocal position
            for piece in resampled:
                mono = piece.to_ndarray()[heard].mean(axis=0)
                low, high = max(position, 0), min(position + len(mono), count)
                if low < high:
                    samples[low:high] = mono[low - position : high - position]
                position += len(mono)

        for time, frame in _decode_from(container, stream, start):
            # Half a second beyond the end feeds the resampler's filter.
            if time >= end + 0.5:
                break
            frame_kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if kind != frame_kind or abs(time - expected) > _AUDIO_GAP_SECONDS:
                if resampler is not None:
                    put(resampler.resample(None))
                # Channels are averaged by us: FFmpeg's own down-mix of floats can exceed 1.
                resampler = av.AudioResampler("fltp", frame.layout, sample_rate)
                names = [channel.name for channel in frame.layout.channels]
                heard = [i for i, name in enumerate(names) if name != "LFE" or len(names) == 1]
                kind, expected = frame_kind, time
                position = round((time - start) * sample_rate)
            expected += frame.samples / frame.sample_rate
            frame.pts = None  # The samples are counted here; the resampler shall not shift them.
            assert resampler is not None
            put(resampler.resample(frame))
        if resampler is not None:
            put(resampler.resample(None))
    if not np.isfinite(samples).all():
        raise MediaError(f"{path}: the sound holds NaN or infinity; encode it again.")
    return np.clip(samples, -1.0, 1.0)


class _Scaler:
    """Scales frames, upright and with square pixels; keeps FFmpeg's scaler between frames."""

    def __init__(self, short_side: int, square: bool = False):
        self._short_side = short_side
        self._square = square
        self._reformatter = VideoReformatter()

    def scale(self, frame: av.VideoFrame, stream: av.VideoStream, path: object) -> np.ndarray:
        """uint8 [height, width, 3]."""
        width, height = _display_size(frame, stream)
        _check_aspect(width, height, path)
        scale = self._short_side / min(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        if self._square:
            width = height = self._short_side
        turns = round(frame.rotation / 90) % 4
        if turns % 2:
            width, height = height, width  # Scaled first, turned after.
        # Area averaging does not alias when shrinking; when enlarging it would be blocky.
        shrinks = width <= frame.width and height <= frame.height
        image = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=_colorspace(frame),
            interpolation=Interpolation.AREA if shrinks else Interpolation.BICUBIC,
        ).to_ndarray()
        return np.ascontiguousarray(np.rot90(image, turns))


class _FrameEncoder:
    """Makes JPEGs of frames."""

    def __init__(self, short_side: int, jpeg_quality: int):
        self._scaler = _Scaler(short_side)
        self._jpeg_quality = jpeg_quality

    def encode(self, frame: av.VideoFrame, stream: av.VideoStream, path: object) -> bytes:
        """A JPEG of `frame`, upright and with square pixels."""
        buffer = io.BytesIO()
        upright = self._scaler.scale(frame, stream, path)
        Image.fromarray(upright).save(buffer, "JPEG", quality=self._jpeg_quality)
        return buffer.getvalue()


def _check_aspect(width: int, height: int, path: object) -> None:
    """Scaling the short side up must not make the long one endless."""
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise MediaError(
            f"{path}: the picture is {width} x {height}; expected sides within a ratio of "
            f"{_MAX_ASPECT}; crop it."
        )


def _duration(
    container: av.container.InputContainer,
    stream: av.VideoStream | av.AudioStream,
    path: object,
) -> float:
    """Seconds from the presentation's start to the stream's end."""
    if stream.duration is not None:
        start = stream.start_time if stream.start_time is not None else 0
        return float((start + stream.duration) * stream.time_base) - _origin(container)
    if container.duration is not None:
        return container.duration / av.time_base
    raise MediaError(
        f"{path}: the file does not say how long it is; copy it into another container "
        "(ffmpeg -i in -c copy out.mp4)."
    )


def _colorspace(frame: av.VideoFrame) -> Colorspace:
    """The frame's colour matrix; where it is not stored, the one usual for its size."""
    if frame.colorspace == Colorspace.ITU709 or (frame.colorspace == 2 and frame.height >= 720):
        return Colorspace.ITU709
    return Colorspace.DEFAULT


@contextlib.contextmanager
def _open(path: str | pathlib.Path) -> Iterator[av.container.InputContainer]:
    """An open file; FFmpeg's errors, then and later, become `MediaError`."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise MediaError(
            f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; expected a video file; "
            "check the path."
        )
    try:
        # "file:" keeps a colon in the name from being read as a protocol.
        with av.open(
            f"file:{path}", metadata_errors="replace", options={"format_whitelist": _FORMATS}
        ) as container:
            yield container
    except av.FFmpegError as error:
        reason = (error.strerror or str(error)).strip()
        raise MediaError(
            f"{path}: can't be decoded ({reason}); the file is damaged, cut off or no video: get a "
            "whole copy."
        ) from error


def _video_stream(container: av.container.InputContainer, path: object) -> av.VideoStream:
    """The first video stream that is no cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            size = stream.codec_context.width * stream.codec_context.height
            if size > _MAX_PIXELS:
                raise MediaError(
                    f"{path}: the picture has {size} pixels; at most {_MAX_PIXELS} are decoded."
                )
            return stream
    raise MediaError(f"{path}: no video stream found; expected a video.")


def _origin(container: av.container.InputContainer) -> float:
    """The stored time at which presentation starts (MPEG-TS files start anywhere)."""
    # A small negative start is a codec's run-in, which is not presented.
    start = container.start_time
    return max(0.0, start / av.time_base) if start is not None else 0.0


def _display_size(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int]:
    """Width and height as displayed."""
    ratio = float(stream.sample_aspect_ratio or 1)
    width, height = max(1, round(frame.width * ratio)), frame.height
    return (height, width) if round(frame.rotation / 90) % 2 else (width, height)


def _decode_from(
    container: av.container.InputContainer,
    stream: av.VideoStream | av.AudioStream,
    start: float,
    wanted: Callable[[float, float], bool] | None = None,
) -> Iterator[tuple[float, av.VideoFrame | av.AudioFrame]]:
    """(time, frame) from at or before `start` on, if the stream reaches back so far.

    With `wanted`, frames may be left out that are on screen only when it is false.
    """
    origin = _origin(container)
    found = True
    for back in _SEEK_BACK:
        from_start = back is None or start <= back
        if back is None and not found:
            return  # The stream ended before: no reason to decode all of it.
        if not from_start:
            assert back is not None
            container.seek(
                int((start - back + origin) / stream.time_base), stream=stream, backward=True
            )
        elif back is not _SEEK_BACK[0] and start > 0:
            container.seek(0, backward=True)
        first, found = True, False
        for frame in _decode(container, stream, wanted, origin):
            found = True
            stamp = frame.pts if frame.pts is not None else frame.dts
            if stamp is None:
                raise MediaError(
                    f"{container.name}: frames have no times; copy the file into another container "
                    "(ffmpeg -i in -c copy out.mp4)."
                )
            time = float(stamp * frame.time_base) - origin
            if first and not from_start and time > start + _TIME_TOLERANCE:
                break  # Landed too late: seek further back.
            first = False
            yield time, frame
        if not first or from_start:
            return


def _decode(
    container: av.container.InputContainer,
    stream: av.VideoStream | av.AudioStream,
    wanted: Callable[[float, float], bool] | None,
    origin: float,
) -> Iterator[av.VideoFrame | av.AudioFrame]:
    """All frames from where the container stands on, but for some that are not `wanted`.

    At ten frames a second of thirty, a third of a usual H.264 film need not be decoded. A frame is
    on screen until the next one's time, which comes in one of the next packets: a packet's time of
    decoding is no later than the time of any frame that is still to come.
    """
    context = stream.codec_context
    if wanted is None or context.name not in _CAN_LEAVE_OUT:
        yield from container.decode(stream)
        return
    waiting: collections.deque[av.Packet] = collections.deque()
    stamps: list[int] = []
    latest, started = -math.inf, False

    def seconds(stamp: int) -> float:
        return float(stamp * stream.time_base) - origin

    def next_stamp(stamp: int) -> int | None:
        """The next frame's, None if that is not known yet."""
        place = bisect.bisect_right(stamps, stamp)
        return stamps[place] if place < len(stamps) and stamps[place] <= latest else None

    def decoded(packet: av.Packet) -> Iterator[av.VideoFrame | av.AudioFrame]:
        nonlocal started
        leave_out = False
        # The first frame is also shown before its time.
        if started and packet.pts is not None:
            after = next_stamp(packet.pts)
            leave_out = after is not None and not wanted(seconds(packet.pts), seconds(after))
        context.skip_frame = "NONREF" if leave_out else "DEFAULT"
        for frame in packet.decode():
            started = True
            yield frame

    try:
        for packet in container.demux(stream):
            waiting.append(packet)
            if packet.pts is not None and packet.dts is not None:
                bisect.insort(stamps, packet.pts)
                del stamps[: -2 * _LOOK_AHEAD]
                latest = max(latest, packet.dts)
            while waiting and (
                waiting[0].pts is None
                or next_stamp(waiting[0].pts) is not None
                or len(waiting) > _LOOK_AHEAD
            ):
                yield from decoded(waiting.popleft())
        while waiting:
            yield from decoded(waiting.popleft())
    finally:
        context.skip_frame = "DEFAULT"
