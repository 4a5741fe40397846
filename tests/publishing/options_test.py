# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The choices of an export, each against the Keras network."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmv_tf import deflation, publishing
from mmv_tf.data.reading import augmentation
from mmv_tf.layers import BatchNorm
from mmv_tf.publishing import ExportOptions
from mmv_tf.publishing.samples import encode_jpeg

CLIP = np.random.default_rng(0).random((2, 4, 32, 36, 3)).astype(np.float32)
SOUND = np.random.default_rng(1).uniform(-1, 1, (2, 9000)).astype(np.float32)
TEXT = np.array(["the red square", "circle"])


def disturb(model):
    """Gives batch norms statistics as after training, so that folding has something to do."""
    generator = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, BatchNorm):
            for weight in (layer.gamma, layer.moving_variance):
                weight.assign(generator.uniform(0.5, 2.0, weight.shape))
            for weight in (layer.beta, layer.moving_mean):
                weight.assign(generator.normal(0, 0.3, weight.shape))


def expected_outputs(model, image_model):
    outputs = {
        "video": model({"video": CLIP})["video"],
        "audio": model({"audio": model.log_mel(SOUND)})["audio"],
        "text": model({"text": model.tokenizer(TEXT)})["text"],
        "image": image_model(CLIP[:, 0]),
    }
    return {
        name: {key: value.numpy() for key, value in values.items()}
        for name, values in outputs.items()
    }


def assert_near(actual, expected, share):
    assert np.abs(actual - expected).max() <= share * np.abs(expected).max()


@pytest.mark.parametrize(
    ("weights", "share"),
    [("float32", 1e-5), ("bfloat16", 3e-2)],
)
@pytest.mark.slow
def test_folded_network_equals_the_network(tiny_model, tmp_path, weights, share):
    disturb(tiny_model)
    image_model = deflation.deflate_naively(tiny_model)
    expected = expected_outputs(tiny_model, image_model)
    options = ExportOptions(fold_batch_norms=True, weights=weights, normalized=True)
    publishing.export(tiny_model, tmp_path / "saved", image_model, options=options)
    # The model itself is as it was.
    again = expected_outputs(tiny_model, image_model)
    np.testing.assert_array_equal(again["video"]["vat"], expected["video"]["vat"])

    module = tf.saved_model.load(str(tmp_path / "saved"))
    inputs = {"video": CLIP, "audio": SOUND, "text": TEXT, "image": CLIP[:, 0]}
    for name, values in inputs.items():
        outputs = module.signatures[name](tf.constant(values))
        for key, value in outputs.items():
            if key == "last_conv":
                continue
            wanted = expected[name][key]
            if key != "before_head":
                wanted = wanted / np.linalg.norm(wanted, axis=-1, keepdims=True)
            assert_near(value.numpy(), wanted, share)
        operations = {
            node.op
            for function in module.signatures[name].graph.as_graph_def().library.function
            for node in function.node_def
        }
        assert not any("FusedBatchNorm" in operation for operation in operations)
    assert list(module.trainable_variables) == []
    kernels = [v for v in module.variables if v.shape.rank > 1]
    assert {v.dtype.name for v in kernels} == {weights}
    assert not any("moving" in v.name for v in module.variables)


@pytest.mark.slow
def test_only_the_modalities_asked_for_are_saved(tiny_model, tmp_path):
    options = ExportOptions(modalities=("text",))
    assert publishing.export(tiny_model, tmp_path / "text", options=options) == ["text"]
    module = tf.saved_model.load(str(tmp_path / "text"))
    assert set(module.signatures) == {"text"}
    called = module(tf.constant(TEXT))["vat"].numpy()
    wanted = tiny_model({"text": tiny_model.tokenizer(TEXT)})["text"]["vat"].numpy()
    assert_near(called, wanted, 1e-5)
    saved = sum(np.prod(shape) for _, shape in tf.train.list_variables(
        str(tmp_path / "text" / "variables" / "variables")))  # fmt: skip
    text = sum(np.prod(v.shape) for v in tiny_model.text.variables)
    head = sum(np.prod(v.shape) for v in tiny_model.text_to_coarse.variables)
    assert text + head <= saved < text + head + 10


@pytest.mark.slow
def test_jpeg_frames_are_seen_as_the_reader_shows_them(tiny_model, tmp_path):
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (2, 3, 6, 8, 3), dtype=np.uint8)
    wide = coarse.repeat(8, axis=2).repeat(8, axis=3)  # 48 x 64
    ready = coarse.repeat(6, axis=2).repeat(6, axis=3)[:, :, :32, :32]
    options = ExportOptions(modalities=("video",), video_jpeg=True)
    publishing.export(tiny_model, tmp_path / "saved", options=options)
    signature = tf.saved_model.load(str(tmp_path / "saved")).signatures["video_jpeg"]
    for clips in (wide, ready):
        files = np.array([[encode_jpeg(frame) for frame in clip] for clip in clips], dtype=object)
        pixels = np.stack([[tf.image.decode_jpeg(f, 3).numpy() for f in row] for row in files])
        if clips is wide:
            window = augmentation.crop_window(48, 64, None, 0.0, True).numpy()
            top, left, height, width = window
            pixels = pixels[:, :, top : top + height, left : left + width]
            pixels = np.stack([tf.image.resize(clip, [32, 32]).numpy() for clip in pixels])
        wanted = tiny_model({"video": pixels.astype(np.float32) / 255})["video"]["vat"].numpy()
        assert_near(signature(tf.constant(files))["vat"].numpy(), wanted, 1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        signature(tf.constant([[b"not a picture"]]))
    png = io.BytesIO()
    Image.new("RGB", (32, 32)).save(png, "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError):
        signature(tf.constant([[png.getvalue()]]))
    # A file of a few hundred bytes whose header claims 65,000 x 65,000 pixels.
    bomb = bytearray(encode_jpeg(np.zeros((32, 32, 3), np.uint8)))
    place = bomb.index(b"\xff\xc0") + 5
    bomb[place : place + 4] = (65_000).to_bytes(2, "big") * 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels"):
        signature(tf.constant([[bytes(bomb)]]))


@pytest.mark.slow
def test_checked_signatures_say_what_is_wrong(published):
    module = tf.saved_model.load(str(published / "2"))
    signatures = module.signatures
    nan = CLIP.copy()
    nan[0, 0, 0, 0, 0] = np.nan
    for name, value, message in (
        ("video", nan, "finite"),
        ("video", CLIP * 255, "Divide 8-bit colors by 255"),
        ("video", CLIP[:, :, :16], "32 or more"),
        ("video", CLIP[:, :0], "its shape is"),
        ("image", CLIP[:, 0] - 1, r"in \[0, 1\]"),
        ("audio", SOUND * 32768, "Divide 16-bit samples"),
        ("audio", SOUND[:, :0], "no samples"),
        ("text", np.array(["red", " \t"]), "empty sentence"),
        ("text", np.array(["red " * 5000]), "10000 bytes"),
        ("text", np.array(["red", "quo vadis", "was it"]), "without a word that the network knows"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            signatures[name](tf.constant(value))
    with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible with expected shape"):
        signatures["video"](tf.constant(CLIP[0]))
    assert signatures["video"](tf.constant(CLIP))["vat"].shape == (2, 8)
    assert signatures["text"](tf.constant(TEXT))["vat"].shape == (2, 8)


def test_impossible_choices_are_refused(tiny_model, tmp_path):
    for options, message in (
        (dict(modalities=("smell",)), "choose from"),
        (dict(modalities=()), "choose from"),
        (dict(weights="int8"), "bfloat16"),
        (dict(jpeg_size=16), "32 pixels"),
        (dict(modalities=("image",)), "deflated network"),
        (dict(modalities=("text",), video_jpeg=True), "add video"),
    ):
        with pytest.raises(ValueError, match=message):
            publishing.export(tiny_model, tmp_path / "saved", options=ExportOptions(**options))
    tiny_model.metadata.pop("size")
    with pytest.raises(ValueError, match="jpeg_size"):
        publishing.export(tiny_model, tmp_path / "saved", options=ExportOptions(video_jpeg=True))
    assert not list(tmp_path.iterdir())
