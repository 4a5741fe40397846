# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Feature names in records: ours, DMVR's and MediaSequence's."""

from __future__ import annotations

import dataclasses

MICROSECONDS = 1e6  # In a second.


# Context (one value, or one list, for the whole clip).
MEDIA_ID = "clip/media_id"  # bytes: the source video

EXAMPLE_ID = "clip/example_id"  # bytes: unique in the data set

CLIP_START = "clip/start/timestamp"  # int64

CLIP_END = "clip/end/timestamp"  # int64

LABEL_INDEX = "clip/label/index"  # int64 list

LABEL_STRING = "clip/label/string"  # bytes list (MediaSequence)

LABEL_TEXT = "clip/label/text"  # bytes list: the same in DMVR; never written

FRAME_RATE = "image/frame_rate"  # float

HEIGHT = "image/height"  # int64

WIDTH = "image/width"  # int64

SAMPLE_RATE = "WAVEFORM/feature/sample_rate"  # float

CAPTION = "caption/string"  # bytes list: the narrations in and around the clip, by start time

CAPTION_START = "caption/start/timestamp"  # int64 list, as long as CAPTION

CAPTION_END = "caption/end/timestamp"  # int64 list, as long as CAPTION

CAPTION_OWN = "caption/own"  # int64 list, as long as CAPTION: 1 if it describes this clip

LOG_MEL_RATE = "MELSPEC/feature/rate"  # float: spectrogram frames per second

ENCODED_MEDIA = "clip/encoded_media_bytes"  # bytes: frames and audio as one MP4 (store=video)

ENCODED_MEDIA_START = "clip/encoded_media_start_timestamp"  # int64: time at which the MP4 begins


# Feature lists (one entry per step).
FRAMES = "image/encoded"  # bytes: a JPEG per frame; none with ENCODED_MEDIA

FRAME_TIMES = "image/timestamp"  # int64

WAVEFORM = "WAVEFORM/feature/floats"  # one entry holding all samples, floats in [-1, 1]

LOG_MEL = "MELSPEC/feature/floats"  # one entry per spectrogram frame


def frame_offset(index: int, frame_rate: float) -> int:
    """Return the time of a frame at a constant rate, in microseconds after the first frame."""
    return round(index * MICROSECONDS / frame_rate)


@dataclasses.dataclass(frozen=True)
class KeyMap:
    """Feature names in one record format.

    Attributes:
      name: the format's name.
      example_id: context feature with the id; "" if records have none.
      media_id: context feature that identifies the source.
      required: features that every record must have.
      frames: feature list with one JPEG per frame.
      waveform: feature list of floats; its entries concatenated are one waveform.
      log_mel: feature list with one spectrogram frame per entry.
      caption, caption_start, caption_end: narrations and their times in microseconds.
      caption_lists: True if these three are feature lists, False if they are context features.
      caption_duration: True if `caption_end` holds durations instead of end times.
    """

    name: str
    example_id: str
    media_id: str
    required: tuple[str, ...]
    frames: str = FRAMES
    waveform: str = WAVEFORM
    log_mel: str = LOG_MEL
    caption: str = CAPTION
    caption_start: str = CAPTION_START
    caption_end: str = CAPTION_END
    caption_lists: bool = False
    caption_duration: bool = False


MMV = KeyMap(
    name="mmv",
    example_id=EXAMPLE_ID,
    media_id=MEDIA_ID,
    required=(
        EXAMPLE_ID,
        CLIP_START,
        CLIP_END,
        FRAMES,
    ),
)

# As written by DMVR's examples/generate_from_file.py: one caption without times, no id, no rates.
DMVR = KeyMap(
    name="dmvr",
    example_id="",
    media_id="video/filename",
    required=(FRAMES,),
)

# As named in MediaPipe's mediasequence/media_sequence.h; text is a list with durations.
MEDIA_SEQUENCE = KeyMap(
    name="mediasequence",
    example_id="example/id",
    media_id=MEDIA_ID,
    required=(FRAMES,),
    caption="text/content",
    caption_start="text/timestamp",
    caption_end="text/duration",
    caption_lists=True,
    caption_duration=True,
)

KEY_MAPS = {key_map.name: key_map for key_map in (MMV, DMVR, MEDIA_SEQUENCE)}


def key_map(name: str) -> KeyMap:
    """Return the key map with this name.

    Raises:
      ValueError: the name is unknown.
    """
    if name not in KEY_MAPS:
        raise ValueError(f"records is {name!r}; expected one of {', '.join(KEY_MAPS)}.")
    return KEY_MAPS[name]
