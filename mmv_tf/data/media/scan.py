# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads an open film to its end, or to where its clock starts anew: tracks, first picture, lengths.

Only the first picture and the first sound are decoded; the packets of the rest are read for their
times, 200,000 a second and core. An MP4 or QuickTime file with an index of all its packets is not
read: the index says the same.
"""

from __future__ import annotations

import dataclasses
import math
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
    open_container,
    unwrapped,
    video_tracks,
)
from mmv_tf.data.media.joins import JoinFinder
from mmv_tf.data.media.packets import decode_packet, read_packets
from mmv_tf.data.media.rgb import display_size

# Ours: a track that gives nothing in so many packets is not the one to use.
_MOST_SILENT_PACKETS = 250
# Ours: pictures that are missing for longer are told, in a film in which no more than this share of
# intervals between pictures is unusual.
_HOLE_SECONDS = 0.5
_MOST_IRREGULAR = 0.02
# Ours: what a decoder of sound may need before it gives samples.
_RUN_IN_SECONDS = 0.1
# They store no times but the order of decoding.
_WITHOUT_PRESENTATION_TIMES = ("avi",)


@dataclasses.dataclass(frozen=True)
class Part:
    """A stretch of a film with one clock: the whole film, unless it was joined from several.

    Attributes:
      slice: where in the file it is.
      start: seconds of the film's clock at which it starts.
      length: seconds of picture, or of sound where there is no picture.
      origin: the time, as stored, of its first picture (without one: of its first sound).
      sound_end: seconds from its start to the end of its sound.
      video, audio: indices of the tracks that are used; None without.
      delay: packets by which a decoder is ahead of the pictures that it gives, for containers that
        store no presentation times; None where they are stored.
      period: seconds after which its clock begins again at 0; None if it doesn't.
      is_program_stream: whether it is an MPEG program stream, which stores few times.
      width, height: of the first picture as displayed, pixels.
      frame_rate: mean frames a second.
      sample_rate: of the sound, Hz.
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
        """Seconds of the film's clock."""
        return self.start + self.length


@dataclasses.dataclass(frozen=True)
class Scan:
    """What reading a film, or a part of one, shows; times in seconds.

    Attributes:
      part: what was read, as if the film started with it; its lengths are those of the packets.
      format_name: FFmpeg's name of the container.
      stated_length, stated_sound_end: the part's `length` and `sound_end` by the container's word;
        None if it says nothing that could be right.
      stated_end: when the container says that all is over, as stored.
      join: the byte at which the clock starts anew; None if it doesn't.
      undecodable: codecs of tracks with sound that can't be decoded.
      damaged_at_start: packets before the first picture that can't be decoded.
      holes: seconds for which pictures are missing in an otherwise regular film.
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


@dataclasses.dataclass
class _Seen:
    """What is known of a track's packets, in units of its time base.

    Attributes:
      stream: the track.
      first: its first frame that has a time.
      period: seconds after which its clock begins again at 0; None if it doesn't.
      by_order: whether times of decoding count: presentation times are made up.
      begin: the time of its first packet, where times of decoding count.
      delay: packets that went into the decoder before the one that brought the first frame.
      damaged: packets before the first frame that can't be decoded.
      timeless: frames without a time.
      count, earliest, latest, last_duration: of its packets.
      regular, irregular: intervals from one picture to the next that are usual, or not.
      hole: seconds that are missing between pictures.
    """

    stream: av.VideoStream | av.AudioStream
    period: float | None
    by_order: bool
    first: av.VideoFrame | av.AudioFrame | None = None
    begin: int | None = None
    delay: int = 0
    damaged: int = 0
    timeless: int = 0
    count: int = 0
    earliest: int | None = None
    latest: int | None = None
    last_duration: int = 0
    before: int | None = None
    regular: int = 0
    irregular: int = 0
    hole: float = 0.0

    def __post_init__(self) -> None:
        rate = self.stream.average_rate if isinstance(self.stream, av.VideoStream) else None
        self._usual = 1 / float(rate) if rate else 0.0  # seconds of a picture
        self._unit = float(self.stream.time_base)

    def add(self, packet: av.Packet) -> None:
        """Takes note of a packet's times."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if self.by_order and packet.dts is not None:
            stamp = packet.dts
            self.begin = stamp if self.begin is None else self.begin
        if stamp is None or packet.is_discard:
            return
        self._note_interval(packet.dts)
        if self.earliest is not None and self.period is not None:
            since = unwrapped((stamp - self.earliest) * self._unit, self.period)
            stamp = self.earliest + round(since / self._unit)
        self.count += 1
        if self.earliest is None or stamp < self.earliest:
            self.earliest = stamp
        if self.latest is None or stamp >= self.latest:
            self.latest, self.last_duration = stamp, packet.duration or 0

    def _note_interval(self, time: int | None) -> None:
        """Counts usual intervals between pictures, and what is missing in unusual ones."""
        if time is None or not self._usual:
            return
        if self.before is not None:
            gap = (time - self.before) * self._unit
            if 0 < gap < 1.6 * self._usual:
                self.regular += 1
            else:
                self.irregular += 1
                if gap > max(_HOLE_SECONDS, 5 * self._usual):
                    self.hole += gap - self._usual
        self.before = time

    @property
    def missing(self) -> float:
        """Seconds for which there are no pictures in an otherwise regular film."""
        return self.hole if self.irregular <= _MOST_IRREGULAR * self.regular else 0.0

    @property
    def end(self) -> float:
        """When its last packet ends, seconds as stored."""
        if self.latest is None or self.earliest is None:
            return -math.inf
        last = float(self.last_duration * self.stream.time_base)
        if self.by_order and self.count > 1:
            # Some writers count in units that are smaller than a picture's time.
            usual = (self.latest - self.earliest) / (self.count - 1)
            last = max(last, float(usual * self.stream.time_base))
        elif not last:
            last = self._usual
        return float(self.latest * self.stream.time_base) + last


def scan(path: str | pathlib.Path, where: Slice = WHOLE, look_for_joins: bool = True) -> Scan:
    """Reads a file, or a part of it, from its start.

    Args:
      path: the file.
      where: the part.
      look_for_joins: stop where the clock starts anew.

    Raises:
      MediaError: no picture and no sound in it can be decoded, or its tracks' clocks contradict
        each other.
    """
    useless: set[int] = set()  # Tracks that give nothing.
    unknown: list[str] = []
    empty: int | None = None  # A track of sound in which there is nothing.
    while True:
        # Opened anew each time: not every container can be sought back to its start.
        with open_container(path, where) as container:
            if not useless:
                unknown += _check_tracks(container, path)
            videos = [track for track in video_tracks(container) if track.index not in useless]
            audios = [track for track in audio_tracks(container) if track.index not in useless]
            seen = {
                tracks[0].index: _seen(container, tracks[0])
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
                    f"{path}: its frames have no times; copy it into another container (ffmpeg -i "
                    "in -c copy out.mp4)."
                )
            if not videos and not audios:
                raise MediaError(
                    f"{path}: no picture and no sound in it can be decoded; check that the file is "
                    "whole."
                )
            video = seen[videos[0].index] if videos else None
            audio = seen[audios[0].index] if audios else None
            if audio is None and empty is not None:
                audio = _seen(container, cast(av.AudioStream, container.streams[empty]))
            return _summary(container, where, video, audio, join, tuple(unknown))


def _check_tracks(container: av.container.InputContainer, path: object) -> list[str]:
    """Refuses a file of which nothing can be shown; the codecs of sound without a decoder."""
    unknown = [_codec(s) for s in container.streams.audio if s.codec_context is None]
    videos = video_tracks(container)
    if not videos and not audio_tracks(container):
        has = "sound" if unknown else "picture or sound"
        raise MediaError(f"{path}: no {has} in it can be decoded; expected a video or a sound.")
    for stream in videos:
        check_size(stream, path)
    return unknown


def _seen(container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream) -> _Seen:
    """A track of which nothing has been read."""
    by_order = container.format.name in _WITHOUT_PRESENTATION_TIMES
    return _Seen(stream, clock_period(container), by_order and isinstance(stream, av.VideoStream))


def _codec(stream: av.AudioStream) -> str:
    """A track's codec, for messages."""
    return stream.codec_context.name if stream.codec_context is not None else "unknown codec"


def _read(
    container: av.container.InputContainer,
    seen: dict[int, _Seen],
    joins: JoinFinder | None,
    path: str | pathlib.Path,
) -> int | None:
    """Reads the tracks in `seen`; the byte at which their clock starts anew, if it does."""
    streams = [known.stream for known in seen.values()]
    for stream in streams:
        stream.codec_context.thread_count = 1  # Processes are what runs in parallel.
    indexed = all(_has_index(container, stream) for stream in streams)
    for packet in read_packets(container, *streams):
        known = seen[packet.stream.index]  # An empty packet's own index is always 0.
        if packet.size:
            if joins is not None and joins.jumps(packet):
                return joins.byte()
            known.add(packet)
        # The empty packet at the end brings out what a decoder holds back.
        if known.first is None and (known.count <= _MOST_SILENT_PACKETS or not packet.size):
            _decode_first(known, packet)
        if indexed and all(one.first is not None for one in seen.values()):
            break
    if joins is None:
        return None
    wrong = joins.contradiction()
    if wrong is not None:
        raise MediaError(
            f"{path}: {wrong}; it can't be told what belongs together; encode it anew."
        )
    return joins.byte() if joins.at_end() else joins.unread()


def _decode_first(known: _Seen, packet: av.Packet) -> None:
    """Keeps the first frame that has a time."""
    frames = decode_packet(packet)
    if frames is None:
        known.damaged += 1
        return
    for frame in frames:
        if known.by_order or frame.pts is not None or frame.dts is not None:
            known.first = frame
            return
        known.timeless += 1
    # Without a frame the decoder holds the packet back, unless it can't use it.
    known.delay += 1


def _has_index(
    container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream
) -> bool:
    """Whether the file lists all packets of a track and holds them: an MP4 not in fragments."""
    entries = stream.index_entries
    if not (
        container.format.name.startswith("mov")
        and stream.duration is not None
        and 0 < len(entries) <= stream.frames
    ):
        return False
    last = entries[len(entries) - 1]
    return last.pos + last.size <= container.size


def _summary(
    container: av.container.InputContainer,
    where: Slice,
    video: _Seen | None,
    audio: _Seen | None,
    join: int | None,
    undecodable: tuple[str, ...],
) -> Scan:
    shown = cast(_Seen, video if video is not None else audio)
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


def _stated_end(container: av.container.InputContainer, video: _Seen | None) -> float | None:
    """When all is over by the container's word, seconds as stored."""
    if container.format.name == "avi" and video is not None:
        # FFmpeg changes the length of a film without an index; the count of frames it leaves.
        stream = cast(av.VideoStream, video.stream)
        if stream.frames and stream.average_rate:
            return stream.frames / float(stream.average_rate)
    return container.duration / av.time_base if container.duration is not None else None


def _start(container: av.container.InputContainer, shown: _Seen) -> float:
    """The stored time of a track's first frame.

    AVI stores no presentation times; FFmpeg's guesses at them go back and forth where there are
    B-frames, and are a picture late where there are none. The pictures that a decoder gives are in
    order, and so belong to the packets' times of decoding one after the other.
    """
    frame = cast(av.VideoFrame | av.AudioFrame, shown.first)
    if shown.by_order:
        return float((shown.begin or 0) * shown.stream.time_base)
    is_sound = isinstance(frame, av.AudioFrame)
    start = float((frame.pts if frame.pts is not None else frame.dts) * frame.time_base)
    if container.start_time is not None:
        stated = container.start_time / av.time_base
        # The same number, to the last digit, as earlier versions took. Of sound, a decoder may need
        # a packet (Windows Media Audio) before it gives samples, which belong to the packet's time.
        if abs(start - stated) < 1e-6 or (is_sound and 0 <= start - stated < _RUN_IN_SECONDS):
            return stated
    return start


def _end(container: av.container.InputContainer, seen: _Seen) -> float:
    stream = seen.stream
    if _has_index(container, stream):
        first = stream.start_time if stream.start_time is not None else 0
        return float((first + stream.duration) * stream.time_base)
    return seen.end


def _stated(container: av.container.InputContainer, seen: _Seen, start: float) -> float | None:
    """Seconds from the start to the end of a track by the container's word.

    Only where the container's start is that of the film: else its word is of another clock.
    """
    begin = container.start_time
    if begin is not None and abs(max(0.0, begin / av.time_base) - start) > 1e-6:
        return None
    stream = seen.stream
    if stream.duration is not None:
        first = stream.start_time if stream.start_time is not None else 0
        return float((first + stream.duration) * stream.time_base) - start
    return container.duration / av.time_base if container.duration is not None else None
