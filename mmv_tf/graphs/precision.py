# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A trained network in another precision."""

from __future__ import annotations

from typing import Any, TypeVar

import keras

DTYPES = ("float32", "mixed_bfloat16", "bfloat16", "mixed_float16")

_Model = TypeVar("_Model", bound=keras.Model)


def in_precision(model: _Model, dtype: str) -> _Model:
    """A network with the same weights that computes in another dtype policy.

    Args:
      model: an `EmbeddingGraph` or an `ImageEncoder`; it stays as it is.
      dtype: one of `DTYPES`. Under a mixed policy the first layers, the
        gates and the heads stay in float32, see `mmv_tf.layers.precision`.

    Raises:
      ValueError: for another dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; use one of {', '.join(DTYPES)}.")
    config = model.get_config()
    kept = {}
    for name in ("tokenizer", "log_mel"):
        # Neither depends on the precision; the words are not in the configuration.
        if config.get(name) is not None:
            kept[name] = getattr(model, name)
    config = _with_policy({**config, **dict.fromkeys(kept)}, dtype)
    other = type(model).from_config({**config, **kept})
    other.set_weights(model.get_weights())
    return other


def _with_policy(value: Any, dtype: str) -> Any:
    """A configuration with each dtype policy in it replaced."""
    if isinstance(value, list | tuple):
        return type(value)(_with_policy(item, dtype) for item in value)
    if not isinstance(value, dict):
        return value
    if str(value.get("class_name")).endswith("DTypePolicy"):
        return keras.saving.serialize_keras_object(keras.DTypePolicy(dtype))
    return {key: _with_policy(item, dtype) for key, item in value.items()}
