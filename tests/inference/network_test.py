# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Batches, traces, precision and fingerprints of networks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import deflation
from mmv_tf.graphs.precision import DTYPES, in_precision
from mmv_tf.inference import Encoder, GraphNetwork, Network, Settings, unit
from mmv_tf.inference.network import pieces
from mmv_tf.layers import WordTokenizer
from mmv_tf.pretrained import create_model
from tests import media_samples, small_world


class Colors(Network):
    """Gives the mean color of clips, and counts its traces and the rows that it is shown."""

    modalities = ("video", "text")
    settings = Settings()
    fingerprint = "0"

    def __init__(self):
        super().__init__()
        self.traces = []
        self.rows = []

    def dims(self, modality):
        return {"va": 3} if modality == "video" else {"vat": 1}

    def compute(self, kind, inputs):
        self.traces.append((kind, inputs.shape))
        tf.py_function(lambda count: self.rows.append(int(count)), [tf.shape(inputs)[0]], [])
        if kind == "text":
            return {"vat": tf.cast(tf.strings.length(inputs), tf.float32)[:, tf.newaxis]}
        return {"va": tf.reduce_mean(inputs, [1, 2, 3])}

    def known(self, sentences):
        return np.ones(len(sentences), bool)

    def description(self):
        return {}


@pytest.mark.parametrize("most", [1, 8, 16, 12])
def test_pieces_are_full_batches_and_then_powers_of_two(most):
    for count in range(60):
        found = list(pieces(count, most))
        rows = [row for piece in found for row in range(piece.start, piece.stop)]
        assert rows == list(range(count))
        sizes = [piece.stop - piece.start for piece in found]
        full = count // most
        assert sizes[:full] == [most] * full
        rest = sizes[full:]
        assert rest == sorted(rest, reverse=True)
        # The binary digits of what is left: each power at most once.
        assert sum(rest) == count - full * most and len(set(rest)) == len(rest)
        assert all(size & (size - 1) == 0 for size in rest)


def test_any_count_gives_what_one_by_one_gives_and_nothing_is_padded():
    network = Colors()
    clips = np.random.default_rng(0).random((20, 2, 4, 4, 3), np.float32)
    for count in range(1, 21):
        network.rows.clear()
        found = network.run("video", clips[:count])["va"]
        np.testing.assert_allclose(found, clips[:count].mean((1, 2, 3)), rtol=1e-5)
        assert sum(network.rows) == count
        assert max(network.rows) <= 16
    assert len(network.traces) == 1
    network.run("video", clips, batch_size=5)
    assert network.rows[-4:] == [5, 5, 5, 5]


@pytest.mark.slow
def test_a_real_network_gives_the_same_for_any_count():
    keras.utils.set_random_seed(0)
    network = GraphNetwork(small_world.tiny_model())
    clips = np.random.default_rng(0).integers(0, 256, (20, 4, 32, 32, 3), np.uint8)
    alone = np.concatenate([network.run("video", clips[i : i + 1])["vat"] for i in range(20)])
    for count in (1, 2, 3, 7, 16, 17, 20):
        found = network.run("video", clips[:count])["vat"]
        np.testing.assert_allclose(found, alone[:count], rtol=1e-4, atol=1e-5)
    # One for all batch sizes.
    (function,) = network._functions.values()
    assert function.experimental_get_tracing_count() == 1


def test_traces_stay_few_however_many_shapes_there_are():
    network = Colors()
    for size in range(4, 16):
        for count in (1, 3):
            clips = np.full([count, 2, size, size, 3], size / 16, np.float32)
            found = network.run("video", clips)["va"]
            np.testing.assert_allclose(found, np.full([count, 3], size / 16), rtol=1e-6)
    # Four sizes with a trace of their own, and one for all others.
    assert len(network.traces) == 5
    assert network.traces[-1][1].as_list() == [None, None, None, None, 3]
    sentences = [chr(97 + row % 26) * (row % 7) for row in range(600)]
    found = network.run("text", sentences)["vat"]
    assert found[:, 0].tolist() == [len(text) for text in sentences]
    assert len(network.traces) == 6
    assert network.rows[-4:] == [256, 64, 16, 8]


def test_pixels_of_8_bits_are_scaled():
    network = Colors()
    pixels = np.full([1, 1, 2, 2, 3], 51, np.uint8)
    np.testing.assert_allclose(network.run("video", pixels)["va"], 0.2, rtol=1e-6)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="video/va is not finite"):
        Colors().run("video", np.full([1, 1, 2, 2, 3], np.inf, np.float32))


# Precision.

OTHERS = ("float32", "bfloat16", "mixed_float16")


def draw_weights(model):
    """Kernels and statistics as wide as training leaves them, so that all layers count."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        normal = random.standard_normal(weight.shape)
        if weight.path.endswith("kernel"):
            weight.assign(normal * np.sqrt(2 / np.prod(weight.shape[:-1])))
        elif weight.path.endswith("moving_mean"):
            weight.assign(0.2 * normal)
        elif weight.path.endswith("moving_variance"):
            weight.assign(0.5 + random.random(weight.shape))


def lowest_cosine(found, wanted):
    return min(float((unit(found[name]) * unit(wanted[name])).sum(-1).min()) for name in wanted)


@pytest.mark.slow
def test_16_bits_are_used_and_stay_near_to_float32(tiny_model, tmp_path):
    draw_weights(tiny_model)
    image_model = deflation.deflate_naively(tiny_model)
    model, other = (in_precision(one, "mixed_bfloat16") for one in (tiny_model, image_model))
    exact, rough = (
        Encoder(GraphNetwork(tiny_model, image_model)),
        Encoder(GraphNetwork(model, other)),
    )
    films = [
        media_samples.write_film(
            tmp_path / f"{n}.mp4", seconds=1.0, frame_rate=10 + 7 * n, tone_start=0.3 * n
        )
        for n in range(2)
    ]
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), np.uint8)
    pictures = pictures.repeat(8, 1).repeat(8, 2)
    for embed in (
        lambda encoder: encoder.embed_video(films),
        lambda encoder: encoder.embed_audio(films),
        lambda encoder: encoder.embed_image(pictures),
        lambda encoder: encoder.embed_text(["a red square", "it falls down"]),
    ):
        found, wanted = embed(rough), embed(exact)
        assert lowest_cosine(found, wanted) >= 0.999
        assert any((found[name] != wanted[name]).any() for name in wanted)
        assert all(value.dtype == np.float32 for value in found.values())
    assert rough.network.known(["the red", "quo vadis"]).tolist() == [True, False]


def small_network(*words):
    config = small_world.model_config()
    del config.audio
    return create_model(config, *words)


def layers_of(owner, kind=keras.layers.Layer):
    """The layers inside of another, in order."""
    found = [layer for layer in owner._flatten_layers() if isinstance(layer, kind)]
    return [layer for layer in found if layer is not owner]


@pytest.mark.parametrize(
    "dtype",
    ["mixed_bfloat16", *(pytest.param(one, marks=pytest.mark.slow) for one in OTHERS)],
)
def test_layers_compute_in_the_precision_that_was_asked_for(dtype):
    network = small_network()
    image_network = deflation.deflate_naively(network)
    policy = keras.DTypePolicy(dtype)
    exact, fast = policy.variable_dtype, policy.compute_dtype
    model, image_model = in_precision(network, dtype), in_precision(image_network, dtype)
    for made, before in ((model, network), (image_model, image_network)):
        for weight, other in zip(made.weights, before.weights, strict=True):
            wanted = tf.cast(other.value, weight.dtype)
            np.testing.assert_array_equal(weight.numpy(), wanted.numpy())
    assert {layer.compute_dtype for layer in layers_of(model.video)} == {exact, fast}
    # Under a mixed policy the first layers, whose rounding counts most, stay in float32, and so do
    # gates and heads, which are small.
    layers = image_model.network.layers[1:]
    convolutions = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert (convolutions[0].compute_dtype, convolutions[-1].compute_dtype) == (exact, fast)
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    assert {layer.compute_dtype for layer in dense} == {exact}
    again = in_precision(model, "float32")
    assert {layer.compute_dtype for layer in layers_of(again)} == {"float32"}


# Fingerprints.


def test_a_fingerprint_stays_through_use(tiny_model):
    network = GraphNetwork(tiny_model)
    before = network.fingerprint
    network.run("video", np.zeros([1, 4, 32, 32, 3], np.uint8))
    tiny_model.log_mel(np.zeros([1, 9000], np.float32))  # this builds the layer
    tiny_model({"audio": np.zeros([1, 9, 80], np.float32)})
    network.known(["red square"])
    assert network.fingerprint == before


@pytest.mark.slow
def test_fingerprints_tell_weights_words_precision_and_deflation_apart():
    vectors = np.random.default_rng(0).normal(size=(len(small_world.WORDS), 6)).astype(np.float32)
    keras.utils.set_random_seed(0)
    model = small_network(small_world.WORDS, vectors)
    image_model = deflation.deflate_naively(model)
    first = GraphNetwork(model).fingerprint
    found = [
        first,
        *(GraphNetwork(in_precision(model, dtype)).fingerprint for dtype in DTYPES[1:3]),
        GraphNetwork(model, image_model).fingerprint,
        GraphNetwork(image_model=image_model).fingerprint,
    ]
    same = in_precision(model, "float32")
    assert GraphNetwork(same).fingerprint == first
    words = [str(word) for word in same.tokenizer.vocabulary]
    same.tokenizer = WordTokenizer([words[1], words[0], *words[2:]], same.tokenizer.max_words)
    found.append(GraphNetwork(same).fingerprint)
    weight = model.video.weights[3]
    value = weight.numpy()
    value.flat[0] = np.nextafter(value.flat[0], np.float32(2))
    weight.assign(value)
    found.append(GraphNetwork(model).fingerprint)
    assert len(set(found)) == len(found)


def test_an_interrupt_inside_tensorflow_stays_one(monkeypatch):
    """As pybind11 reports a signal that arrives while it makes another error."""

    def fail(inputs):
        raise RuntimeError("MISMATCH of types: InvalidArgumentError REPLACED BY KeyboardInterrupt")

    network = Colors()
    monkeypatch.setattr(network, "_function", lambda *arguments: fail)
    with pytest.raises(KeyboardInterrupt):
        network.run("video", np.zeros([1, 1, 2, 2, 3], np.float32))


def shared_work(network, frames, starts, num_frames):
    """Embed windows; return the features, and whether `embed_windows` was called."""
    called = []
    inner = network.model.video.embed_windows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            network.model.video, "embed_windows", lambda *a: called.append(a) or inner(*a)
        )
        found = network.run_windows(frames, starts, num_frames)
    return found, bool(called)


@pytest.mark.parametrize(
    ("starts", "shares"),
    [
        ([0, 4, 8, 12], True),
        ([0, 4, 8, 11], True),  # the last window ends with the film
        ([3, 7, 9, 11], True),
        ([0, 8, 16], False),  # no overlap
        ([5], False),
    ],
)
def test_windows_of_a_video_are_embedded_as_each_alone(starts, shares):
    config = small_world.model_config()
    config.video = {
        "backbone": "s3d",
        "stem": "space_to_depth",
        "width": 0.125,
        "blocks": (1, 1, 1),
    }
    network = GraphNetwork(create_model(config, small_world.WORDS))
    frames = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3)).astype(np.uint8)
    found, shared = shared_work(network, frames, starts, 8)
    assert shared == shares
    expected = network.run("video", np.stack([frames[start : start + 8] for start in starts]))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_windows_for_a_backbone_that_shares_no_work():
    network = Colors()
    frames = np.random.default_rng(0).random((9, 4, 4, 3)).astype(np.float32)
    found = network.run_windows(frames, [0, 2, 5], 4)
    expected = [frames[start : start + 4].mean(axis=(0, 1, 2)) for start in (0, 2, 5)]
    np.testing.assert_allclose(found["va"], expected, rtol=1e-5)
