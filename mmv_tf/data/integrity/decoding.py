# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes all frames and audio of a record to find damage that the headers do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmv_tf.data.integrity.rules import CheckFailed, Limits, Problem
from mmv_tf.data.integrity.video import open_clip
from mmv_tf.data.records import keys as keys_lib
from mmv_tf.data.records.keys import KeyMap
from mmv_tf.data.stored_clips.clip_decoder import UndecodableError

if TYPE_CHECKING:
    import tensorflow as tf

UNDECODABLE = "undecodable JPEG"
UNDECODABLE_VIDEO = "undecodable video"


def decode_problems(payload: bytes, keys: KeyMap, limits: Limits) -> list[Problem]:
    """Return the first decoding problem of a record's frames and audio, or an empty list."""
    import tensorflow as tf

    example = tf.train.SequenceExample.FromString(payload)
    return _jpeg_problems(example, keys) or _video_problems(example, limits)


def _jpeg_problems(example: tf.train.SequenceExample, keys: KeyMap) -> list[Problem]:
    import tensorflow as tf

    for index, step in enumerate(example.feature_lists.feature_list[keys.frames].feature):
        try:
            tf.io.decode_jpeg(step.bytes_list.value[0], channels=3)
        except tf.errors.InvalidArgumentError as error:
            return [Problem(UNDECODABLE, f"frame {index}: {' '.join(error.message.split())}")]
    return []


def _video_problems(example: tf.train.SequenceExample, limits: Limits) -> list[Problem]:
    for data in example.context.feature[keys_lib.ENCODED_MEDIA].bytes_list.value:
        try:
            clip = open_clip(data, limits)
            if clip.num_frames:
                for _ in clip.frames(range(clip.num_frames)):
                    pass
            if clip.tracks.sound is not None:
                clip.waveform(clip.tracks.sound.end)
        except CheckFailed as wrong:
            return [wrong.problem]
        except UndecodableError as error:
            return [Problem(UNDECODABLE_VIDEO, str(error))]
    return []
