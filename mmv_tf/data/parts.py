# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The data sets of a configuration: one, or the entries of `config.mixture`."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import ml_collections

# What an entry of `config.mixture` may hold besides settings of the reader.
_WEIGHT, _EVALUATE_SPLIT = "weight", "evaluate_split"


@dataclasses.dataclass(frozen=True)
class Part:
    """One data set of a configuration.

    Attributes:
      config: settings of its reader, locked.
      weight: its share of the training examples, above 0.
      evaluate_split: the split that is evaluated while training; "" for none of its own.
    """

    config: ml_collections.ConfigDict
    weight: float = 1.0
    evaluate_split: str = ""


def parts_of(config: ml_collections.ConfigDict) -> list[Part]:
    """The data sets that a configuration trains on.

    Args:
      config: see `default_config`. Entries of `config.mixture` are dicts: settings of the reader
        that differ from `config`, such as "directory" and "split"; "weight" (1 by default), the
        data set's share of the examples; and "evaluate_split", see `evaluated_parts`.

    Raises:
      ValueError: for a setting that there is none of, or a weight that is not positive.
    """
    entries: tuple[Any, ...] = tuple(config.get("mixture", ())) or ({},)
    parts = []
    for entry in entries:
        own = ml_collections.ConfigDict(config.to_dict())
        own.mixture = ()
        extra: dict[str, Any] = {_WEIGHT: 1.0, _EVALUATE_SPLIT: ""}
        for name, value in dict(entry).items():
            if name in extra:
                extra[name] = value
            elif name in own:
                own[name] = value
            else:
                raise ValueError(
                    f"An entry of data.mixture has {name!r}; expected 'weight', 'evaluate_split' "
                    f"or a setting of the reader: {', '.join(sorted(own))}."
                )
        weight = float(extra[_WEIGHT])
        if not weight > 0:
            raise ValueError(f"The weight of {own.directory} is {weight}; it must be above 0.")
        parts.append(Part(own.lock(), weight, str(extra[_EVALUATE_SPLIT])))
    return parts


def evaluated_parts(
    config: ml_collections.ConfigDict, split: str
) -> dict[str, ml_collections.ConfigDict]:
    """What is evaluated while training: settings of readers by name, in the mixture's order.

    Those are the entries of the mixture that have an "evaluate_split". If none has, it is the first
    data set, with `split`. The first one's name is ""; the others are named by their folders, with
    a number where two folders have the same name.
    """
    parts = parts_of(config)
    if not any(part.evaluate_split for part in parts):
        parts = [dataclasses.replace(parts[0], evaluate_split=split)]
    found: dict[str, ml_collections.ConfigDict] = {}
    for part in parts:
        if not part.evaluate_split:
            continue
        own = ml_collections.ConfigDict(part.config.to_dict())
        own.split = part.evaluate_split
        name = pathlib.Path(own.directory).name if found else ""
        if name in found:
            name = f"{name}_{len(found) + 1}"
        found[name] = own.lock()
    return found
