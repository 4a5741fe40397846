# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Learning rate schedule and optimizer."""

from __future__ import annotations

import keras
import ml_collections


def default_config() -> ml_collections.ConfigDict:
    """Settings; the comments say where the defaults come from."""
    return ml_collections.ConfigDict(
        {
            # PAPER section 3: Adam, 0.002, 5,000 steps of warm-up, half a cosine period.
            "learning_rate": 2e-3,
            "warmup_steps": 5_000,
            # The rest was not published: Keras' Adam, no decay, no clipping.
            "weight_decay": 0.0,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "clip_norm": 0.0,
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
    """Adam, with decoupled weight decay for all but biases and batch norm if asked for.

    Clipping is not the optimizer's: it would clip each replica's gradient before they are added up.
    """
    schedule = make_schedule(config, steps)
    betas = {"beta_1": config.beta_1, "beta_2": config.beta_2}
    if not config.weight_decay:
        return keras.optimizers.Adam(schedule, **betas)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, **betas)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
