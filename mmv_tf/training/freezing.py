# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parts of a model that training does not change, and learning rates of the other parts.

A name or pattern (see `fnmatch`) stands for a backbone ("video"), for all heads ("heads") or one
head ("heads/video_to_fine", "video_to_fine"), or for a backbone's layers ("video/Mixed_3*",
"audio/group_0"); `layer_names` lists them all. A match includes everything inside it.

Frozen batch norms use their moving statistics and do not update them.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import keras

from mmv_tf.backbones.base import Backbone
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.layers.batch_norm import BatchNorm
from mmv_tf.losses import PAIRS
from mmv_tf.util.keras_networks import all_layers

HEADS = "heads"


def layer_names(model: EmbeddingGraph) -> dict[str, keras.layers.Layer]:
    """Return the parts of a model and the named layers of its backbones, outer ones first.

    Returns:
      "video", "video/Conv2d_1a_7x7", ..., "heads/video_to_fine" and so on -> the layer.
    """
    found: dict[str, keras.layers.Layer] = {}
    for name, part in model.parts().items():
        found[name] = part
        if isinstance(part, Backbone):
            inner = part.named_layers()
            found |= {f"{name}/{inside}": layer for inside, layer in inner.items()}
    return found


def matching(names: Collection[str], pattern: str, setting: str) -> list[str]:
    """Return the names that match a pattern.

    Args:
      names: see `layer_names`.
      pattern: see the module docstring.
      setting: name of the setting, for the message.

    Raises:
      ValueError: the pattern matches nothing; the message suggests the closest names.
    """
    found = [name for name in names if _matches(name, pattern)]
    if not found:
        near = difflib.get_close_matches(pattern, [HEADS, *names], n=3, cutoff=0.0)
        raise ValueError(
            f"{setting} has {pattern!r}, which matches no part or layer of the model; "
            f"the nearest are {', '.join(map(repr, near))}."
        )
    return found


def _matches(name: str, pattern: str) -> bool:
    steps = name.split("/")
    prefixes = ["/".join(steps[: count + 1]) for count in range(len(steps))]
    if steps[0] == HEADS:
        prefixes.append(steps[-1])
    return any(fnmatch.fnmatchcase(prefix, pattern) for prefix in prefixes)


def unused_parts(model: EmbeddingGraph, pairs: Sequence[str]) -> list[str]:
    """Return the parts whose output no pair of the objective compares; see `Objective.pairs`."""
    used: set[int] = set()
    for pair in pairs:
        space = model.common_space(*PAIRS[pair])
        for modality in PAIRS[pair]:
            used.add(id(model.backbone(modality)))
            heads = {name: (head, source) for name, head, source in model.chain(modality)}
            step = space
            while step in heads:
                head, step = heads[step]
                used.add(id(head))
    return [name for name, part in model.parts().items() if id(part) not in used]


class Freezing:
    """The variables that training changes, and their learning rates.

    Args:
      model: the model; it is changed only within `applied`.
      freeze: names and patterns of the parts that do not change.
      learning_rates: names and patterns -> a multiple of the learning rate, above 0. If several
        match a layer, the longest counts.
      frozen_batch_norm: let batch norms use and keep their moving statistics, except in `fresh`.
      fresh: parts with random weights, whose statistics have to be learned.
      unused: parts that do not change because nothing trains them.

    Attributes:
      variables: the variables that training changes, in the model's order.
      multiples: each variable's multiple of the learning rate, floats.

    Raises:
      ValueError: a pattern matches nothing, nothing is left to train, or a learning rate is not
        positive or belongs to a frozen part.
    """

    def __init__(
        self,
        model: EmbeddingGraph,
        freeze: Sequence[str] = (),
        learning_rates: Mapping[str, float] | None = None,
        frozen_batch_norm: bool = False,
        fresh: Collection[str] = (),
        unused: Collection[str] = (),
    ):
        if isinstance(freeze, str):
            freeze = (freeze,)
        layers = layer_names(model)
        names = {name: pattern for pattern in freeze for name in matching(layers, pattern, _FREEZE)}
        frozen = [layers[name] for name in (*names, *unused)]
        kept = {id(variable) for layer in frozen for variable in layer.variables}
        self.variables = [v for v in model.trainable_variables if id(v) not in kept]
        if not self.variables:
            raise ValueError(
                f"{_FREEZE} is {tuple(freeze)}, which leaves nothing to train; freeze less."
            )
        rates = _multiples(layers, learning_rates or {}, names)
        self.multiples = [rates.get(id(variable), 1.0) for variable in self.variables]
        if frozen_batch_norm:
            frozen += [part for name, part in model.parts().items() if name not in fresh]
        self._norms = [layer for layer in all_layers(frozen) if isinstance(layer, BatchNorm)]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Freeze the batch norms within the block; functions traced in it keep them frozen."""
        before = [norm.frozen for norm in self._norms]
        for norm in self._norms:
            norm.frozen = True
        try:
            yield
        finally:
            for norm, value in zip(self._norms, before, strict=True):
                norm.frozen = value


_FREEZE = "training.freeze"
_RATES = "training.learning_rates"


def _multiples(
    layers: Mapping[str, keras.layers.Layer],
    learning_rates: Mapping[str, float],
    frozen: Mapping[str, str],
) -> dict[int, float]:
    """Return each variable's multiple by id; longer patterns come later and win."""
    found: dict[int, float] = {}
    for pattern, multiple in sorted(learning_rates.items(), key=lambda item: len(item[0])):
        _check_multiple(pattern, multiple)
        absent = not any(_matches(name, pattern) for name in layers)
        if absent and pattern in _DEFAULTS:
            continue  # a setting of every configuration, for a part that the model lacks
        names = matching(layers, pattern, _RATES)
        if multiple != 1.0 and all(name in frozen for name in names):
            raise ValueError(
                f"{_RATES} has {pattern!r}, but {_FREEZE} ({frozen[names[0]]!r}) keeps "
                f"{names[0]!r} unchanged; remove it from one of them."
            )
        for name in names:
            found |= {id(variable): float(multiple) for variable in layers[name].variables}
    return found


def _check_multiple(pattern: str, multiple: Any) -> None:
    number = isinstance(multiple, int | float) and not isinstance(multiple, bool)
    if not number or not (0 < multiple < math.inf):
        raise ValueError(
            f"{_RATES} gives {pattern!r} the multiple {multiple!r}; expected a number above 0 "
            f"(freeze it with {_FREEZE})."
        )


_DEFAULTS = ("video", "audio", "text", HEADS)
DEFAULT_LEARNING_RATES = dict.fromkeys(_DEFAULTS, 1.0)
