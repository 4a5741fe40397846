# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The dtype of a layer that is given none.

Keras' own layers take that of `floatx`, which a user's keras.json may set to anything. What this
package computes must not depend on that file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras


class Layer(keras.layers.Layer):
    """A Keras layer that computes in float32 unless it or the program is told another dtype.

    Without `dtype` it follows the policy that the program set by `keras.config.set_dtype_policy`;
    `floatx` does not count.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**with_dtype(kwargs))


def with_dtype(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A layer's or model's arguments, with the dtype that `Layer` describes."""
    dtype = arguments.get("dtype")
    if dtype is None:
        policy = keras.config.dtype_policy()
        dtype = "float32" if policy.name == keras.config.floatx() else policy
    return {**arguments, "dtype": dtype}
