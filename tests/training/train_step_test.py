# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import training
from mmv_tf.losses import PAIRS, Objective
from mmv_tf.training.forward import embed_batch
from mmv_tf.training.train_step import TrainStep
from tests.losses.naive import naive_mil_nce
from tests.training import linear_world


def make_step(model=None, clip_norm=0.0, weights=None, optimizer=None, **changes):
    keras.utils.set_random_seed(0)
    model = model or linear_world.LinearGraph()
    strategy = training.make_strategy("one_device")
    settings = linear_world.settings(**changes)
    objective = Objective(weights or {"va": 1.0, "vt": 2.0})
    with strategy.scope():
        optimizer = optimizer or keras.optimizers.SGD(1.0)
        optimizer.build(model.trainable_variables)
    return TrainStep(model, objective, strategy, optimizer, settings, clip_norm)


def batch(rows=12, **kwargs):
    values = linear_world.examples(clips=rows, **kwargs)
    del values["example_id"]
    return {name: tf.constant(value) for name, value in values.items()}


def gradient(step, values):
    """What one step of plain gradient descent took off the weights."""
    before = [variable.numpy() for variable in step.model.trainable_variables]
    numbers = dict(zip(step.names, step(values, tf.zeros([2])).numpy(), strict=False))
    after = [variable.numpy() for variable in step.model.trainable_variables]
    return [old - new for old, new in zip(before, after, strict=True)], numbers


@pytest.mark.parametrize("pieces", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_cached_pieces_give_the_gradient_of_the_whole_batch(pieces):
    whole, numbers = gradient(make_step(), batch())
    cached, same = gradient(make_step(gradient_cache=pieces), batch())
    assert same["loss"] == pytest.approx(numbers["loss"], rel=1e-6)
    for one, other in zip(whole, cached, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_cached_pieces_move_the_batch_norms_once_a_piece():
    """Each piece's statistics count once though it is embedded twice."""

    def moved(pieces, values):
        keras.utils.set_random_seed(0)
        step = make_step(linear_world.fine_and_coarse(), gradient_cache=pieces)
        step(values, tf.zeros([2]))
        return [v.numpy() for v in step.model.non_trainable_variables if "mean" in v.name]

    one = batch(6, frames=(2, 2, 2, 3))
    twice = {name: tf.concat([value, value], axis=0) for name, value in one.items()}
    # Two equal pieces: m <- .9 (.9 m + .1 x) + .1 x moves by .19 x instead of .1 x.
    for once, double in zip(moved(1, one), moved(2, twice), strict=True):
        np.testing.assert_allclose(once * 1.9, double, rtol=1e-4, atol=1e-6)


def twice(rows=6):
    """Each clip twice, in two crops and with other narrations."""
    values = batch(2 * rows)
    near = {name: tf.concat([v[:rows], v[:rows]], axis=0) for name, v in values.items()}
    for name in ("video", "audio"):
        near[name] += 0.05 * tf.random.stateless_normal(near[name].shape, [1, 2])
    return near | {"text": values["text"], "ids": tf.tile(tf.range(rows, dtype=tf.int64), [2])}


def oracle(step, values, rows=slice(None)):
    """The loss of NumPy, of pairs' embeddings by the step's network."""
    ids = values["ids"].numpy()[rows] if "ids" in values else None
    embeddings, valid = embed_batch(step.model, step.objective, values, False)
    total = 0.0
    for pair, weight in (("va", 1.0), ("vt", 2.0)):
        other = PAIRS[pair][1]
        text = embeddings[f"{pair}/{other}"].numpy()
        masks = valid[other].numpy()
        if text.ndim == 2:
            text, masks = text[:, None], masks[:, None]
        text = np.where(masks[..., None], text, 1.0)  # they are zeros where there is none
        video = embeddings[f"{pair}/video"].numpy()
        present = valid["video"].numpy()
        total += weight * naive_mil_nce(
            video[rows], text[rows], 0.07, present[rows], masks[rows], ids=ids
        )
    return total


@pytest.mark.parametrize(
    "changes",
    [{}, {"gradient_cache": 3}, pytest.param({"jit_compile": True}, marks=pytest.mark.slow)],
)
def test_twins_are_masked_in_the_whole_batch(changes):
    values = twice()
    step = make_step(**changes)
    expected = oracle(step, values)
    assert expected < oracle(step, {k: v for k, v in values.items() if k != "ids"}) - 0.1
    whole, numbers = gradient(step, values)
    assert numbers["loss"] == pytest.approx(expected, rel=1e-5)
    for one, other in zip(whole, gradient(make_step(), values)[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_accumulated_pieces_mask_their_own_twins():
    """A piece's negatives are its own, and so are its twins."""
    values = twice()
    values["ids"] = tf.repeat(tf.range(6, dtype=tf.int64), 2)
    step = make_step(accumulate=2)
    expected = [oracle(step, values, rows) for rows in (slice(0, 6), slice(6, 12))]
    _, numbers = gradient(step, values)
    assert numbers["loss"] == pytest.approx(np.mean(expected), rel=1e-5)


def test_accumulated_pieces_give_the_mean_of_their_gradients():
    values = batch()
    halves = [{name: v[:6] for name, v in values.items()}, {n: v[6:] for n, v in values.items()}]
    parts = [gradient(make_step(), half)[0] for half in halves]
    found, _ = gradient(make_step(accumulate=2), values)
    for first, second, both in zip(*parts, found, strict=True):
        np.testing.assert_allclose((first + second) / 2, both, rtol=1e-4, atol=1e-6)


def test_the_norm_of_the_whole_gradient_is_limited():
    free, numbers = gradient(make_step(), batch())
    norm = np.sqrt(sum((part**2).sum() for part in free))
    assert numbers["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    limited, _ = gradient(make_step(clip_norm=norm / 3), batch())
    for one, other in zip(free, limited, strict=True):
        np.testing.assert_allclose(one / 3, other, rtol=1e-4, atol=1e-6)


def test_averages_follow_the_weights():
    step = make_step(average_decay=0.5)
    expected = [variable.numpy() for variable in step.model.trainable_variables]
    for count in range(3):
        step(batch(), tf.zeros([2]))
        decay = min(0.5, (1 + count) / (10 + count))
        expected = [
            decay * average + (1 - decay) * variable.numpy()
            for average, variable in zip(expected, step.model.trainable_variables, strict=True)
        ]
    for average, value in zip(step.averages.variables, expected, strict=True):
        np.testing.assert_allclose(average, value, rtol=1e-5, atol=1e-6)
    weights = [variable.numpy() for variable in step.model.trainable_variables]
    with step.averages.in_place_of_weights():
        np.testing.assert_allclose(step.model.trainable_variables[0], expected[0], rtol=1e-5)
    np.testing.assert_array_equal(step.model.trainable_variables[0], weights[0])


@pytest.mark.parametrize("cache", [1, 2])
def test_a_step_that_is_not_finite_changes_nothing_but_is_told(cache):
    step = make_step(linear_world.fine_and_coarse(), gradient_cache=cache, nonfinite_limit=3)
    values = batch(6, frames=(2, 2, 2, 3))
    step(values, tf.zeros([2]))
    before = [variable.numpy() for variable in step.model.variables]
    bad = values | {"video": tf.fill(values["video"].shape, np.inf)}
    numbers = dict(zip(step.names, step(bad, tf.zeros([2])).numpy(), strict=False))
    assert numbers["finite"] == 0
    assert not np.isfinite(numbers["gradient_norm"])
    for old, new in zip(before, step.model.variables, strict=True):
        np.testing.assert_array_equal(old, new)
    numbers = dict(zip(step.names, step(values, tf.zeros([2])).numpy(), strict=False))
    assert numbers["finite"] == 1


def test_float16_scales_the_loss_and_halves_the_scale_on_overflow():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = linear_world.LinearGraph()
    finally:
        keras.config.set_dtype_policy("float32")
    step = make_step(model, nonfinite_limit=1)
    plain, numbers = gradient(make_step(), batch())
    step.model.set_weights(make_step().model.get_weights())
    step.loss_scale.scale.assign(8.0)
    scaled, halves = gradient(step, batch())
    assert halves["loss_scale"] == 8.0
    assert halves["loss"] == pytest.approx(numbers["loss"], rel=1e-2)
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.02)
    step.loss_scale.scale.assign(2.0**40)
    kept = step.model.get_weights()
    numbers = dict(zip(step.names, step(batch(), tf.zeros([2])).numpy(), strict=False))
    assert numbers["finite"] == 0
    assert float(step.loss_scale.scale) == 2.0**39
    np.testing.assert_array_equal(kept[0], step.model.get_weights()[0])


@pytest.mark.slow
def test_compiled_by_xla_it_computes_the_same():
    plain, _ = gradient(make_step(), batch())
    compiled, _ = gradient(make_step(jit_compile=True), batch())
    for one, other in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulate": 0}, "must be 1 or more"),
        ({"accumulate": 2, "gradient_cache": 2}, "not both"),
        ({"average_decay": 1.5}, "between 0 and 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_step(**changes)
