# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scans a film to its end or to where its clock restarts: tracks, first frame, lengths.

Only the first video and audio frames are decoded. The other packets are read for their times,
200,000 per second per core. An MP4 or QuickTime file with a complete index of its packets is not
read to the end: the index gives the same times.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import cast

import av

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.container import (
    WHOLE,
    Slice,
    audio_tracks,
    check_size,
    clock_period,
    has_index,
    open_container,
    unwrapped,
    video_tracks,
)
from mmv_tf.data.media.joins import JoinFinder
from mmv_tf.data.media.packets import read_packets
from mmv_tf.data.media.rgb import display_size
from mmv_tf.data.media.track_times import TrackTimes

# Ours: audio that a decoder may consume before it returns samples.
_RUN_IN_SECONDS = 0.1
# These containers store only the decoding order.
_WITHOUT_PRESENTATION_TIMES = ("avi",)


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a film with one clock: the whole film, unless files were joined.

    Attributes:
      slice: the part's position in the file.
      start: start on the film's clock, in seconds.
      length: seconds of video, or of audio if there is no video.
      origin: stored time of the first video frame, or of the first audio if there is no video.
      sound_end: seconds from the part's start to the end of its audio.
      video, audio: indices of the tracks in use; None if there is none.
      delay: packets by which the decoder is ahead of the frames that it returns, in containers
        without presentation times; None in others.
      period: seconds after which the clock wraps to 0; None if it does not.
      is_program_stream: True for an MPEG program stream, which stores few times.
      width, height: size of the first frame as displayed, in pixels.
      frame_rate: mean frames per second.
      sample_rate: sample rate of the audio, in Hz.
    """

    slice: Slice
    start: float
    length: float
    origin: float
    sound_end: float
    video: int | None
    audio: int | None
    delay: int | None
    period: float | None
    is_program_stream: bool
    width: int
    height: int
    frame_rate: float
    sample_rate: int

    @property
    def end(self) -> float:
        """End on the film's clock, in seconds."""
        return self.start + self.length


@dataclasses.dataclass(frozen=True)
class Scan:
    """The result of scanning a film or a part of it; times in seconds.

    Attributes:
      part: the scanned part, as if the film started with it; its lengths come from the packets.
      format_name: FFmpeg's name for the container.
      stated_length, stated_sound_end: the part's `length` and `sound_end` as stated by the
        container; None if it states nothing plausible.
      stated_end: the end as stated by the container, as stored.
      join: the byte where the clock restarts; None if it does not.
      undecodable: codecs of audio tracks that can't be decoded.
      damaged_at_start: packets before the first frame that can't be decoded.
      holes: seconds without frames in an otherwise regular film.
    """

    part: Part
    format_name: str
    stated_length: float | None
    stated_sound_end: float | None
    stated_end: float | None
    join: int | None
    undecodable: tuple[str, ...]
    damaged_at_start: int
    holes: float


def scan(path: str | pathlib.Path, where: Slice = WHOLE, look_for_joins: bool = True) -> Scan:
    """Read a file or a part of it.

    Args:
      path: the file.
      where: the part.
      look_for_joins: whether to stop where the clock restarts.

    Raises:
      MediaError: neither video nor audio can be decoded, or the clocks of the tracks contradict
        each other.
    """
    useless: set[int] = set()  # Tracks from which no frame is decoded.
    unknown: list[str] = []
    empty: int | None = None  # An audio track without any samples.
    while True:
        # Reopened each time: not every container can seek back to its start.
        with open_container(path, where) as container:
            if not useless:
                unknown += _check_tracks(container, path)
            videos = [track for track in video_tracks(container) if track.index not in useless]
            audios = [track for track in audio_tracks(container) if track.index not in useless]
            seen = {
                tracks[0].index: _track_times(container, tracks[0])
                for tracks in (videos, audios)
                if tracks
            }
            streams = [known.stream for known in seen.values()]
            finder = JoinFinder(container, streams, path, where.begin) if look_for_joins else None
            join = _read(container, seen, finder, path)
            again = False
            for tracks in (videos, audios):
                if not tracks or seen[tracks[0].index].first is not None:
                    continue
                failed = tracks.pop(0)
                useless.add(failed.index)
                if isinstance(failed, av.AudioStream) and seen[failed.index].damaged:
                    unknown.append(_codec(failed))
                elif isinstance(failed, av.AudioStream):
                    empty = failed.index
                again = again or bool(tracks)
            if again:
                continue
            if any(known.timeless for known in seen.values()) and not (videos or audios):
                raise MediaError(
                    f"{path}: its frames have no timestamps; copy it into another container "
                    "(ffmpeg -i in -c copy out.mp4)."
                )
            if not videos and not audios:
                raise MediaError(
                    f"{path}: neither its video nor its audio can be decoded; check that the file "
                    "is complete."
                )
            video = seen[videos[0].index] if videos else None
            audio = seen[audios[0].index] if audios else None
            if audio is None and empty is not None:
                audio = _track_times(container, cast(av.AudioStream, container.streams[empty]))
            return _summary(container, where, video, audio, join, tuple(unknown))


def _check_tracks(container: av.container.InputContainer, path: object) -> list[str]:
    """Reject a file without a usable track; return the codecs of audio tracks without a decoder."""
    unknown = [_codec(s) for s in container.streams.audio if s.codec_context is None]
    videos = video_tracks(container)
    if not videos and not audio_tracks(container):
        has = "audio" if unknown else "video or audio"
        raise MediaError(
            f"{path}: it has no {has} that can be decoded; expected a video or audio file."
        )
    for stream in videos:
        check_size(stream, path)
    return unknown


def _track_times(
    container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream
) -> TrackTimes:
    """Return the times of a track of which nothing has been read yet."""
    by_order = container.format.name in _WITHOUT_PRESENTATION_TIMES
    by_order = by_order and isinstance(stream, av.VideoStream)
    return TrackTimes(stream, clock_period(container), by_order)


def _codec(stream: av.AudioStream) -> str:
    """Return a track's codec, for messages."""
    return stream.codec_context.name if stream.codec_context is not None else "unknown codec"


def _read(
    container: av.container.InputContainer,
    seen: dict[int, TrackTimes],
    joins: JoinFinder | None,
    path: str | pathlib.Path,
) -> int | None:
    """Read the tracks in `seen`; return the byte where their clock restarts, or None."""
    streams = [known.stream for known in seen.values()]
    for stream in streams:
        stream.codec_context.thread_count = 1  # Parallelism comes from processes.
    indexed = all(has_index(container, stream) for stream in streams)
    for packet in read_packets(container, *streams):
        known = seen[packet.stream.index]  # The index of an empty packet itself is always 0.
        if packet.size:
            if joins is not None and joins.jumps(packet):
                return joins.byte()
            known.add(packet)
        known.decode_first(packet)
        if indexed and all(one.first is not None for one in seen.values()):
            break
    if joins is None:
        return None
    wrong = joins.contradiction()
    if wrong is not None:
        raise MediaError(f"{path}: {wrong}; its tracks can't be aligned; re-encode it.")
    return joins.byte() if joins.at_end() else joins.unread()


def _summary(
    container: av.container.InputContainer,
    where: Slice,
    video: TrackTimes | None,
    audio: TrackTimes | None,
    join: int | None,
    undecodable: tuple[str, ...],
) -> Scan:
    shown = cast(TrackTimes, video if video is not None else audio)
    delay = video.delay if video is not None and video.by_order else None
    start = _start(container, shown)
    period = clock_period(container)
    length = unwrapped(_end(container, shown) - start, period)
    sound_end, stated_sound_end = 0.0, None
    if audio is not None and audio.first is not None:
        sound_end = unwrapped(_end(container, audio) - start, period)
        stated_sound_end = _stated(container, audio, start)
    width = height = rate = 0
    frame_rate = 0.0
    if video is not None:
        width, height = display_size(cast(av.VideoFrame, video.first), video.stream)
        average = video.stream.average_rate
        frame_rate = float(average) if average is not None else 0.0
    if audio is not None:
        rate = int(audio.stream.rate or 0)
    part = Part(
        slice=where,
        start=0.0,
        length=max(0.0, length),
        origin=start,
        sound_end=max(0.0, sound_end),
        video=video.stream.index if video is not None else None,
        audio=audio.stream.index if audio is not None else None,
        delay=delay,
        period=period,
        is_program_stream=container.format.name == "mpeg",
        width=width,
        height=height,
        frame_rate=frame_rate,
        sample_rate=rate,
    )
    return Scan(
        part=part,
        format_name=container.format.name,
        stated_length=_stated(container, shown, start),
        stated_sound_end=stated_sound_end,
        stated_end=_stated_end(container, video),
        join=join,
        undecodable=undecodable,
        damaged_at_start=video.damaged if video is not None else 0,
        holes=video.missing if video is not None else 0.0,
    )


def _stated_end(container: av.container.InputContainer, video: TrackTimes | None) -> float | None:
    """Return the end that the container states, in seconds as stored."""
    if container.format.name == "avi" and video is not None:
        # FFmpeg changes the length of a film without an index, but not its number of frames.
        stream = cast(av.VideoStream, video.stream)
        if stream.frames and stream.average_rate:
            return stream.frames / float(stream.average_rate)
    return container.duration / av.time_base if container.duration is not None else None


def _start(container: av.container.InputContainer, shown: TrackTimes) -> float:
    """Return the stored time of a track's first frame.

    AVI stores no presentation times. FFmpeg's guesses jump back and forth if there are B-frames,
    and are a frame late if there are none. A decoder returns frames in display order, so they match
    the packets' decoding times one by one.
    """
    frame = cast(av.VideoFrame | av.AudioFrame, shown.first)
    if shown.by_order:
        return float((shown.begin or 0) * shown.stream.time_base)
    is_audio = isinstance(frame, av.AudioFrame)
    start = float((frame.pts if frame.pts is not None else frame.dts) * frame.time_base)
    if container.start_time is not None:
        stated = container.start_time / av.time_base
        # Keep the exact number that earlier versions used. An audio decoder may consume a packet
        # (Windows Media Audio) before it returns samples, which belong to that packet's time.
        if abs(start - stated) < 1e-6 or (is_audio and 0 <= start - stated < _RUN_IN_SECONDS):
            return stated
    return start


def _end(container: av.container.InputContainer, seen: TrackTimes) -> float:
    stream = seen.stream
    if has_index(container, stream):
        first = stream.start_time if stream.start_time is not None else 0
        return float((first + stream.duration) * stream.time_base)
    return seen.end


def _stated(container: av.container.InputContainer, seen: TrackTimes, start: float) -> float | None:
    """Return the seconds from the start to the end of a track, as stated by the container.

    None if the container's start differs from the film's, because its length then refers to another
    clock.
    """
    begin = container.start_time
    if begin is not None and abs(max(0.0, begin / av.time_base) - start) > 1e-6:
        return None
    stream = seen.stream
    if stream.duration is not None:
        first = stream.start_time if stream.start_time is not None else 0
        return float((first + stream.duration) * stream.time_base) - start
    return container.duration / av.time_base if container.duration is not None else None
