# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflation is exact where time's borders play no part, for our networks and for others'."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import deflation
from mmv_tf.backbones import TSMResNet
from mmv_tf.deflation.measures import static_clips
from mmv_tf.layers import BatchNorm
from mmv_tf.pretrained import create_model
from tests import small_world
from tests.deflation.networks import VIDEOS, foreign, images, make_time_cyclic, network, stir

# One network for each kind of backbone; the others are slow.
QUICK = ("s3d", "tsm_18")


def assert_near(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in VIDEOS],
)
def test_exact_when_padding_in_time_plays_no_part(name, monkeypatch):
    model = network(name)
    image_model = deflation.deflate_naively(model)
    make_time_cyclic(monkeypatch)
    # 45 is odd: a space-to-depth stem then has a row and a column more to make.
    for batch in (images(3), images(1, size=45)):
        expected = model({"video": static_clips(tf.constant(batch), 8)})["video"]
        found = image_model(batch)
        assert set(found) == set(expected) == {"before_head", "va", "vat"}
        for key in expected:
            assert_near(found[key], expected[key])


def test_nothing_of_time_is_left():
    for name in ("s3d_space_to_depth", "tsm_18"):
        kinds = {
            type(layer).__name__
            for layer in deflation.deflate_naively(network(name)).network.layers
        }
        assert kinds <= {
            *("InputLayer", "Conv2D", "BatchNorm", "ReLU", "MaxPooling2D", "Concatenate", "Add"),
            *("GlobalAveragePooling2D", "Multiply", "Dense", "EvenSize"),
        }


def test_a_bare_backbone():
    backbone = TSMResNet(18, width=0.25)
    backbone.build()
    image_model = deflation.deflate_naively(backbone)
    assert image_model(images(2)).shape == (2, backbone.feature_dim)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_somebody_elses_functional_network(padding, monkeypatch):
    model = foreign(padding)
    image_model = deflation.deflate_naively(model)
    batch = images(2, size=24)
    # Nothing but SAME padding in time makes frames of a static clip differ.
    if padding == "same":
        make_time_cyclic(monkeypatch)
    assert_near(image_model(batch), model(static_clips(tf.constant(batch), 8)))
    # The temporal convolution is in the spatial one's kernel.
    convolutions = [x for x in image_model.network.layers if isinstance(x, keras.layers.Conv2D)]
    assert [tuple(x.kernel_size) for x in convolutions][:2] == [(5, 5), (3, 3)]


def test_a_batch_norm_with_an_activation_keeps_it():
    clip = keras.Input((4, 16, 16, 3))
    x = keras.layers.Conv3D(6, 3, padding="valid")(clip)
    x = keras.layers.GlobalAveragePooling3D()(BatchNorm(activation="relu")(x))
    model = stir(keras.Model(clip, x))
    image_model = deflation.deflate_naively(model)
    batch = images(2, size=16)
    assert_near(image_model(batch), model(static_clips(tf.constant(batch), 4)))
    assert_near(image_model.folded()(batch), image_model(batch))


def test_a_sequential_network_within_another():
    layers = keras.layers
    inner = keras.Sequential([layers.Conv3D(4, 3, padding="valid"), layers.ReLU()])
    model = keras.Sequential(
        [keras.Input((6, 16, 16, 3)), inner, layers.GlobalMaxPooling3D(), layers.Dense(2)]
    )
    batch = images(2, size=16)
    assert_near(deflation.deflate_naively(model)(batch), model(static_clips(tf.constant(batch), 6)))


def test_with_the_clips_ends_one_layers_mean_over_time_is_right():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((5, 16, 16, 3)),
            layers.Conv3D(4, (3, 3, 3), strides=(2, 1, 1), padding="same"),
            layers.GlobalAveragePooling3D(),
        ]
    )
    batch = images(2, size=16)
    expected = model(static_clips(tf.constant(batch), 5))
    assert_near(deflation.deflate_naively(model, num_frames=5)(batch), expected)
    assert np.abs(deflation.deflate_naively(model)(batch) - expected).max() > 1e-3


@pytest.mark.slow
def test_clip_ends_bring_our_networks_nearer():
    for name in ("s3d_space_to_depth", "tsm_18"):
        model, batch = network(name), images(8)
        clips = static_clips(tf.constant(batch), 8)
        expected = model({"video": clips})["video"]["before_head"].numpy()
        gaps = [
            deflation.agreement(encoder.features(batch).numpy(), expected)["l1"]
            for encoder in (
                deflation.deflate_naively(model),
                deflation.deflate_naively(model, num_frames=8),
            )
        ]
        assert gaps[1] < gaps[0]


class Difference(keras.layers.Layer):
    """A layer that no rule is known for."""

    def call(self, inputs):
        return inputs[:, 1:] - inputs[:, :-1]


def clip_network(*layers):
    x = clip = keras.Input((4, 16, 16, 3))
    for layer in layers:
        x = layer(x)
    return keras.Model(clip, x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: clip_network(Difference(name="motion")),
            r"Can't deflate motion \(Difference\): no rule",
        ),
        (
            lambda: clip_network(keras.layers.Conv3D(2, 3), keras.layers.Flatten(name="lines")),
            r"lines \(Flatten\): it flattens all frames",
        ),
        (
            lambda: clip_network(
                keras.layers.ConvLSTM2D(2, 3, return_sequences=True, name="memory")
            ),
            r"memory \(ConvLSTM2D\)",
        ),
        (
            lambda: clip_network(lambda x: keras.layers.Concatenate(axis=1, name="longer")([x, x])),
            r"longer \(Concatenate\): it joins tensors along time",
        ),
        (lambda: clip_network(keras.layers.ReLU()), "nothing to deflate"),
        (lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)]), "clip"),
        (lambda: "network", "expected a Keras network"),
    ],
)
def test_what_can_not_be_deflated_is_named(make, message):
    with pytest.raises(deflation.DeflationError, match=message):
        deflation.deflate_naively(make())


@pytest.mark.slow
def test_networks_without_time_or_deflated_already():
    config = small_world.model_config()
    config.video = {"backbone": "tsm_resnet", "depth": 18, "width": 0.0625, "shift_fraction": 0.0}
    with pytest.raises(deflation.DeflationError, match="nothing to deflate"):
        deflation.deflate_naively(create_model(config))
    image_model = deflation.deflate_naively(network("tsm_18"))
    with pytest.raises(deflation.DeflationError, match="already deflated"):
        deflation.deflate_naively(image_model)
