# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Base class for the layers, their precision, and checks of constructor arguments."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import keras


class Layer(keras.layers.Layer):
    """A Keras layer that computes in float32 by default.

    Without `dtype`, it follows the policy set by `keras.config.set_dtype_policy` and ignores
    `floatx`.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**with_dtype(kwargs))


def with_dtype(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a layer or model with the dtype that `Layer` documents."""
    dtype = arguments.get("dtype")
    if dtype is None:
        policy = keras.config.dtype_policy()
        dtype = "float32" if policy.name == keras.config.floatx() else policy
    return {**arguments, "dtype": dtype}


def check_sizes(**sizes: object) -> None:
    """Raise a ValueError for the first value that is not a positive integer."""
    for name, size in sizes.items():
        whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
        if not whole or size < 1:  # type: ignore[operator]
            raise ValueError(f"{name} is {size!r}; expected a positive integer.")


def check_width(width: object) -> None:
    """Raise a ValueError unless a channel-count multiplier is a positive, finite number."""
    if isinstance(width, bool) or not isinstance(width, float | int) or not 0 < width < 1e3:
        raise ValueError(f"width is {width!r}; expected a positive number (1 as in the paper).")


def scale_channels(channels: int, width: float) -> int:
    """Return `channels * width`, rounded to a multiple of 4 and at least 4."""
    return max(4, 4 * round(channels * width / 4))


def float32_policy(policy: keras.DTypePolicy) -> keras.DTypePolicy:
    """Return the policy that computes in the dtype of the variables.

    "mixed_bfloat16" becomes "float32"; "float32" and "bfloat16", which are not mixed, do not
    change.
    """
    return keras.DTypePolicy(policy.variable_dtype)


def policies_from(
    policy: keras.DTypePolicy, names: Sequence[str], first: str
) -> dict[str, keras.DTypePolicy]:
    """Return each part's policy by name, in order, with float32 before the part `first`.

    Raises:
      ValueError: there is no part with that name.
    """
    if first not in names:
        raise ValueError(f"bfloat16_from is {first!r}; use one of {tuple(names)}.")
    start = list(names).index(first)
    return {
        name: policy if index >= start else float32_policy(policy)
        for index, name in enumerate(names)
    }
