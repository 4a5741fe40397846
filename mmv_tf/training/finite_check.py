# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks for losses and gradients that are not finite."""

from __future__ import annotations

import logging
import math

import numpy as np

from mmv_tf.losses import Objective
from mmv_tf.training.forward import Batch

logger = logging.getLogger(__name__)

_NAMED_EXAMPLES = 20


class NotFiniteError(ValueError):
    """A loss or a gradient is infinite or not a number."""


class FiniteCheck:
    """A counter of steps with non-finite values; stops the run after too many in a row.

    Args:
      objective: the training objective.
      limit: number of consecutive such steps after which the run stops.
      scaled: whether the loss is scaled dynamically.
    """

    def __init__(self, objective: Objective, limit: int, scaled: bool):
        self._objective = objective
        self._limit = limit
        self._scaled = scaled
        self._in_a_row = 0
        self._steps = 0
        self._overflows = 0

    def __call__(self, values: dict[str, float], batch: Batch, step: int) -> dict[str, float]:
        """Return a step's values for logging, with the counts.

        Raises:
          NotFiniteError: this step reached the limit.
        """
        finite = values.pop("finite") > 0
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if finite:
            self._in_a_row = 0
        elif wrong == ["gradient_norm"] and values["loss_scale"] > 1:
            # Normal under dynamic loss scaling: the step was skipped and the scale halved.
            self._overflows += 1
        else:
            self._steps += 1
            self._in_a_row += 1
            message = (
                f"Got values that are not finite at step {step}: {', '.join(wrong)}; "
                f"{_suspects(batch, self._objective)}."
            )
            if self._in_a_row >= self._limit:
                raise NotFiniteError(
                    f"{message} Nothing from this step was saved; lower the learning rate or check "
                    "these examples, and restart from the last checkpoint."
                )
            logger.warning("%s The step was skipped.", message)
        if self._scaled:
            values["loss_scale_overflows"] = self._overflows
        else:
            del values["loss_scale"]
        values["nonfinite_steps"] = self._steps
        return values


def _suspects(batch: Batch, objective: Objective) -> str:
    """Return the examples whose input is not finite, or else the whole batch."""
    names = (
        [
            name.decode(errors="replace") if isinstance(name, bytes) else str(name)
            for name in np.asarray(batch["example_id"]).tolist()
        ]
        if "example_id" in batch
        else []
    )
    for modality in objective.modalities:
        values = np.asarray(batch[modality])
        if not np.issubdtype(values.dtype, np.floating):
            continue
        bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if bad.any():
            return f"the {modality} is not finite in examples: {_listed(names, bad)}"
    return f"examples: {_listed(names, np.ones(len(names), bool))}"


def _listed(names: list[str], chosen: np.ndarray) -> str:
    found = [name for name, is_chosen in zip(names, chosen, strict=False) if is_chosen]
    if not found:
        return "not named by this data set"
    more = len(found) - _NAMED_EXAMPLES
    return ", ".join(found[:_NAMED_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
