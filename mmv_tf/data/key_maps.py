# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where records keep their features: ours, those of the DMVR tools, and MediaSequence's.

The three share most names. A map says the rest: which context features hold an id, and where the
narrations and their times are.
"""

from __future__ import annotations

import dataclasses

from mmv_tf.data import record_keys


@dataclasses.dataclass(frozen=True)
class KeyMap:
    """Names of features.

    Attributes:
      name: of the map.
      example_id: context feature with an id, or "" where records have none.
      media_id: context feature that names the source.
      frames: feature list, a JPEG a frame.
      waveform: feature list of floats, all of whose entries are one waveform.
      log_mel: feature list, a spectrogram frame an entry.
      caption, caption_start, caption_end: narrations and their times in microseconds.
      caption_lists: whether those three are feature lists; otherwise they are context features.
      caption_duration: `caption_end` holds durations.
      required: features that every record must have.
    """

    name: str
    example_id: str
    media_id: str
    required: tuple[str, ...]
    frames: str = record_keys.FRAMES
    waveform: str = record_keys.WAVEFORM
    log_mel: str = record_keys.LOG_MEL
    caption: str = record_keys.CAPTION
    caption_start: str = record_keys.CAPTION_START
    caption_end: str = record_keys.CAPTION_END
    caption_lists: bool = False
    caption_duration: bool = False


MMV = KeyMap(
    name="mmv",
    example_id=record_keys.EXAMPLE_ID,
    media_id=record_keys.MEDIA_ID,
    required=(
        record_keys.EXAMPLE_ID,
        record_keys.CLIP_START,
        record_keys.CLIP_END,
        record_keys.FRAMES,
    ),
)
# As DMVR's examples/generate_from_file.py writes: one caption without times, no id, no rates.
DMVR = KeyMap(
    name="dmvr",
    example_id="",
    media_id="video/filename",
    required=(record_keys.FRAMES,),
)
# As MediaPipe's mediasequence/media_sequence.h names them; text is a list with durations.
MEDIA_SEQUENCE = KeyMap(
    name="mediasequence",
    example_id="example/id",
    media_id=record_keys.MEDIA_ID,
    required=(record_keys.FRAMES,),
    caption="text/content",
    caption_start="text/timestamp",
    caption_end="text/duration",
    caption_lists=True,
    caption_duration=True,
)
KEY_MAPS = {key_map.name: key_map for key_map in (MMV, DMVR, MEDIA_SEQUENCE)}


def key_map(name: str) -> KeyMap:
    """The map of a name.

    Raises:
      ValueError: there is none of that name.
    """
    if name not in KEY_MAPS:
        raise ValueError(f"records is {name!r}; expected one of {', '.join(KEY_MAPS)}.")
    return KEY_MAPS[name]
