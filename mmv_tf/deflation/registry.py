# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Converts a video model to its image model, layer by layer; holds the registry of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeAlias, TypeVar

import keras
import numpy as np

# rule(walk, layer, inputs) -> outputs. `inputs` and outputs are the layer's without their time
# axis.
Rule: TypeAlias = Callable[..., Any]
_R = TypeVar("_R", bound=Rule)

_RULES: dict[type, Rule] = {}


class DeflationError(ValueError):
    """A layer can't be deflated; the message names it and gives the reason."""


def register_rule(*classes: type) -> Callable[[_R], _R]:
    """Make a function the rule for `classes` and for subclasses without a rule of their own.

        A rule is called as `rule(walk, layer, *inputs, **call_arguments)` with symbolic tensors
        without a time axis ([B, H, W, C] where the layer would get [B, T, H, W, C]; see
        `Walk.has_time`). It returns the tensors that correspond to the layer's outputs on a clip of
        equal frames. Inside it, `walk(inner, tensor)` deflates a layer that this layer contains,
        and `walk.add(new, tensor)` adds a new layer to the image model.

    Example:
        >>> @register_rule(MyTemporalMean)
        ... def _(walk, layer, inputs):
        ...     return inputs  # the mean of equal frames is the frame
    """

    def register(rule: _R) -> _R:
        for cls in classes:
            _RULES[cls] = rule
        return rule

    return register


def find_rule(layer: Any) -> Rule | None:
    """Return the rule of a layer's class or of its nearest base class, or None."""
    for cls in type(layer).__mro__:
        if cls in _RULES:
            return _RULES[cls]
        if cls is keras.layers.Layer:
            break  # the classes above are for operations that are not layers
    return None


class Walk:
    """Traversal of a video model that builds its image model.

    Args:
      num_frames: T, the length of the clips, to sum kernels as over a clip with ends (see
        `deflate`); None for clips without ends.

    Attributes:
      temporal: whether any layer so far mixes frames.
      origins: layer name in the image model -> the original's layer that it replaces.
    """

    def __init__(self, num_frames: int | None = None) -> None:
        self.num_frames = num_frames
        self.temporal = False
        self.origins: dict[str, Any] = {}
        self._path: list[tuple[Any, str]] = []
        self._made: dict[tuple[int, str], Any] = {}
        self._timeless: dict[int, Any] = {}
        self._frames: dict[int, tuple[Any, int]] = {}

    def __call__(self, layer: Any, *inputs: Any, name: str | None = None, **arguments: Any) -> Any:
        """Deflate a layer on inputs without a time axis and return its rule's outputs.

        Args:
          layer: any layer, model or Keras operation.
          inputs: symbolic tensors.
          name: name of the layer within its parent; by default, the parent's attribute name.
          arguments: the layer's call arguments.

        Raises:
          DeflationError: the layer has no rule, or its rule rejects it.
        """
        # The image model always runs in inference mode.
        for ignored in ("training", "mask", "valid"):
            arguments.pop(ignored, None)
        self._path.append((layer, self._local_name(layer) if name is None else name))
        try:
            rule = find_rule(layer)
            if rule is None and all(not self.has_time(x) for x in _tensors(inputs)):
                rule = _copy_timeless
            if rule is None:
                self.refuse(
                    "no rule is known for its class; write one with "
                    "mmv_tf.deflation.register_rule (docs/deflation.md has an example)"
                )
            outputs = rule(self, layer, *inputs, **arguments)
        finally:
            self._path.pop()
        return outputs

    def add(
        self,
        layer: keras.layers.Layer,
        *inputs: Any,
        weights: list[np.ndarray] | None = None,
        has_time: bool | None = None,
        frames: int | None = None,
        part: str = "",
    ) -> Any:
        """Call a new layer in the image model; its origin is the original's current layer.

        If the original uses a layer twice, so does the image model: the first `layer` that was
        added for it is called again.

        Args:
          layer: a new layer; its name is changed to the original's path.
          inputs: inputs of `layer`'s call.
          weights: weights to set, in the order of `layer.weights`.
          has_time: whether the original's output has a time axis; true by default if any input has
            one.
          frames: number of frames in the original's output; by default, as in the first input.
          part: distinguishes several new layers with the same origin.
        """
        origin = self._path[-1][0] if self._path else None
        key = (id(origin), part)
        if key in self._made:
            layer = self._made[key]
            outputs = layer(*inputs)
        else:
            layer.name = self.new_name(part)
            outputs = layer(*inputs)
            if weights is not None:
                layer.set_weights(weights)
            if origin is not None:
                self._made[key] = layer
                self.origins[layer.name] = origin
        timed = any(self.has_time(x) for x in _tensors(inputs)) if has_time is None else has_time
        if frames is None:
            frames = self.frames(next(_tensors(inputs)))
        return self.mark(outputs, timed, frames)

    def copy(self, *inputs: Any, has_time: bool | None = None, **changes: Any) -> Any:
        """Add a copy of the current layer with its weights; `changes` replace its arguments."""
        layer = self._path[-1][0]
        config = {**layer.get_config(), **changes}
        config.pop("name", None)
        new = type(layer).from_config(config)
        weights = layer.get_weights() if layer.weights else None
        return self.add(new, *inputs, weights=weights, has_time=has_time)

    def mark(self, outputs: Any, has_time: bool, frames: int | None = None) -> Any:
        """Record whether original tensors have a time axis, and its length; return `outputs`."""
        for tensor in _tensors(outputs):
            if frames is not None:
                self._frames[id(tensor)] = (tensor, frames)
            if has_time:
                self._timeless.pop(id(tensor), None)
            else:
                self._timeless[id(tensor)] = tensor
        return outputs

    def has_time(self, tensor: Any) -> bool:
        """Return whether the original's tensor has a time axis (which this tensor lacks)."""
        return id(tensor) not in self._timeless

    def frames(self, tensor: Any) -> int | None:
        """Return the number of frames in the original's tensor, or None if `num_frames` is None."""
        return self._frames.get(id(tensor), (None, self.num_frames))[1]

    def refuse(self, reason: str) -> NoReturn:
        """Raise an error that names the current layer."""
        layer = self._path[-1][0]
        path = "/".join(name for _, name in self._path if name)
        raise DeflationError(f"Can't deflate {path} ({type(layer).__name__}): {reason}.")

    def new_name(self, part: str = "") -> str:
        """Return a layer name for the current path, unique in this walk."""
        steps = [name for _, name in self._path if name] + ([part] if part else [])
        base = name = ".".join(steps) or "layer"
        number = 1
        while name in self.origins:
            number += 1
            name = f"{base}_{number}"
        return name

    def _local_name(self, layer: Any) -> str:
        if self._path:
            parent = self._path[-1][0]
            for attribute, value in vars(parent).items():
                if attribute.startswith("_"):
                    continue
                if value is layer:
                    return attribute
                if isinstance(value, list | tuple):
                    for index, item in enumerate(value):
                        if item is layer:
                            return f"{attribute}_{index}"
        return getattr(layer, "name", type(layer).__name__)


def _copy_timeless(walk: Walk, layer: Any, *inputs: Any, **arguments: Any) -> Any:
    """Copy a layer: without a time axis, any layer stays the same."""
    if not isinstance(layer, keras.layers.Layer):
        return walk.mark(layer(*inputs, **arguments), has_time=False)
    if arguments:
        walk.refuse(f"its call has arguments that can't be copied: {sorted(arguments)}")
    return walk.copy(*inputs, has_time=False)


def frames_after(frames: int | None, size: int, stride: int, padding: str) -> int | None:
    """Return the number of frames that a convolution or pooling over time outputs."""
    if frames is None:
        return None
    return -(-frames // stride) if padding == "same" else (frames - size) // stride + 1


def tap_weights(frames: int | None, size: int, stride: int, padding: str) -> np.ndarray:
    """Return [size]: for each temporal tap, the fraction of outputs for which it reads a frame.

    For a clip of equal frames with SAME padding, a convolution's mean over time is the image
    convolved with the filter's sum over time, weighted by these fractions.
    """
    if frames is None or padding != "same":
        return np.ones(size)
    outputs = np.arange(-(-frames // stride))
    before = max((len(outputs) - 1) * stride + size - frames, 0) // 2
    places = outputs[:, np.newaxis] * stride + np.arange(size) - before
    return ((places >= 0) & (places < frames)).mean(axis=0)


def _tensors(value: Any) -> Iterator[Any]:
    return (x for x in keras.tree.flatten(value) if isinstance(x, keras.KerasTensor))
