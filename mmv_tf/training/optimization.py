# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Learning rate schedule and optimizer."""

from __future__ import annotations

import keras
import ml_collections

from mmv_tf.training.lars import LARS
from mmv_tf.training.one_pass_adam import OnePassAdam

OPTIMIZERS = ("adam", "adamw", "lars")


def default_config() -> ml_collections.ConfigDict:
    """Settings; the comments say where the defaults come from."""
    return ml_collections.ConfigDict(
        {
            # PAPER section 3: Adam, 0.002, 5,000 steps of warm-up, half a cosine period.
            # Weight decay makes "adam" AdamW; "adamw" is another name of the same.
            "name": "adam",
            "learning_rate": 2e-3,
            "warmup_steps": 5_000,
            # The rest was not published: Keras' Adam, no decay, no clipping.
            "weight_decay": 0.0,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": 1e-7,
            "clip_norm": 0.0,
            # LARS only; its paper's.
            "momentum": 0.9,
            "trust": 1e-3,
        }
    )


def make_schedule(
    config: ml_collections.ConfigDict, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up from 0 to `learning_rate`, then half a cosine down to 0 at `steps`."""
    warmup = min(config.warmup_steps, steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=steps - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def make_optimizer(config: ml_collections.ConfigDict, steps: int) -> keras.optimizers.Optimizer:
    """Adam, AdamW or LARS; weight decay leaves out biases and batch norm.

    Clipping is not the optimizer's: it would clip each replica's gradient before they are added up.

    Args:
      config: see `default_config`.
      steps: where the learning rate ends.

    Raises:
      ValueError: for another name.
    """
    if config.name not in OPTIMIZERS:
        raise ValueError(f"optimizer.name is {config.name!r}; use one of {OPTIMIZERS}.")
    schedule = make_schedule(config, steps)
    if config.name == "lars":
        return LARS(schedule, config.momentum, config.weight_decay, config.trust)
    settings = {
        "beta_1": config.beta_1,
        "beta_2": config.beta_2,
        "epsilon": config.epsilon,
    }
    optimizer = OnePassAdam(schedule, weight_decay=config.weight_decay or None, **settings)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
