# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A parsed record's features, by name and type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mmv_tf.data.record_checks.rules import Wrong

if TYPE_CHECKING:
    import tensorflow as tf

WRONG_TYPE = "wrong type"


class Features:
    """A parsed record's features, by name and type."""

    def __init__(self, example: tf.train.SequenceExample):
        self._context = example.context.feature
        self._lists = example.feature_lists.feature_list

    def has(self, key: str) -> bool:
        """Whether there is a feature of that name, if an empty one."""
        return key in self._context or key in self._lists

    def context(self, key: str, kind: str) -> Any:
        """Values of a context feature; empty if it is not there."""
        return _values(self._context[key], key, kind) if key in self._context else ()

    def steps(self, key: str, kind: str) -> list[Any]:
        """Values of each entry of a feature list; empty if it is not there."""
        if key not in self._lists:
            return []
        return [_values(step, key, kind) for step in self._lists[key].feature]

    def floats(self, key: str) -> list[np.ndarray]:
        """As `steps`, of floats, as arrays."""
        if key not in self._lists:
            return []
        arrays = []
        for step in self._lists[key].feature:
            _values(step, key, "float_list")
            arrays.append(packed_floats(step.float_list.SerializeToString()))
        return arrays

    def either(self, key: str, kind: str, lists: bool) -> list[Any]:
        """All values of a feature that is a list or in the context."""
        if lists:
            return [value for step in self.steps(key, kind) for value in step]
        return list(self.context(key, kind))

    def number(self, key: str, kind: str) -> float | None:
        """The only value of a context feature; None if it is not there."""
        values = self.context(key, kind)
        if len(values) > 1:
            raise Wrong(WRONG_TYPE, f"{key} has {len(values)} values, expected one")
        return values[0] if len(values) else None


def _values(feature: Any, key: str, kind: str) -> Any:
    found = feature.WhichOneof("kind")
    if found is None:
        return ()
    if found != kind:
        raise Wrong(WRONG_TYPE, f"{key} is a {found}, expected a {kind}")
    return getattr(feature, kind).value


def packed_floats(serialized: bytes) -> np.ndarray:
    """The floats of a serialised FloatList, which is always written packed: tag, size, values.

    Reading 150,000 of them one by one would take most of the time of a check.
    """
    if not serialized:
        return np.zeros(0, np.float32)
    start = 1
    while serialized[start] & 0x80:
        start += 1
    return np.frombuffer(serialized, "<f4", offset=start + 1)
