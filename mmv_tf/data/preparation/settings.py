# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preparation settings: rates, sizes, cutting and splits."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from mmv_tf.data.records.manifests import JPEG_STORE, STORES, VIDEO_STORE
from mmv_tf.data.stored_clips.clip_encoder import SAMPLE_RATES

CUTS = ("caption", "window", "list")
SOUNDS = ("waveform", "log_mel", "none")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that determines the shards, other than the sources.

    Attributes:
      frame_rate: stored frames per second.
      short_side: length of the shorter side of a stored frame, in pixels.
      jpeg_quality: quality of stored JPEGs, 1 to 95.
      sample_rate: sample rate of the stored audio, in Hz.
      sound: "waveform", "log_mel" (a spectrogram instead) or "none".
      cut: "caption" (one clip per caption), "window" (one clip every `stride_seconds`) or "list"
        (the clips that the sources list, or the whole source if it lists none).
      context_seconds: time added on each side of a caption, within the block.
      min_clip_seconds: shorter clips around captions are widened to this length, within the block.
      window_seconds, stride_seconds: window length, and distance between window starts.
      block_seconds: approximate length of the blocks that are assigned to splits.
      split_pattern: splits, assigned cyclically to the blocks of sources that have no split of
        their own; with a single name, films are not divided.
      caption_window_seconds: captions within this distance of a clip are stored with it.
      num_shards: number of shards per split; fewer if the split has fewer clips.
      store: "jpeg" (one JPEG per frame, and samples as floats) or "video" (each clip as an MP4 file
        with H.264 and Opus or AAC).
      video_crf: H.264's constant rate factor, 1 to 51, if `store` is "video".
    """

    frame_rate: float = 10.0
    short_side: int = 256
    jpeg_quality: int = 90
    sample_rate: int = 48_000
    sound: str = "waveform"
    cut: str = "caption"
    context_seconds: float = 0.0
    min_clip_seconds: float = 3.2
    window_seconds: float = 3.2
    stride_seconds: float = 3.2
    block_seconds: float = 24.0
    split_pattern: tuple[str, ...] = ("train",)
    caption_window_seconds: float = 10.0
    num_shards: int = 4
    store: str = JPEG_STORE
    video_crf: int = 22

    def __post_init__(self) -> None:
        for name in (
            *("frame_rate", "short_side", "sample_rate", "min_clip_seconds", "window_seconds"),
            *("stride_seconds", "block_seconds", "num_shards"),
        ):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} is {value}; it must be above 0.")
        for name in ("context_seconds", "caption_window_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more.")
        if not 1 <= self.jpeg_quality <= 95:
            raise ValueError(f"jpeg_quality is {self.jpeg_quality}; it must be between 1 and 95.")
        for name, choices in (("cut", CUTS), ("sound", SOUNDS), ("store", STORES)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; use one of {', '.join(choices)}."
                )
        if not 1 <= self.video_crf <= 51:
            raise ValueError(f"video_crf is {self.video_crf}; it must be between 1 and 51.")
        stores_sound = self.store == VIDEO_STORE and self.sound == "waveform"
        if stores_sound and self.sample_rate not in SAMPLE_RATES:
            raise ValueError(
                f"sample_rate is {self.sample_rate}; with store=video, use one of "
                f"{', '.join(map(str, sorted(SAMPLE_RATES)))}."
            )
        if not self.split_pattern:
            raise ValueError("split_pattern is empty; name at least one split, such as train.")
        for name in self.split_pattern:
            check_split(name, "split_pattern")

    def stated(self) -> dict[str, Any]:
        """Return the values that determine the shards, for the manifest and the fingerprint."""
        values = dataclasses.asdict(self)
        # Data stored as JPEGs keep the form that they had before there was another way to store
        # them.
        unused = ("store", "video_crf") if self.store == JPEG_STORE else ("jpeg_quality",)
        return {name: value for name, value in values.items() if name not in unused}


def check_split(name: str, where: str) -> None:
    """Raise a ValueError for a split name that cannot begin a file name."""
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ValueError(
            f"{where}: got the split {name!r}; expected a name of letters, digits and _ such as "
            "train."
        )
