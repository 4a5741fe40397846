# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A trained network in another precision."""

from __future__ import annotations

from typing import Any, TypeVar

import keras

DTYPES = ("float32", "mixed_bfloat16", "bfloat16", "mixed_float16")

_Model = TypeVar("_Model", bound=keras.Model)


def check_dtype(dtype: str) -> None:
    """Checks that there is such a precision.

    Raises:
      ValueError: there is not.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; use one of {', '.join(DTYPES)}.")


def in_precision(model: _Model, dtype: str) -> _Model:
    """A network with the same weights that computes in another dtype policy.

    Args:
      model: an `EmbeddingGraph` or an `ImageEncoder`; it stays as it is.
      dtype: one of `DTYPES`. Under a mixed policy the first layers, the
        gates and the heads stay in float32, see `mmv_tf.layers.base`.

    Raises:
      ValueError: for another dtype.
    """
    check_dtype(dtype)
    config = model.get_config()
    kept = {}
    for name in ("tokenizer", "log_mel"):
        # Neither depends on the precision; the words are not in the configuration.
        if config.get(name) is not None:
            kept[name] = getattr(model, name)
    changed = _with_policy({**config, **dict.fromkeys(kept)}, dtype)
    if isinstance(getattr(model, "network", None), keras.Model):
        kept["network"] = _image_network(model.network, config["network"], dtype)
    other = type(model).from_config({**changed, **kept})
    other.set_weights(model.get_weights())
    return other


def _image_network(network: Any, config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The configuration of a deflated network, a functional one, in another dtype policy.

    Its layers don't tell which parts of the video network they were. Under a mixed policy those in
    float32 are the first fifth (ours; of the video networks' layers it is about as many) and all
    that give vectors, which are the gates and heads.
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
    """A configuration with each dtype policy in it replaced."""
    if isinstance(value, list | tuple):
        return type(value)(_with_policy(item, dtype) for item in value)
    if not isinstance(value, dict):
        return value
    if str(value.get("class_name")).endswith("DTypePolicy"):
        return keras.saving.serialize_keras_object(keras.DTypePolicy(dtype))
    return {key: _with_policy(item, dtype) for key, item in value.items()}
