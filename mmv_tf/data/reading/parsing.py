# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parses a serialized record to tensors according to a key map, with checks in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mmv_tf.data.integrity.damage import MESSAGE_END, MESSAGE_START
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.records import keys as keys_lib
from mmv_tf.data.records.keys import KeyMap


def parse_record(
    record: tf.Tensor,
    fallback_id: tf.Tensor,
    keys: KeyMap,
    labels: Sequence[str],
    is_video: bool = False,
) -> dict[str, tf.Tensor]:
    """Parse a serialized `SequenceExample`.

    Args:
      record: string scalar.
      fallback_id: string scalar, used for records without an id.
      keys: feature names.
      labels: class names, used for records that name a class but do not number it.
      is_video: whether frames and audio are stored as one file.

    Returns:
      A dict with "example_id"; "media_id", or "" if there is none; "frames" string [T]; "waveform"
      float [N]; "log_mel" float [frames, bins]; "label" int32, -1 if none; "caption" string [C]
      with "caption_start" and "caption_end", float seconds from the start of the clip (captions
      without times span the whole clip), and "caption_own", true if it describes this clip (false
      if unknown); "clip_start" and "duration" in seconds ("duration" is 0 if unknown). With
      `is_video`, "frames" int64 [T] are the frames' times, "waveform" is empty, and three more are
      added: "media", the file, "" if none; "shape" int32 [2], height and width of the frames; and
      "microseconds" int64, the duration.
    """
    variable = tf.io.VarLenFeature
    context_features = {
        keys_lib.CLIP_START: variable(tf.int64),
        keys_lib.CLIP_END: variable(tf.int64),
        keys_lib.LABEL_INDEX: variable(tf.int64),
        keys_lib.LABEL_STRING: variable(tf.string),
        keys_lib.LABEL_TEXT: variable(tf.string),
        keys_lib.CAPTION_OWN: variable(tf.int64),
    }
    list_features = {
        # Audio-only records have no frames; `check_parsed` checks where they are required.
        keys.frames: tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
        keys.waveform: variable(tf.float32),
        keys.log_mel: variable(tf.float32),
    }
    if is_video:
        context_features[keys_lib.ENCODED_MEDIA] = variable(tf.string)
        context_features[keys_lib.HEIGHT] = context_features[keys_lib.WIDTH] = variable(tf.int64)
        list_features[keys_lib.FRAME_TIMES] = tf.io.FixedLenSequenceFeature(
            [], tf.int64, allow_missing=True
        )
    captions = list_features if keys.caption_lists else context_features
    captions[keys.caption] = variable(tf.string)
    captions[keys.caption_start] = captions[keys.caption_end] = variable(tf.int64)
    if keys.example_id:
        context_features[keys.example_id] = variable(tf.string)
    context_features[keys.media_id] = variable(tf.string)
    context, lists = tf.io.parse_single_sequence_example(record, context_features, list_features)

    def first(key: str, default: tf.Tensor | int | str) -> tf.Tensor:
        default = tf.cast(default, context[key].dtype)
        return tf.concat([context[key].values, [default]], axis=0)[0]

    def seconds(value: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.cast(value, tf.float64) / keys_lib.MICROSECONDS, tf.float32)

    clip_start = first(keys_lib.CLIP_START, 0)
    clip_end = first(keys_lib.CLIP_END, clip_start)
    found = lists if keys.caption_lists else context
    texts = found[keys.caption].values
    starts, ends = found[keys.caption_start].values, found[keys.caption_end].values
    if keys.caption_duration:
        ends = starts + ends
    count = tf.shape(texts)
    starts = _or_fill(starts, clip_start, count)
    ends = _or_fill(ends, clip_end, count)
    own = context[keys_lib.CAPTION_OWN].values
    own = tf.cond(tf.shape(own)[0] == count[0], lambda: own, lambda: tf.zeros(count, tf.int64))
    names = tf.concat(
        [context[keys_lib.LABEL_STRING].values, context[keys_lib.LABEL_TEXT].values], axis=0
    )
    log_mel = lists[keys.log_mel]
    example_id = first(keys.example_id, fallback_id) if keys.example_id else fallback_id
    stored = {"frames": lists[keys.frames]}
    if is_video:
        sides = [first(key, 0) for key in (keys_lib.HEIGHT, keys_lib.WIDTH)]
        stored = {
            "frames": lists[keys_lib.FRAME_TIMES],
            "media": first(keys_lib.ENCODED_MEDIA, ""),
            "shape": tf.cast(tf.clip_by_value(tf.stack(sides), 0, 2**30), tf.int32),
            "microseconds": clip_end - clip_start,
        }
    return stored | {
        "example_id": example_id,
        "media_id": first(keys.media_id, ""),
        "waveform": lists[keys.waveform].values,
        "log_mel": tf.reshape(log_mel.values, tf.cast(log_mel.dense_shape, tf.int32)),
        "label": _label(context[keys_lib.LABEL_INDEX].values, names, labels),
        "caption": texts,
        "caption_start": seconds(starts - clip_start),
        "caption_end": seconds(ends - clip_start),
        "caption_own": own > 0,
        "clip_start": seconds(clip_start),
        "duration": seconds(clip_end - clip_start),
    }


def _or_fill(times: tf.Tensor, value: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Return the times unchanged, or `value` for each caption if there are no times."""
    return tf.cond(tf.shape(times)[0] > 0, lambda: times, lambda: tf.fill(count, value))


def _label(indices: tf.Tensor, names: tf.Tensor, labels: Sequence[str]) -> tf.Tensor:
    """Return the first class, by number or otherwise by name; -1 if none."""
    known = tf.constant(list(labels), tf.string)
    places = tf.where(tf.reduce_any(known[tf.newaxis] == names[:, tf.newaxis], axis=0))[:, 0]
    return tf.cast(tf.concat([indices, places, [-1]], axis=0)[0], tf.int32)


def require(condition: tf.Tensor, example_id: tf.Tensor, shard: tf.Tensor, what: str) -> None:
    """Stop the pipeline unless `condition` holds, with a message that `damage.explained` finds."""
    message = tf.strings.join(
        [MESSAGE_START, shard, ", example ", example_id, ": ", what, MESSAGE_END]
    )
    tf.debugging.Assert(condition, [message])


def check_parsed(
    parsed: dict[str, tf.Tensor], shard: tf.Tensor, limits: Limits, needs_frames: bool
) -> None:
    """Check a record from a shard that was not inspected, before decoding and at almost no cost.

    `integrity.checks` finds more. Without `needs_frames`, a record may hold only audio.
    """
    identity = parsed["example_id"]
    frames = tf.shape(parsed["frames"])[0]
    longest = tf.reduce_max(tf.concat([tf.strings.length(parsed["caption"]), [0]], axis=0))
    samples = tf.size(parsed["waveform"]) + tf.size(parsed["log_mel"])
    heard = samples > 0
    if "media" in parsed:
        heard |= parsed["media"] != b""
    for condition, what in (
        (frames > 0 if needs_frames else (frames > 0) | heard, "no frames"),
        (frames <= limits.frames, f"too many frames: more than {limits.frames}"),
        (
            longest <= limits.caption_bytes,
            f"caption too long: more than {limits.caption_bytes} bytes",
        ),
        (tf.size(parsed["caption"]) <= limits.captions, "too many captions"),
        (samples <= limits.samples, f"audio too long: more than {limits.samples} samples"),
        (
            (tf.size(parsed["caption_start"]) == tf.size(parsed["caption"]))
            & (tf.size(parsed["caption_end"]) == tf.size(parsed["caption"])),
            "captions and their times differ in number",
        ),
    ):
        require(condition, identity, shard, what)


def check_frames(
    encoded: tf.Tensor, example_id: tf.Tensor, shard: tf.Tensor, limits: Limits
) -> None:
    """Check JPEGs, string [N], by their first and last bytes and their declared size."""
    starts = tf.strings.substr(encoded, 0, 2) == b"\xff\xd8"
    require(tf.reduce_all(starts), example_id, shard, "a frame is not a JPEG")
    lengths = tf.strings.length(encoded)
    tail = tf.strings.substr(encoded, tf.maximum(lengths - 64, 0), tf.minimum(lengths, 64))
    whole = tf.strings.split(tail, b"\xff\xd9").row_lengths() > 1
    with tf.control_dependencies([tf.reduce_all(starts)]):
        require(tf.reduce_all(whole), example_id, shard, "a frame is a truncated JPEG")
        shapes = tf.map_fn(
            tf.io.extract_jpeg_shape, encoded, fn_output_signature=tf.TensorSpec([3], tf.int32)
        )
    pixels = tf.cast(shapes[:, 0], tf.int64) * tf.cast(shapes[:, 1], tf.int64)
    small = tf.reduce_all(pixels <= limits.frame_pixels)
    require(small, example_id, shard, f"a frame has more than {limits.frame_pixels} pixels")
    require(
        tf.reduce_all(shapes[:, :2] == shapes[0, :2]), example_id, shard, "frames differ in size"
    )
