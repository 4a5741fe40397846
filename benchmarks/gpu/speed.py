# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips per second, forward and in training steps, by batch size, precision and compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from benchmarks.gpu.parity import train_step
from benchmarks.gpu.work import (
    NETWORKS,
    Clock,
    Row,
    Sizes,
    batch_of,
    clips_of,
    make,
    seconds_a_call,
    until_full,
)

_POLICIES = ("mixed_bfloat16", "float32")  # the usual choice first, in case time is short

# Runs one call at a batch size; traced once for all sizes, since tracing takes longer than a call.
_AtBatch = Callable[[int], tf.Tensor]


def by_batch(sizes: Sizes, clock: Clock) -> Iterator[Row]:
    """Yield every kind of call at each batch size, until memory is full."""
    for kind in ("FAC step", "forward", "FAC forward", "step"):
        for policy in _POLICIES:
            for name in NETWORKS:
                yield from _rows(kind, name, policy, False, sizes, clock)


def by_xla(sizes: Sizes, clock: Clock) -> Iterator[Row]:
    """Yield forward passes and training steps at one batch size, compiled with XLA."""
    for kind in ("forward", "FAC step"):
        for name in NETWORKS:
            yield from _rows(kind, name, _POLICIES[0], True, sizes, clock)


def _rows(
    kind: str, name: str, policy: str, xla: bool, sizes: Sizes, clock: Clock
) -> Iterator[Row]:
    calls: list[_AtBatch] = []

    def measure(batch: int) -> Row:
        if not calls:
            calls.append(_KINDS[kind](name, sizes, policy, xla))
        seconds = seconds_a_call(lambda: calls[0](batch), sizes.calls)
        return {"clips_a_second": batch / seconds, "milliseconds": 1000 * seconds}

    what = {"part": "speed", "call": kind, "network": name, "precision": policy}
    what["compiler"] = "XLA" if xla else "none"
    batches = (sizes.common_batch,) if xla else sizes.batches
    yield from until_full(
        clock.measured({**what, "batch": batch}, lambda batch=batch: measure(batch))  # type: ignore[misc]
        for batch in batches
    )


def _traced(run: Callable[..., tf.Tensor], example: Any, xla: bool) -> Callable[..., tf.Tensor]:
    """Return a function for any batch size, or for the example's batch size with XLA."""
    if xla:
        return tf.function(run, autograph=False, jit_compile=True)
    any_batch = tf.nest.map_structure(
        lambda value: tf.TensorSpec([None, *value.shape[1:]], value.dtype), example
    )
    return tf.function(run, autograph=False, input_signature=[any_batch])


def _forward(name: str, sizes: Sizes, policy: str, xla: bool) -> _AtBatch:
    model = make(name, sizes, policy)
    run = _traced(lambda x: model.video(x, training=False), clips_of(sizes, 1), xla)
    return lambda batch: run(clips_of(sizes, batch))


def _fac_forward(name: str, sizes: Sizes, policy: str, xla: bool) -> _AtBatch:
    model = make(name, sizes, policy)

    def inputs(batch: int) -> dict[str, tf.Tensor]:
        whole = batch_of(sizes, batch)
        return {"video": whole["video"], "audio": whole["audio"], "text": whole["text"][:, 0]}

    run = _traced(lambda x: model(x, training=False)["video"]["vat"], inputs(1), xla)
    return lambda batch: run(inputs(batch))


def _backbone_step(name: str, sizes: Sizes, policy: str, xla: bool) -> _AtBatch:
    backbone = make(name, sizes, policy).video
    optimizer = keras.optimizers.SGD(1e-3)
    optimizer.build(backbone.trainable_variables)
    weights = [variable.value for variable in backbone.trainable_variables]

    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(backbone(x, training=True), tf.float32)))
        optimizer.apply(tape.gradient(loss, weights), backbone.trainable_variables)
        return loss

    run = _traced(step, clips_of(sizes, 1), xla)
    return lambda batch: run(clips_of(sizes, batch))


def _fac_step(name: str, sizes: Sizes, policy: str, xla: bool) -> _AtBatch:
    step = train_step(make(name, sizes, policy), xla)
    flags = tf.zeros([1])
    run = step if xla else _traced(lambda x: step(x, flags), batch_of(sizes, 1), False)
    return lambda batch: run(batch_of(sizes, batch), *([flags] if xla else []))


_KINDS: dict[str, Callable[[str, Sizes, str, bool], _AtBatch]] = {
    "FAC step": _fac_step,
    "forward": _forward,
    "step": _backbone_step,
    "FAC forward": _fac_forward,
}
