# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import backbones, graphs, losses

RANDOM = np.random.default_rng(0)
LOG_MEL = RANDOM.random((4, 20, 16, 1), np.float32)
CLIPS = RANDOM.random((4, 2, 32, 32, 3), np.float32)


def make(**arguments):
    return graphs.FineAndCoarse(
        video=backbones.TSMResNet(18, 0.0625),
        audio=backbones.ResNet(18, 0.0625),
        text=backbones.Sentence(5, 6, 8),
        fine_dim=6,
        coarse_dim=4,
        hidden_dim=5,
        **arguments,
    )


def statistics(model):
    norm = model.fine_to_coarse.output_batch_norm
    return norm.moving_mean.numpy(), norm.moving_variance.numpy()


def test_spaces():
    model = make()
    outputs = model({"video": CLIPS, "audio": LOG_MEL, "text": np.ones([4, 3], np.int32)})
    shapes = {m: {s: tuple(v.shape) for s, v in d.items()} for m, d in outputs.items()}
    fine_coarse = {"before_head": (4, 32), "va": (4, 6), "vat": (4, 4)}
    assert shapes == {
        "video": fine_coarse,
        "audio": fine_coarse,
        "text": {"before_head": (4, 8), "vat": (4, 4)},
    }


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_video_and_audio_reach_vat_through_the_same_map(modality):
    model = make()
    outputs = model({modality: CLIPS if modality == "video" else LOG_MEL})[modality]
    np.testing.assert_allclose(model.fine_to_coarse(outputs["va"]), outputs["vat"], rtol=1e-5)


@pytest.mark.parametrize("audio_text", [False, True])
def test_audio_enters_the_coarse_statistics_only_when_audio_text_is_trained(audio_text):
    model = make(audio_text=audio_text)
    before = statistics(model)
    model({"audio": LOG_MEL}, training=True)
    changed = any(
        np.abs(a - b).max() > 1e-6 for a, b in zip(before, statistics(model), strict=True)
    )
    assert changed == audio_text


@pytest.mark.slow
def test_the_audio_text_branch_trains():
    model = make(audio_text=True)
    names = {"audio": model.audio, "text": model.text}
    layers = [*names.values(), model.audio_to_fine, model.fine_to_coarse, model.text_to_coarse]
    variables = [weight for layer in layers for weight in layer.trainable_weights]
    before = [weight.numpy() for weight in variables]
    optimizer = keras.optimizers.Adam(3e-3)
    sentences = np.arange(4, dtype=np.int32)[:, np.newaxis] + [[0, 1]]

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            outputs = model({"audio": LOG_MEL, "text": sentences}, training=True)
            loss = losses.nce(outputs["audio"]["vat"], outputs["text"]["vat"])
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return loss

    values = [float(step()) for _ in range(40)]
    assert np.isfinite(values).all()
    assert values[-1] < 0.5 * values[0]
    for old, weight in zip(before, variables, strict=True):
        assert np.abs(old - weight.numpy()).max() > 0, weight.path


@pytest.mark.parametrize("variant", ["fac", "fac_relu", "fac_bnrelu"])
@pytest.mark.parametrize("modality", ["audio", "text"])
def test_each_variant_of_two_modalities(variant, modality):
    towers = {"audio": backbones.ResNet(18, 0.0625), "text": backbones.Sentence(5, 6, 8)}
    model = graphs.FineAndCoarse(
        video=backbones.TSMResNet(18, 0.0625),
        **{modality: towers[modality]},
        fine_dim=6,
        coarse_dim=4,
        variant=variant,
    )
    inputs = {"audio": LOG_MEL, "text": np.ones([4, 3], np.int32)}
    outputs = model({modality: inputs[modality]})[modality]
    assert model.modalities == ("video", modality)
    assert outputs["vat"].shape == (4, 4)
    assert model.common_space("video", modality) == ("va" if modality == "audio" else "vat")


def test_the_variants_are_what_their_names_say():
    """Against the coarse map written out in NumPy."""
    values = RANDOM.standard_normal((4, 6)).astype(np.float32)
    results = {}
    for variant in ("fac", "fac_relu", "fac_bnrelu"):
        head = make(variant=variant).fine_to_coarse
        for weight in head.weights:
            weight.assign(0.5 + RANDOM.random(weight.shape))
        x = values
        for norm, after in ((head.input_batch_norm, 0), (None, 1), (head.output_batch_norm, 2)):
            if norm is not None:
                gamma, beta, mean, variance = (weight.numpy() for weight in norm.weights)
                x = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
            if after == 1:
                x = np.maximum(x, 0) if variant != "fac" else x
                x = x @ head.projection.kernel.numpy() + head.projection.bias.numpy()
        np.testing.assert_allclose(head(values), x, rtol=1e-4, atol=1e-4)
        results[variant] = x
    assert len(results) == 3


def test_video_always_does():
    model = make()
    before = statistics(model)
    model({"video": CLIPS}, training=True)
    assert np.abs(before[0] - statistics(model)[0]).max() > 1e-6


@pytest.mark.parametrize(
    ("variant", "relu", "norm"),
    [("fac", False, False), ("fac_relu", True, False), ("fac_bnrelu", True, True)],
)
def test_variants(variant, relu, norm):
    head = make(variant=variant).fine_to_coarse
    assert (head.activation is not None) == relu
    assert (head.input_batch_norm is not None) == norm


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="variant is 'fac_gelu'"):
        make(variant="fac_gelu")


def test_dummy_rows_change_no_statistic():
    first = make()
    results = []
    padded = np.concatenate([CLIPS, np.zeros_like(CLIPS)])
    for clips, valid in ((CLIPS, None), (padded, {"video": [True] * 4 + [False] * 4})):
        model = make()
        model.set_weights(first.get_weights())
        model({"video": clips}, training=True, valid=valid)
        results.append([weight.numpy() for weight in model.non_trainable_weights])
    for plain, masked in zip(*results, strict=True):
        np.testing.assert_allclose(plain, masked, rtol=1e-3, atol=1e-4)
