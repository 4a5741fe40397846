# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips per second, forward and in training steps, by batch size, precision and compiler."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from benchmarks.gpu.parity import train_step
from benchmarks.gpu.report import Row
from benchmarks.gpu.series import Measure, Series
from benchmarks.gpu.work import NETWORKS, Setup, batch_of, clips_of, make, precision, timed

_Call = Callable[[], tf.Tensor]
# Returns a call at a batch size; traced once for all sizes, since tracing takes longer than a call.
_AtBatch = Callable[[int], _Call]


def speed(setup: Setup) -> Iterator[Series]:
    """Yield every kind of call by batch size and precision, the most important first."""
    first, *others = setup.precisions
    for kind, network in itertools.product(("FAC step", "forward"), NETWORKS):
        yield _series(kind, network, first, False, setup)
    for kind, network in setup.xla:
        yield _series(kind, network, first, True, setup)
    for kind, network in itertools.product(("FAC forward", "step"), NETWORKS):
        yield _series(kind, network, first, False, setup)
    for name, kind, network in itertools.product(others, _KINDS, NETWORKS):
        yield _series(kind, network, name, False, setup)


def _series(kind: str, network: str, precision_name: str, xla: bool, setup: Setup) -> Series:
    what = {"part": "speed", "call": kind, "network": network, "precision": precision_name}
    what["compiler"] = "XLA" if xla else "none"
    batches = (setup.common_batch,) if xla else setup.batches
    cases = tuple({**what, "batch": batch} for batch in batches)
    return Series(cases, lambda: _speed(cases[0], setup))


@contextlib.contextmanager
def _speed(first: Row, setup: Setup) -> Iterator[Measure]:
    with precision(first["precision"]) as policy:
        model = make(first["network"], setup, policy)
        at_batch = _KINDS[first["call"]](model, setup, first["compiler"] == "XLA")

        def measure(case: Row) -> Row:
            times = timed(at_batch(case["batch"]), setup.calls)
            return {
                "clips_a_second": case["batch"] / times.seconds,
                "milliseconds": 1000 * times.seconds,
                "first_call_seconds": times.first_seconds,
            }

        yield measure


def _traced(run: Callable[..., tf.Tensor], example: Any, xla: bool) -> Callable[..., tf.Tensor]:
    """Return a function for any batch size, or for the example's batch size with XLA."""
    if xla:
        return tf.function(run, autograph=False, jit_compile=True)
    any_batch = tf.nest.map_structure(
        lambda value: tf.TensorSpec([None, *value.shape[1:]], value.dtype), example
    )
    return tf.function(run, autograph=False, input_signature=[any_batch])


def _at_batch(run: Callable[..., tf.Tensor], inputs: Callable[[int], Any]) -> _AtBatch:
    """Return a function from a batch size to a call, whose inputs lie on the device already."""

    def at_batch(batch: int) -> _Call:
        given = inputs(batch)
        return lambda: run(given)

    return at_batch


def _forward(model: Any, setup: Setup, xla: bool) -> _AtBatch:
    run = _traced(lambda x: model.video(x, training=False), clips_of(setup, 1), xla)
    return _at_batch(run, lambda batch: clips_of(setup, batch))


def _fac_forward(model: Any, setup: Setup, xla: bool) -> _AtBatch:
    def inputs(batch: int) -> dict[str, tf.Tensor]:
        whole = batch_of(setup, batch)
        return {"video": whole["video"], "audio": whole["audio"], "text": whole["text"][:, 0]}

    run = _traced(lambda x: model(x, training=False)["video"]["vat"], inputs(1), xla)
    return _at_batch(run, inputs)


def _backbone_step(model: Any, setup: Setup, xla: bool) -> _AtBatch:
    backbone = model.video
    optimizer = keras.optimizers.SGD(1e-3)
    optimizer.build(backbone.trainable_variables)
    weights = [variable.value for variable in backbone.trainable_variables]

    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(backbone(x, training=True), tf.float32)))
        optimizer.apply(tape.gradient(loss, weights), backbone.trainable_variables)
        return loss

    run = _traced(step, clips_of(setup, 1), xla)
    return _at_batch(run, lambda batch: clips_of(setup, batch))


def _fac_step(model: Any, setup: Setup, xla: bool) -> _AtBatch:
    step = train_step(model, setup.device, xla)
    flags = tf.zeros([1])

    def run(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return step(batch, flags)

    # With XLA, the step compiles its own gradients.
    run = run if xla else _traced(run, batch_of(setup, 1), False)
    return _at_batch(run, lambda batch: batch_of(setup, batch))


_KINDS: dict[str, Callable[[Any, Setup, bool], _AtBatch]] = {
    "FAC step": _fac_step,
    "forward": _forward,
    "step": _backbone_step,
    "FAC forward": _fac_forward,
}
