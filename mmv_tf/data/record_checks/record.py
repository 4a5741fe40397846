# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""All checks of one record."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from mmv_tf.data import record_keys
from mmv_tf.data.key_maps import KeyMap
from mmv_tf.data.record_checks.captions import check_captions
from mmv_tf.data.record_checks.clip import check_clip, check_keys
from mmv_tf.data.record_checks.features import Features
from mmv_tf.data.record_checks.rules import Checked, Expected, Limits, Problem, Wrong
from mmv_tf.data.record_checks.sound import check_log_mel, check_sound
from mmv_tf.data.record_checks.subject import Subject

NOT_EXAMPLE = "not a SequenceExample"
LABEL_RANGE = "label out of range"


def check_record(payload: bytes, keys: KeyMap, expected: Expected, limits: Limits) -> Checked:
    """Looks for everything that is wrong with a record, without decoding it."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        example = tf.train.SequenceExample.FromString(payload)
    except DecodeError as error:
        return Checked("", (Problem(NOT_EXAMPLE, str(error) or "it can't be parsed"),))
    features = Features(example)
    if not example.context.feature and not example.feature_lists.feature_list:
        return Checked("", (Problem(NOT_EXAMPLE, "it has no features"),))
    problems: list[Problem] = []
    notes: list[str] = []
    example_id = _example_id(features, keys)
    subject = Subject(features, keys, expected, limits)
    try:
        check_keys(subject)
        subject = dataclasses.replace(subject, seconds=check_clip(subject))
    except Wrong as wrong:
        problems.append(wrong.problem)
    for check in (check_sound, check_log_mel, check_captions, _check_label):
        try:
            notes += check(subject)
        except Wrong as wrong:
            problems.append(wrong.problem)
    return Checked(example_id, tuple(problems), tuple(notes))


def _example_id(features: Features, keys: KeyMap) -> str:
    values: Any = ()
    with contextlib.suppress(Wrong):
        values = features.context(keys.example_id, "bytes_list") if keys.example_id else ()
    return values[0].decode(errors="replace") if len(values) else ""


def _check_label(subject: Subject) -> list[str]:
    expected = subject.expected
    labels = subject.features.context(record_keys.LABEL_INDEX, "int64_list")
    for label in labels:
        if label < 0 or (expected.labels is not None and label >= expected.labels):
            raise Wrong(LABEL_RANGE, f"{label} of {expected.labels} classes")
    return []
