# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The fit brings a deflated network near to the original, by gamma and beta alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import deflation
from mmv_tf.deflation.measures import static_clips
from tests.deflation.networks import foreign, images, network


@pytest.mark.parametrize(
    ("name", "left"),
    [pytest.param(*case, marks=pytest.mark.slow) for case in (("s3d", 0.5), ("tsm_18", 0.8))],
)
def test_the_fit_closes_the_gap_and_moves_only_gamma_and_beta(name, left):
    model = network(name)
    image_model = deflation.deflate_naively(model)
    before = [variable.numpy() for variable in image_model.variables]
    originals = [variable.numpy() for variable in model.variables]
    test = images(8, seed=9)
    stages = []
    report = deflation.fit_deflated(
        model,
        image_model,
        images(32),
        test,
        num_frames=4,
        epochs=10,
        batch_size=16,
        on_stage=stages.append,
    )
    assert stages == ["start", "closed_form", "fitted"]
    assert "closed_form" in report["kept"] and set(report["seconds"]) > set(report["kept"])
    assert report["images"] == 32 and report["held_out"] == 8 and report["num_frames"] == 4
    assert report["start"] == report["naive"]
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

    # What the report says is so: the representation, and the last batch norm's activated output.
    clips = static_clips(tf.constant(test), 4)
    expected = model({"video": clips})["video"]["before_head"].numpy()
    again = deflation.agreement(image_model.features(test).numpy(), expected)
    assert report["fitted"] == pytest.approx(again, rel=1e-3)
    norms = sum(w.name == "gamma" for w in model.video.weights)
    assert len(report["layers"]) == norms
    for layer in report["layers"]:
        assert layer["fitted"]["relative_error"] >= 0


@pytest.mark.slow
def test_a_foreign_network_is_fitted_too():
    model = foreign()
    image_model = deflation.deflate_naively(model)
    kernels = {
        layer.name: layer.kernel.numpy()
        for layer in image_model.network.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    report = deflation.fit_deflated(
        model, image_model, images(40, size=24), num_frames=8, epochs=5, pointwise_epochs=5
    )
    assert report["held_out"] == 8
    assert report["fitted"]["l1"] < 0.5 * report["naive"]["l1"]
    # Its one 1x1 convolution is trained if that is asked for, the other kernels never are.
    assert report["pointwise"]["l1"] < report["fitted"]["l1"]
    changed = [
        name
        for name, kernel in kernels.items()
        if not np.array_equal(kernel, image_model.network.get_layer(name).kernel.numpy())
    ]
    assert changed == [name for name, kernel in kernels.items() if kernel.shape[:2] == (1, 1)]
    assert [layer["name"] for layer in report["layers"]] == ["stem_norm", "norm"]


def test_a_stage_that_makes_it_worse_is_taken_back():
    model = foreign()
    image_model = deflation.deflate_naively(model)
    report = deflation.fit_deflated(
        model, image_model, images(12, size=24), num_frames=8, epochs=1, learning_rate=50.0
    )
    assert report["kept"] == ["closed_form"]
    assert report["fitted"] == report["closed_form"]


@pytest.mark.slow
def test_with_clip_ends_the_naive_network_is_still_what_it_is_compared_with():
    model = network("tsm_18")
    image_model = deflation.deflate_naively(model, num_frames=4)
    report = deflation.fit_deflated(model, image_model, images(12), num_frames=4, epochs=0)
    assert report["start"]["l1"] < report["naive"]["l1"]
    assert report["fitted"] == report["closed_form"]


def test_wrong_images_and_networks_are_refused():
    model = foreign()
    image_model = deflation.deflate_naively(model)
    plain = keras.Sequential([keras.Input((4, 16, 16, 3)), keras.layers.Conv3D(2, 3)])
    good = images(20, size=24)
    for wrong in (good * 255, (good * 255).astype(np.uint8), good[0]):
        with pytest.raises(ValueError, match="expected"):
            deflation.fit_deflated(model, image_model, wrong)
    with pytest.raises(ValueError, match="10 or more"):
        deflation.fit_deflated(model, image_model, images(5))
    mixed = tf.data.Dataset.from_generator(
        lambda: iter([good[0], images(1, size=40)[0]]),
        output_signature=tf.TensorSpec([None, None, 3], tf.float32),
    )
    with pytest.raises(ValueError, match="differ in size"):
        deflation.fit_deflated(model, image_model, mixed)
    with pytest.raises(ValueError, match="resize them to one size"):
        deflation.fit_deflated(model, image_model, good, images(4, size=40))
    with pytest.raises(ValueError, match="folded"):
        deflation.fit_deflated(model, image_model.folded(), good)
    with pytest.raises(ValueError, match="no counterpart"):
        deflation.fit_deflated(plain, image_model, good)
    with pytest.raises(ValueError, match="no batch norms"):
        deflation.fit_deflated(plain, deflation.deflate_naively(plain), images(20, size=16))
