# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which part of a network computes in float32 under a mixed dtype policy."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def float32_policy(policy: keras.DTypePolicy) -> keras.DTypePolicy:
    """The policy of a part that a mixed policy leaves in the dtype of its variables.

    "mixed_bfloat16" gives "float32"; "float32" and "bfloat16", which are not mixed, stay.
    """
    return keras.DTypePolicy(policy.variable_dtype)


def policies_from(
    policy: keras.DTypePolicy, names: Sequence[str], first: str
) -> dict[str, keras.DTypePolicy]:
    """The policy of each part, by name, in order: float32 before the part `first`.

    Raises:
      ValueError: if there is no part of that name.
    """
    if first not in names:
        raise ValueError(f"bfloat16_from is {first!r}; use one of {tuple(names)}.")
    start = list(names).index(first)
    return {
        name: policy if index >= start else float32_policy(policy)
        for index, name in enumerate(names)
    }
