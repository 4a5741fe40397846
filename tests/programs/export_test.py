# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.deflation import deflate_naively
from mmv_tf.inference import load_encoder, unit
from mmv_tf.pretrained import create_model
from tests import small_world
from tests.programs.program import Program


@pytest.fixture(scope="module")
def program():
    program = Program("export")
    yield program
    program.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("network") / "model.keras"
    small_world.tiny_model().save(path)
    return path


@pytest.mark.slow
def test_a_network_without_words_is_not_exported_with_text(program, tmp_path):
    create_model(small_world.model_config()).save(tmp_path / "model.keras")
    arguments = (f"--model={tmp_path / 'model.keras'}", f"--output={tmp_path / 'export'}")
    done = program(*arguments)
    assert done.status == 1
    assert "--modality=video --modality=audio" in done.stderr
    assert "--word_vectors" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_its_other_modalities_are_exported(program, tmp_path):
    create_model(small_world.model_config()).save(tmp_path / "model.keras")
    arguments = (f"--model={tmp_path / 'model.keras'}", f"--output={tmp_path / 'export'}")
    done = program(*arguments, "--modality=video", "--modality=audio")
    assert done.status == 0, done.stderr
    assert "signatures: video, audio." in done.stdout


@pytest.fixture(scope="module")
def image_network(network):
    path = network.with_name("image.keras")
    deflate_naively(keras.saving.load_model(network)).save(path)
    return path


def assert_near(found, wanted, least):
    """Embeddings of a signature by their cosines with those of the network before its export."""
    for name, values in found.items():
        assert values.dtype == tf.float32
        if name in wanted:
            assert (unit(values.numpy()) * unit(wanted[name])).sum(-1).min() >= least


@pytest.mark.slow
def test_sentences_in_16_bits_stay_near_to_those_in_32(program, network, tmp_path):
    done = program(
        *(f"--model={network}", f"--output={tmp_path}", "--version=1", "--modality=text"),
        "--dtype=mixed_bfloat16",
    )
    assert done.status == 0, done.stderr
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["text"]
    assert "DT_BFLOAT16" in str(signature.graph.as_graph_def())
    sentences = ["red square", "grey circle falls"]
    wanted = load_encoder(network).embed_text(sentences)
    assert_near(signature(tf.constant(sentences)), wanted, 0.999)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "least"),
    [
        (["--dtype=mixed_bfloat16"], 0.999),
        (["--dtype=mixed_bfloat16", "--fold_batch_norms", "--weights_dtype=bfloat16"], 0.999),
        (["--dtype=bfloat16"], 0.99),
    ],
)
def test_all_modalities_in_16_bits(program, network, image_network, flags, least, tmp_path):
    done = program(
        *(f"--model={network}", f"--image_model={image_network}", *flags),
        f"--output={tmp_path / 'export'}",
    )
    assert done.status == 0, done.stderr
    assert "signatures: video, audio, text, image." in done.stdout
    signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
    encoder = load_encoder(network, image_model=image_network)
    random = np.random.default_rng(0)
    clips = random.random((2, 4, 32, 32, 3), np.float32)
    waves = random.uniform(-1, 1, (2, 9000)).astype(np.float32)
    sentences = ["red square", "grey circle falls"]
    for name, value, wanted in (
        ("video", clips, encoder.embed_video(clips)),
        ("image", clips[:, 0], encoder.embed_image(clips[:, 0])),
        ("audio", waves, encoder.embed_audio(waves)),
        ("text", np.array(sentences), encoder.embed_text(sentences)),
    ):
        assert_near(signatures[name](tf.constant(value)), wanted, least)


def test_a_deflated_network_is_not_exported_alone(program, image_network, tmp_path):
    done = program(f"--model={image_network}", f"--output={tmp_path / 'export'}")
    assert done.status == 1
    (line,) = done.stderr.strip().splitlines()
    assert "is a deflated, image-only network; pass the network that it was deflated from" in line


CLIP = np.full([1, 4, 32, 32, 3], np.nan, np.float32)


@pytest.mark.slow  # a quick one is of the signatures: options_test
def test_exports_refuse_wrong_input(program, network, tmp_path):
    done = program(f"--model={network}", f"--output={tmp_path / 'export'}")
    assert done.status == 0, done.stderr
    module = tf.saved_model.load(str(tmp_path / "export"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="finite"):
        module.signatures["video"](tf.constant(CLIP))
    with pytest.raises(tf.errors.InvalidArgumentError, match="without a word"):
        module.signatures["text"](tf.constant(["the red square", "quo vadis"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Divide 8-bit colors by 255"):
        module(tf.fill([1, 4, 32, 32, 3], 255.0))
    # Augmented clips may leave the range.
    module(tf.fill([1, 4, 32, 32, 3], 1.2), training=True)


@pytest.mark.slow
def test_exports_take_any_input_when_told_so(program, network, tmp_path):
    done = program(f"--model={network}", f"--output={tmp_path / 'export'}", "--nochecked")
    assert done.status == 0, done.stderr
    signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
    signatures["video"](tf.constant(CLIP))
    signatures["text"](tf.constant(["quo vadis"]))
