# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A record that is checked, with all that a check needs to judge it."""

from __future__ import annotations

import dataclasses

from mmv_tf.data.key_maps import KeyMap
from mmv_tf.data.record_checks.features import Features
from mmv_tf.data.record_checks.rules import Expected, Limits


@dataclasses.dataclass(frozen=True)
class Subject:
    """What every check is given.

    Attributes:
      features: the record's.
      keys: what they are called.
      expected: of all records of the data set.
      limits: the largest that is read.
      seconds: how long the clip's media last; None if that is not known, or not yet.
    """

    features: Features
    keys: KeyMap
    expected: Expected
    limits: Limits
    seconds: float | None = None
