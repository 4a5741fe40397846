# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The losses against a naive NumPy oracle written from MMV (Alayrac et al., 2020)."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import losses
from mmv_tf.losses import contrastive
from tests.losses.naive import naive_mil_nce


def vectors(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_mil_nce_equals_the_oracle(candidates, temperature):
    video, text = vectors(0, 6, 8), vectors(1, 6, candidates, 8)
    found = losses.mil_nce(video, text, temperature).numpy()
    np.testing.assert_allclose(found, naive_mil_nce(video, text, temperature), rtol=1e-5)


def test_nce_is_mil_nce_with_one_candidate():
    a, b = vectors(2, 5, 8), vectors(3, 5, 8)
    np.testing.assert_allclose(
        losses.nce(a, b).numpy(), naive_mil_nce(a, b[:, None], 0.07), rtol=1e-5
    )


def test_masks_equal_the_oracle_and_masked_values_do_not_matter():
    video, text = vectors(4, 7, 8), vectors(5, 7, 3, 8)
    valid = np.array([1, 1, 0, 1, 1, 1, 0], bool)
    candidate_valid = np.random.default_rng(6).random((7, 3)) < 0.6
    candidate_valid[3] = False  # a row without any narration
    expected = naive_mil_nce(video, text, 0.07, valid, candidate_valid)
    arguments = dict(valid=valid, candidate_valid=candidate_valid)
    np.testing.assert_allclose(losses.mil_nce(video, text, **arguments), expected, rtol=1e-5)
    video[~valid] = 100.0
    text[~candidate_valid] = -50.0
    np.testing.assert_allclose(losses.mil_nce(video, text, **arguments), expected, rtol=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("chunk_rows", [0, 3])
def test_textless_negatives_equal_the_oracle(symmetric, chunk_rows):
    video, text = vectors(30, 8, 8), vectors(31, 8, 3, 8)
    arguments = dict(
        valid=np.array([1, 1, 0, 1, 1, 1, 1, 1], bool),
        candidate_valid=np.random.default_rng(32).random((8, 3)) < 0.6,
        symmetric=symmetric,
    )
    arguments["candidate_valid"][[3, 4]] = False
    plain = naive_mil_nce(video, text, **arguments)
    arguments["textless_negatives"] = True
    expected = naive_mil_nce(video, text, **arguments)
    assert expected > plain + 0.01
    found = losses.mil_nce(video, text, chunk_rows=chunk_rows, **arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    variable = tf.Variable(video)
    with tf.GradientTape() as tape:
        loss = losses.mil_nce(variable, text, chunk_rows=chunk_rows, **arguments)
    reached = np.any(tape.gradient(loss, variable).numpy(), axis=-1)
    assert reached.tolist() == [True, True, False, *[True] * 5], "all but the video that is not"


def test_textless_negatives_change_nothing_where_all_have_text():
    video, text = vectors(33, 6, 8), vectors(34, 6, 2, 8)
    plain, other = (losses.mil_nce(video, text, textless_negatives=on) for on in (False, True))
    assert float(plain) == float(other)


def test_no_gradient_reaches_masked_rows():
    video, text = tf.Variable(vectors(7, 4, 8)), tf.Variable(vectors(8, 4, 2, 8))
    valid = tf.constant([True, False, True, True])
    with tf.GradientTape() as tape:
        loss = losses.mil_nce(video, text, valid=valid)
    video_gradient, text_gradient = tape.gradient(loss, [video, text])
    assert not np.any(video_gradient.numpy()[1])
    assert not np.any(text_gradient.numpy()[1])
    assert np.all(np.any(video_gradient.numpy()[[0, 2, 3]], axis=-1))


def test_a_batch_without_valid_rows_costs_nothing_and_has_a_finite_gradient():
    video = tf.Variable(vectors(9, 3, 8))
    with tf.GradientTape() as tape:
        loss = losses.nce(video, tf.constant(vectors(10, 3, 8)), valid=tf.zeros([3], tf.bool))
    assert float(loss) == 0.0
    assert not np.any(tape.gradient(loss, video).numpy())


def test_the_floor_is_log_2():
    eye = np.eye(8, dtype=np.float32)
    np.testing.assert_allclose(losses.nce(eye, eye, temperature=0.05).numpy(), np.log(2), atol=1e-5)


def test_shares_of_replicas_add_up_to_the_whole():
    """Local queries against gathered keys: two halves give the whole batch's loss."""
    video, text = vectors(11, 8, 16), vectors(12, 8, 2, 16)
    candidate_valid = np.random.default_rng(13).random((8, 2)) < 0.7
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (video, text)]
    usable = candidate_valid.any(axis=1)
    masks = [usable.astype(np.float32), (candidate_valid & usable[:, None]).astype(np.float32)]
    shares = []
    for half in (slice(0, 4), slice(4, 8)):
        whole = iter([*unit, *masks])  # in the order in which the loss gathers
        shares.append(
            losses.mil_nce(
                video[half],
                text[half],
                candidate_valid=candidate_valid[half],
                gather=lambda tensor, whole=whole: tf.constant(next(whole)),
            ).numpy()
        )
    expected = naive_mil_nce(video, text, 0.07, candidate_valid=candidate_valid)
    np.testing.assert_allclose(sum(shares), expected, rtol=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("chunk_rows", [0, 1, 4, 100])
def test_forms_and_chunks_equal_the_oracle(symmetric, chunk_rows):
    video, text = vectors(14, 7, 8), vectors(15, 7, 3, 8)
    arguments = dict(
        valid=np.array([1, 1, 0, 1, 1, 1, 0], bool),
        candidate_valid=np.random.default_rng(16).random((7, 3)) < 0.6,
        symmetric=symmetric,
    )
    expected = naive_mil_nce(video, text, **arguments)
    found = losses.mil_nce(video, text, chunk_rows=chunk_rows, **arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("traced", [False, True])
def test_gradients_in_chunks_equal_those_of_all_at_once(symmetric, traced):
    video, text = tf.constant(vectors(17, 7, 8)), tf.constant(vectors(18, 7, 3, 8))
    candidate_valid = np.random.default_rng(19).random((7, 3)) < 0.6

    def gradients(chunk_rows):
        with tf.GradientTape() as tape:
            tape.watch([video, text])
            loss = losses.mil_nce(
                video,
                text,
                candidate_valid=candidate_valid,
                symmetric=symmetric,
                chunk_rows=chunk_rows,
            )
        return tape.gradient(loss, [video, text])

    run = tf.function(gradients) if traced else gradients
    for whole, chunked in zip(gradients(0), run(3), strict=True):
        np.testing.assert_allclose(whole, chunked, rtol=1e-4, atol=1e-7)


def test_the_gradient_is_that_of_the_oracle():
    """Central differences of the float64 oracle, with masks and several candidates."""
    video, text = vectors(20, 4, 5), vectors(21, 4, 2, 5)
    masks = dict(
        valid=np.array([1, 0, 1, 1], bool),
        candidate_valid=np.array([[1, 1], [1, 1], [1, 0], [0, 1]], bool),
        temperature=0.5,
    )
    variable = tf.Variable(video)
    with tf.GradientTape() as tape:
        loss = losses.mil_nce(variable, text, chunk_rows=2, **masks)
    expected = np.zeros(video.shape)
    for index in np.ndindex(*video.shape):
        step = np.zeros(video.shape)
        step[index] = 1e-4
        up, down = (naive_mil_nce(video + side * step, text, **masks) for side in (1, -1))
        expected[index] = (up - down) / 2e-4
    np.testing.assert_allclose(tape.gradient(loss, variable), expected, rtol=1e-3, atol=1e-6)


def test_the_symmetric_floor_is_zero():
    eye = np.eye(8, dtype=np.float32)
    np.testing.assert_allclose(losses.nce(eye, eye, 0.05, symmetric=True), 0.0, atol=1e-5)


# Neighbors that float32 and float64 can't tell apart.
TWICE = np.array([2**62 + n for n in range(4)] * 2)


def clips_twice():
    """Two crops of each of four clips; some lack a narration, or the video."""
    rng = np.random.default_rng(40)
    video = np.concatenate([vectors(41, 4, 8)] * 2)
    text = video[:, None] + vectors(42, 8, 3, 8)  # a clip's narrations are like its twin's
    video += 0.1 * vectors(43, 8, 8)
    masks = dict(
        valid=np.array([1, 1, 1, 1, 1, 1, 0, 1], bool), candidate_valid=rng.random((8, 3)) < 0.7
    )
    masks["candidate_valid"][[0, 5]] = False
    return video, text, masks


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("chunk_rows", [0, 1, 3, 100])
@pytest.mark.parametrize("textless_negatives", [False, True])
def test_twins_are_no_negatives_as_in_the_oracle(symmetric, chunk_rows, textless_negatives):
    video, text, masks = clips_twice()
    arguments = dict(symmetric=symmetric, textless_negatives=textless_negatives, **masks)
    expected = naive_mil_nce(video, text, ids=TWICE, **arguments)
    assert expected < naive_mil_nce(video, text, **arguments) - 0.1
    found = losses.mil_nce(video, text, ids=TWICE, chunk_rows=chunk_rows, **arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
def test_twins_of_nce(symmetric):
    video, text, _ = clips_twice()
    ids = [7, 7, 7, 1, 2, 3, 1, 9]  # as a list, and one clip three times
    found = losses.nce(video, text[:, 0], ids=ids, symmetric=symmetric)
    expected = naive_mil_nce(video, text[:, :1], ids=ids, symmetric=symmetric)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_batch_of_one_clip_is_at_the_floor():
    same = np.full(6, 3)
    found = losses.nce(vectors(43, 6, 8), vectors(44, 6, 8), ids=same)
    np.testing.assert_allclose(found, np.log(2), rtol=1e-6)


@pytest.mark.parametrize("chunk_rows", [0, 3])
def test_the_gradient_with_twins_is_that_of_the_oracle(chunk_rows):
    video, text, masks = clips_twice()
    arguments = dict(temperature=0.5, ids=TWICE, textless_negatives=True, **masks)

    @tf.function
    def gradients(video, text):
        with tf.GradientTape() as tape:
            tape.watch([video, text])
            loss = losses.mil_nce(video, text, chunk_rows=chunk_rows, **arguments)
        return tape.gradient(loss, [video, text])

    found = gradients(tf.constant(video), tf.constant(text))
    for at, values in enumerate((video, text)):
        expected = np.zeros(values.shape)
        for index in np.ndindex(*values.shape):
            step = np.zeros(values.shape)
            step[index] = 1e-4
            sides = []
            for side in (1, -1):
                pair = [video, text]
                pair[at] = values + side * step
                sides.append(naive_mil_nce(*pair, **arguments))
            expected[index] = (sides[0] - sides[1]) / 2e-4
        np.testing.assert_allclose(found[at], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("chunk_rows", [0, 3])
def test_ids_change_no_bit_where_no_clip_is_there_twice(symmetric, chunk_rows):
    video, text, masks = clips_twice()

    @tf.function
    def step(video, text, ids=None):
        with tf.GradientTape() as tape:
            tape.watch([video, text])
            loss = losses.mil_nce(
                video, text, ids=ids, symmetric=symmetric, chunk_rows=chunk_rows, **masks
            )
        return loss, *tape.gradient(loss, [video, text])

    values = tf.constant(video), tf.constant(text)
    for plain, other in zip(step(*values), step(*values, tf.range(8)), strict=True):
        np.testing.assert_array_equal(plain, other)


_REPLICAS = """
import json, sys
import numpy as np, tensorflow as tf
from mmv_tf import losses

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    processor, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
given = np.load(sys.argv[1])
names = ("video", "text", "valid", "candidate_valid", "ids")
halves = {
    name: strategy.experimental_distribute_values_from_function(
        lambda context, name=name: tf.constant(
            np.split(given[name], 2)[context.replica_id_in_sync_group]
        )
    )
    for name in names
}

def share(video, text, valid, candidate_valid, ids, chunk_rows):
    context = tf.distribute.get_replica_context()
    with tf.GradientTape() as tape:
        tape.watch(video)
        loss = losses.mil_nce(
            video, text, valid=valid, candidate_valid=candidate_valid, ids=ids,
            chunk_rows=chunk_rows, gather=lambda x: context.all_gather(x, axis=0),
        )
    return loss, tape.gradient(loss, video)

found = []
for chunk_rows in (0, 3):
    step = tf.function(
        lambda: strategy.run(share, args=(*halves.values(), chunk_rows)), autograph=False
    )
    loss, gradient = step()
    local = strategy.experimental_local_results
    found.append([
        float(sum(local(loss))), np.concatenate([g.numpy() for g in local(gradient)]).tolist()
    ])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_twins_on_other_replicas_are_no_negatives(tmp_path):
    """Each clip is on both replicas, and one of them twice on one."""
    video, text, masks = clips_twice()
    ids = TWICE.copy()
    ids[1] = ids[0]
    np.savez(tmp_path / "batch.npz", video=video, text=text, ids=ids, **masks)
    done = subprocess.run(
        [sys.executable, "-c", _REPLICAS, str(tmp_path / "batch.npz")],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    expected = naive_mil_nce(video, text, ids=ids, **masks)
    variable = tf.Variable(video)
    with tf.GradientTape() as tape:
        loss = losses.mil_nce(variable, text, ids=ids, **masks)
    gradient = tape.gradient(loss, variable)
    for found_loss, found_gradient in json.loads(done.stdout.splitlines()[-1]):
        np.testing.assert_allclose(found_loss, expected, rtol=1e-5)
        np.testing.assert_allclose(found_gradient, gradient, rtol=1e-4, atol=1e-6)


def test_ids_are_gathered_exactly():
    ids = np.array([0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 0x7FFF_8000_FFFF_0001])
    found = contrastive._gather_exactly(tf.constant(ids), lambda x: tf.cast(x, tf.float32))
    np.testing.assert_array_equal(found, ids)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b"], "ids are string; expected integers; hash"),
        ([0.0, 1.0], "ids are float32; expected integers"),
        ([1, 2, 3], r"Expected ids of shape \[2\], one per row; got \(3,\)"),
    ],
)
def test_ids_that_do_not_fit_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        losses.nce(vectors(0, 2, 8), vectors(1, 2, 8), ids=ids)


_BIG = """
import sys
import tensorflow as tf
from mmv_tf import losses
from benchmarks import process_memory
video = tf.random.stateless_normal([16384, 256], [0, 0])
text = tf.random.stateless_normal([16384, 5, 256], [0, 1])
ids = tf.range(16384) // 2 if sys.argv[1] == "twins" else None
@tf.function
def step(video, text):
    with tf.GradientTape() as tape:
        tape.watch([video, text])
        loss = losses.mil_nce(video, text, chunk_rows=128, ids=ids)
    return loss, *tape.gradient(loss, [video, text])
loss, *gradients = step(video, text)
assert all(bool(tf.reduce_all(tf.math.is_finite(gradient))) for gradient in gradients)
print(float(loss), process_memory.mebibytes("VmHWM"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("ids", ["none", "twins"])
def test_a_global_batch_of_16384_takes_less_than_2_gib(ids):
    done = subprocess.run(
        [sys.executable, "-c", _BIG, ids], check=True, capture_output=True, text=True, timeout=1200
    )
    loss, peak = map(float, done.stdout.split())
    # Random vectors: a little over the loss if nothing were told apart.
    assert np.log(2 * 16384) < loss < np.log(2 * 16384) + 0.5
    assert peak < 2 * 1024, f"{peak:.0f} MiB"


@pytest.mark.parametrize(
    ("video", "text", "temperature"),
    [
        (vectors(0, 2, 8), vectors(0, 2, 8), 0.07),
        (vectors(0, 2, 8), vectors(0, 2, 1, 9), 0.07),
        (vectors(0, 2, 8), vectors(0, 2, 1, 8), 0.0),
    ],
)
def test_what_does_not_fit_is_refused(video, text, temperature):
    with pytest.raises(ValueError, match=r"Expected video|temperature"):
        losses.mil_nce(video, text, temperature)
