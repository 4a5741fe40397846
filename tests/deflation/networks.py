# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Networks and images that the tests of deflation share."""

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.layers import TemporalShift, conv3d_unit
from mmv_tf.pretrained import create_model
from tests import small_world

VIDEOS = {
    "s3d": {"backbone": "s3d", "width": 0.0625, "blocks": (1, 2, 1)},
    "s3d_space_to_depth": {"backbone": "s3d", "width": 0.0625, "stem": "space_to_depth"},
    "s3d_mil_nce": {
        "backbone": "s3d",
        "width": 0.0625,
        "blocks": (1, 1, 1),
        "stem": "rgb_4x8x8",
        "pool_padding": "zeros_after",
    },
    "tsm": {"backbone": "tsm_resnet", "depth": 50, "width": 0.125},
    "tsm_18": {"backbone": "tsm_resnet", "depth": 18, "width": 0.25},
    "tsm_x2": {"backbone": "tsm_resnet", "depth": 50, "width": 0.25},
}


def network(name):
    """A network whose batch norms are as different from new ones as trained ones are."""
    keras.utils.set_random_seed(1)
    config = small_world.model_config()
    config.video = VIDEOS[name]
    return stir(create_model(config))


def stir(model):
    """Gives batch norms' weights random values."""
    generator = np.random.default_rng(2)
    for variable in model.variables:
        draw = {
            "gamma": lambda shape: generator.uniform(0.5, 1.5, shape),
            "beta": lambda shape: generator.normal(0, 0.3, shape),
            "moving_mean": lambda shape: generator.normal(0, 0.3, shape),
            "moving_variance": lambda shape: generator.uniform(0.5, 2.0, shape),
            "bias": lambda shape: generator.normal(0, 0.3, shape),
        }.get(variable.name)
        if draw is not None:
            variable.assign(draw(variable.shape))
    return model


def images(count, seed=0, size=32):
    small = np.random.default_rng(seed).random((count, 6, 6, 3)).astype(np.float32)
    return tf.image.resize(small, [size, size]).numpy().clip(0, 1)


def make_time_cyclic(monkeypatch):
    """Makes convolutions over time and the shift cyclic, so that all frames stay alike."""
    original = tf.nn.convolution

    def convolve(inputs, kernel, strides, training=False):
        time = kernel.shape[0]
        # A clip of equal frames padded with more of them; the rest of the padding is SAME's.
        padded = tf.concat([inputs[:, :1]] * time + [inputs] + [inputs[:, -1:]] * time, axis=1)
        outputs = original(padded, kernel, strides=strides, padding="SAME")
        frames = -(-inputs.shape[1] // strides[0])
        middle = outputs.shape[1] // 2
        return tf.repeat(outputs[:, middle : middle + 1], frames, axis=1)

    def conv3d_call(layer, inputs):
        outputs = convolve(inputs, tf.convert_to_tensor(layer.kernel), layer.strides)
        if layer.use_bias:
            outputs = outputs + layer.bias
        return layer.activation(outputs)

    def shift_call(layer, inputs, num_frames):
        channels = inputs.shape[-1]
        n = int(channels * layer.fraction)
        return tf.concat([inputs[..., channels - n :], inputs[..., n:-n], inputs[..., :n]], -1)

    monkeypatch.setattr(keras.layers.Conv3D, "call", conv3d_call)
    monkeypatch.setattr(conv3d_unit, "convolve", convolve)  # what our unit calls in its place
    monkeypatch.setattr(TemporalShift, "call", shift_call)


def foreign(padding="same"):
    """Somebody's functional Conv3D network: a separable pair, residual, squeeze-and-excite."""
    layers = keras.layers
    keras.utils.set_random_seed(3)
    clip = keras.Input((8, 24, 24, 3))
    x = layers.Rescaling(2.0, offset=-1.0)(clip)
    x = layers.Conv3D(8, (3, 5, 5), strides=(1, 2, 2), padding=padding, name="stem")(x)
    x = layers.BatchNormalization(axis=4, name="stem_norm")(x)
    x = layers.ReLU()(x)
    x = layers.MaxPooling3D((1, 2, 2))(x)
    y = layers.Conv3D(8, (1, 3, 3), padding="same", use_bias=True, name="space")(x)
    y = layers.Conv3D(8, (3, 1, 1), padding=padding, name="time")(y)
    y = layers.BatchNormalization(name="norm")(y)
    y = keras.ops.relu(y)
    if padding == "same":
        y = y + x
    gate = layers.GlobalAveragePooling3D()(y)
    gate = layers.Reshape((1, 1, 1, 8))(gate)
    gate = layers.Dense(8, activation="sigmoid")(gate)
    y = layers.Multiply()([y, gate])
    y = layers.TimeDistributed(layers.Conv2D(6, 3, activation="relu"))(y)
    y = layers.Concatenate(axis=4)([y, layers.Activation("tanh")(y)])
    y = layers.Dropout(0.5)(y)
    y = keras.ops.mean(y, axis=(1, 2, 3))
    return stir(keras.Model(clip, layers.Dense(5)(y)))
