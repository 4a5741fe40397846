# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflation: exact where time's borders play no part, close after the fit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import deflation
from mmv_tf.deflation.fit import static_clips
from mmv_tf.layers import TemporalShift
from mmv_tf.pretrained import create_model
from tests import small_world

VIDEOS = {
    "s3d": {"backbone": "s3d", "width": 0.0625, "blocks": (1, 2, 1)},
    "s3d_space_to_depth": {"backbone": "s3d", "width": 0.0625, "stem": "space_to_depth"},
    "tsm": {"backbone": "tsm_resnet", "depth": 50, "width": 0.125},
    "tsm_18": {"backbone": "tsm_resnet", "depth": 18, "width": 0.25},
    "tsm_x2": {"backbone": "tsm_resnet", "depth": 50, "width": 0.25},
}


def network(name):
    """A network whose batch norms are as different from new ones as trained ones are."""
    keras.utils.set_random_seed(1)
    config = small_world.model_config()
    config.video = VIDEOS[name]
    model = create_model(config)
    generator = np.random.default_rng(2)
    for variable in model.variables:
        draw = {
            "gamma": lambda shape: generator.uniform(0.5, 1.5, shape),
            "beta": lambda shape: generator.normal(0, 0.3, shape),
            "moving_mean": lambda shape: generator.normal(0, 0.3, shape),
            "moving_variance": lambda shape: generator.uniform(0.5, 2.0, shape),
        }.get(variable.name)
        if draw is not None:
            variable.assign(draw(variable.shape))
    return model


def images(count, seed=0, size=32):
    small = np.random.default_rng(seed).random((count, 6, 6, 3)).astype(np.float32)
    return tf.image.resize(small, [size, size]).numpy().clip(0, 1)


class CyclicTime:
    """Makes convolutions over time and the shift cyclic, so that all frames stay alike."""

    def __init__(self, monkeypatch):
        original = tf.nn.convolution

        def conv3d_call(layer, inputs):
            kernel = tf.convert_to_tensor(layer.kernel)
            time = kernel.shape[0]
            # A clip of equal frames padded with more of them; the rest of the padding is SAME's.
            padded = tf.concat([inputs[:, :1]] * time + [inputs] + [inputs[:, -1:]] * time, axis=1)
            outputs = original(padded, kernel, strides=layer.strides, padding="SAME")
            frames = -(-inputs.shape[1] // layer.strides[0])
            middle = outputs.shape[1] // 2
            return tf.repeat(outputs[:, middle : middle + 1], frames, axis=1)

        def shift_call(layer, inputs, num_frames):
            channels = inputs.shape[-1]
            n = int(channels * layer.fraction)
            return tf.concat([inputs[..., channels - n :], inputs[..., n:-n], inputs[..., :n]], -1)

        monkeypatch.setattr(keras.layers.Conv3D, "call", conv3d_call)
        monkeypatch.setattr(TemporalShift, "call", shift_call)


@pytest.mark.parametrize("name", VIDEOS)
def test_exact_when_padding_in_time_plays_no_part(name, monkeypatch):
    model = network(name)
    image_model = deflation.deflate(model)
    batch = images(3)
    CyclicTime(monkeypatch)
    expected = model({"video": static_clips(tf.constant(batch), 8)})["video"]
    found = image_model(batch)
    assert set(found) == set(expected) == {"before_head", "va", "vat"}
    for key in expected:
        scale = np.abs(expected[key]).max()
        np.testing.assert_allclose(found[key], expected[key], atol=2e-5 * scale, err_msg=key)


@pytest.mark.parametrize(("name", "left"), [("s3d", 0.1), ("tsm_18", 0.8)])
def test_the_fit_closes_the_gap_and_moves_only_gamma_and_beta(name, left):
    model = network(name)
    image_model = deflation.deflate(model)
    before = [variable.numpy() for variable in image_model.variables]
    originals = [variable.numpy() for variable in model.variables]
    report = deflation.fit_deflated(
        model, image_model, images(60), images(20, seed=9), num_frames=8, epochs=15, batch_size=15
    )
    assert report["images"] == 60 and report["held_out"] == 20
    assert report["closed_form"]["l1"] <= report["naive"]["l1"]
    assert report["fitted"]["l1"] < left * report["naive"]["l1"]
    changed = {
        variable.name
        for old, variable in zip(before, image_model.variables, strict=True)
        if not np.array_equal(old, variable.numpy())
    }
    assert changed == {"gamma", "beta"}
    for old, variable in zip(originals, model.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_the_result_is_an_ordinary_keras_model(tmp_path):
    image_model = deflation.deflate(network("s3d"))
    image_model.save(tmp_path / "image.keras")
    loaded = deflation.load_image_model(tmp_path / "image.keras")
    batch = images(2)
    np.testing.assert_array_equal(loaded(batch)["vat"], image_model(batch)["vat"])
    assert loaded(images(1, size=48))["vat"].shape == (1, 8)


def test_agreement_is_that_of_its_definition():
    features = np.array([[1.0, 0.0], [0.0, 2.0]])
    targets = np.array([[1.0, 1.0], [0.0, 1.0]])
    found = deflation.agreement(features, targets)
    assert found["l1"] == pytest.approx(0.5)
    assert found["cosine"] == pytest.approx((1 / np.sqrt(2) + 1) / 2)
    assert found["relative_error"] == pytest.approx(np.sqrt(2) / np.sqrt(3))


def test_what_can_not_be_deflated_or_fitted_says_so():
    model = network("s3d")
    image_model = deflation.deflate(model)
    with pytest.raises(ValueError, match="Can't deflate a ImageEncoder"):
        deflation.deflate(image_model)
    config = small_world.model_config()
    config.video = {"backbone": "tsm_resnet", "width": 0.0625, "shift_fraction": 0.0}
    with pytest.raises(ValueError, match="nothing to deflate"):
        deflation.deflate(create_model(config))
    for wrong in (images(20) * 255, (images(20) * 255).astype(np.uint8), images(20)[0]):
        with pytest.raises(ValueError, match="expected"):
            deflation.fit_deflated(model, image_model, wrong)
    with pytest.raises(ValueError, match="10 or more"):
        deflation.fit_deflated(model, image_model, images(5))
