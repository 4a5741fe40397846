# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""`deflate` hands out a fitted encoder, or says that it is not fitted."""

import pathlib
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mmv_tf
from mmv_tf import deflation
from mmv_tf.deflation.measures import static_clips
from tests.deflation.networks import foreign, images, network


def write(folder, pictures):
    folder.mkdir()
    paths = [folder / f"{index:02}.png" for index in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray((255 * picture).round().astype(np.uint8)).save(path)
    return paths


def gap(model, encoder, num_frames=8):
    """L1 between image and video model on images that no fit has seen."""
    test = images(16, seed=9, size=24)
    clips = static_clips(tf.constant(test), num_frames)
    return np.abs(encoder(test).numpy() - model(clips).numpy()).mean()


def test_the_encoder_is_fitted_on_a_folder(tmp_path):
    model = foreign()
    write(tmp_path / "photos", images(20, size=24))
    encoder = mmv_tf.deflate(model, images=tmp_path / "photos")
    assert gap(model, encoder) < 0.7 * gap(model, deflation.deflate_naively(model))


@pytest.fixture
def seen(monkeypatch):
    """What the fit is given, in place of the fit."""
    calls = []
    monkeypatch.setattr(
        "mmv_tf.deflation.fitted.fit_deflated",
        lambda model, encoder, images, num_frames, seed: calls.append((images, num_frames, seed)),
    )
    return calls


@pytest.mark.slow
def test_images_come_in_every_form(tmp_path, seen):
    pictures = (images(12, size=24) * 255).round() / np.float32(255)
    paths = write(tmp_path / "photos", pictures)
    dataset = tf.data.Dataset.from_tensor_slices(pictures).batch(7)
    model = foreign()
    for given in (pictures, list(pictures), paths, [str(path) for path in paths], dataset):
        mmv_tf.deflate(model, images=given, seed=3)
    for found, num_frames, seed in seen:
        np.testing.assert_allclose(found, pictures, atol=1e-6)
        assert (num_frames, seed) == (8, 3)
    mmv_tf.deflate(model, images=str(tmp_path / "photos"))
    order = [int(np.abs(pictures - image).max(axis=(1, 2, 3)).argmin()) for image in seen[-1][0]]
    assert sorted(order) == list(range(12)) and order != sorted(order)


def test_without_images_a_warning_says_how_to_fit():
    model = foreign()
    with pytest.warns(UserWarning, match=r"not fitted.*images=FOLDER.*fit_deflated") as caught:
        encoder = mmv_tf.deflate(model)
    assert caught[0].filename == __file__
    naive = deflation.deflate_naively(model)
    np.testing.assert_array_equal(encoder(images(2, size=24)), naive(images(2, size=24)))
    plain = keras.Sequential([keras.Input((4, 16, 16, 3)), keras.layers.Conv3D(2, 3)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mmv_tf.deflate(plain)  # it has no batch norms to fit
        mmv_tf.deflate(model, images=images(12, size=24))


@pytest.mark.slow
def test_files_are_read_at_the_models_size(tmp_path, seen):
    model = network("tsm_18")
    paths = write(tmp_path / "photos", images(10, size=40))
    mmv_tf.deflate(model, images=tmp_path / "photos")
    mmv_tf.deflate(model, images=paths, size=48)
    mmv_tf.deflate(model.video, images=paths, num_frames=4, size=48)
    size, frames = model.metadata["size"], model.metadata.get("num_frames", 32)
    assert [(found.shape[1:3], length) for found, length, _ in seen] == [
        ((size, size), frames),
        ((48, 48), frames),
        ((48, 48), 4),
    ]
    with pytest.raises(ValueError, match="There is no folder"):
        mmv_tf.deflate(model, images=tmp_path / "absent")
    with pytest.raises(ValueError, match=r"None of the 1 images.*absent"):
        mmv_tf.deflate(model, images=[tmp_path / "absent.png"])
    with pytest.raises(ValueError, match="pass size, in pixels"):
        mmv_tf.deflate(model.video, images=paths)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="10 or more"):
        mmv_tf.deflate(foreign(), images=images(4, size=24))


@pytest.mark.slow  # the fit itself is tested above
def test_the_guides_example(tmp_path, monkeypatch, tiny_model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    mmv_tf.save_model(tiny_model, tmp_path / "run" / "model.keras")
    write(tmp_path / "photos", images(10, size=40))
    guide = pathlib.Path(__file__).parents[2] / "docs" / "deflation.md"
    example = re.search(r"```python\n# example: deflate\n(.*?)```", guide.read_text(), re.S)
    exec(compile(example[1], str(guide), "exec"), {})
    encoder = deflation.load_image_model(tmp_path / "image_encoder.keras")
    assert encoder.features(images(2)).shape == (2, tiny_model.video.feature_dim)
