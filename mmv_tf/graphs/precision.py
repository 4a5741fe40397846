# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Converts a trained model to another precision."""

from __future__ import annotations

from typing import Any, TypeVar

import keras

DTYPES = ("float32", "mixed_bfloat16", "bfloat16", "mixed_float16")

_Model = TypeVar("_Model", bound=keras.Model)


def check_dtype(dtype: str) -> None:
    """Check a precision's name.

    Raises:
      ValueError: the precision is unknown.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; use one of {', '.join(DTYPES)}.")


def in_precision(model: _Model, dtype: str) -> _Model:
    """Return a model with the same weights that computes under another dtype policy.

    Args:
      model: an `EmbeddingGraph` or an `ImageEncoder`, which does not change.
      dtype: one of `DTYPES`. Under a mixed policy, the first layers, the gates and the heads stay
        in float32.

    Raises:
      ValueError: the dtype is not one of `DTYPES`.
    """
    check_dtype(dtype)
    config = model.get_config()
    kept = {}
    for name in ("tokenizer", "log_mel"):
        # The tokenizer and log-mel don't depend on the precision, and the configuration does not
        # contain the words.
        if config.get(name) is not None:
            kept[name] = getattr(model, name)
    changed = _with_policy({**config, **dict.fromkeys(kept)}, dtype)
    if isinstance(getattr(model, "network", None), keras.Model):
        kept["network"] = _image_network(model.network, config["network"], dtype)
    other = type(model).from_config({**changed, **kept})
    other.set_weights(model.get_weights())
    return other


def _image_network(network: Any, config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """Return the configuration of a deflated model (a functional model) under another dtype policy.

    Its layers do not record which part of the video model they come from. Under a mixed policy,
    float32 is used for the first fifth (ours; about the fraction in video models) and for all
    layers that return vectors, which are the gates and heads.
    """
    policy = keras.DTypePolicy(dtype)
    early = len(network.layers) // 5
    layers = []
    for index, layer in enumerate(config["config"]["layers"]):
        shape = network.get_layer(layer["config"]["name"]).output.shape
        vector = all(size == 1 for size in shape[1:-1])
        exact = index < early or vector
        layers.append(_with_policy(layer, policy.variable_dtype if exact else dtype))
    return {**config, "config": {**config["config"], "layers": layers}}


def _with_policy(value: Any, dtype: str) -> Any:
    """Replace each dtype policy in a configuration."""
    if isinstance(value, list | tuple):
        return type(value)(_with_policy(item, dtype) for item in value)
    if not isinstance(value, dict):
        return value
    if str(value.get("class_name")).endswith("DTypePolicy"):
        return keras.saving.serialize_keras_object(keras.DTypePolicy(dtype))
    return {key: _with_policy(item, dtype) for key, item in value.items()}
