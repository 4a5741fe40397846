# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads the graph of a functional Keras model, and replaces the calls of its layers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a layer or operation within a model.

    Attributes:
      layer: the model's own layer or operation.
      args, kwargs: arguments; their tensors are those of a `Graph`.
      outputs: a tensor or a structure of tensors, of the same `Graph`.
    """

    layer: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any

    @property
    def inputs(self) -> list[Any]:
        """Return all tensors among the arguments."""
        return _tensors((self.args, self.kwargs))


class Graph:
    """The calls of a functional model, in a valid order of computation.

    Args:
      network: a functional `keras.Model`; it is not changed.

    Raises:
      ValueError: it is a subclassed model, whose calls can't be read.
    """

    def __init__(self, network: keras.Model):
        self.calls: list[Call] = []

        def record(layer: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = _StandIn(layer)(*args, **kwargs)
            self.calls.append(Call(layer, args, kwargs, outputs))
            return outputs

        copy = keras.models.clone_model(
            network, clone_function=lambda layer: layer, call_function=record
        )
        self.inputs, self.outputs = copy.input, copy.output

    def called_once(self, layer: Any) -> bool:
        """Return whether the model calls the layer in exactly one place."""
        return sum(call.layer is layer for call in self.calls) == 1

    def consumers(self) -> dict[str, list[Any]]:
        """Return layer name -> the layers that use its output.

        The model's own outputs count as one more layer, None. Layers with several calls or outputs
        are omitted as keys.
        """
        makers = {
            id(call.outputs): call.layer.name for call in self.calls if self.called_once(call.layer)
        }
        takers = [(tensor, call.layer) for call in self.calls for tensor in call.inputs]
        takers += [(tensor, None) for tensor in keras.tree.flatten(self.outputs)]
        found: dict[str, list[Any]] = {}
        for tensor, layer in takers:
            if id(tensor) in makers:
                found.setdefault(makers[id(tensor)], []).append(layer)
        return found

    def replay(self, inputs: Any, call: Callable[..., Any]) -> Any:
        """Repeat all calls through `call(layer, *args, **kwargs)`.

        Args:
          inputs: replacement of the model's inputs, with the same structure or flat.
          call: receives the values that earlier calls returned.

        Returns:
          The replacement of the model's outputs, with their structure.
        """
        flat = zip(keras.tree.flatten(self.inputs), keras.tree.flatten(inputs), strict=True)
        values = {id(tensor): value for tensor, value in flat}

        def value(leaf: Any) -> Any:
            return values[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf

        for one in self.calls:
            args, kwargs = keras.tree.map_structure(value, (one.args, one.kwargs))
            outputs = keras.tree.flatten(call(one.layer, *args, **kwargs))
            tensors = keras.tree.flatten(one.outputs)
            values |= {id(tensor): new for tensor, new in zip(tensors, outputs, strict=True)}
        return keras.tree.map_structure(value, self.outputs)


class _StandIn(keras.Operation):
    """Replacement for a layer in a graph that only records calls."""

    def __init__(self, layer: Any):
        super().__init__()
        self._layer = layer

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs of the layer's first call."""
        return keras.tree.map_structure(
            lambda tensor: keras.KerasTensor(tensor.shape, tensor.dtype), self._layer.output
        )


def _tensors(structure: Any) -> list[Any]:
    leaves = keras.tree.flatten(structure)
    return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


def all_layers(layers: Iterable[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Return all layers within layers, including these: outer ones first, each once.

    Keras has no public way to do this; its own backbones in keras-hub use the same method.
    """
    found = {id(inner): inner for layer in layers for inner in layer._flatten_layers()}
    return list(found.values())


@contextlib.contextmanager
def replaced_calls(calls: Iterable[tuple[Any, Callable[..., Any]]]) -> Iterator[None]:
    """Replace the calls of layers inside the block.

    Args:
      calls: pairs of a layer and the replacement of its `call`.
    """
    with contextlib.ExitStack() as stack:
        for layer, call in calls:
            # Keras would track an attribute that is set on a layer.
            object.__setattr__(layer, "call", call)
            stack.callback(object.__delattr__, layer, "call")
        yield
