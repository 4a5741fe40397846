# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import collections
import hashlib
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmv_tf
from mmv_tf import pretrained
from mmv_tf.search.embedder import Embedder
from tests.pretrained import mil_nce_checkpoints as checkpoints
from tests.pretrained import mil_nce_reference
from tests.pretrained.pickle_reader_test import more_memory

FIXTURE = pathlib.Path(__file__).parents[3] / "shared" / "mil_nce_fixture"
WORDS = checkpoints.WORDS
STEMS = ("space_to_depth", "rgb")
SENTENCES = ["Open the door", "Don't CUT the  tomato-pan; it's", "zzz", "", "a " * 20 + "door"]


def relative_error(got, expected):
    """Largest difference as a share of the reference's root mean square; finiteness first."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert np.isfinite(got).all()
    assert got.shape == expected.shape
    return np.abs(got - expected).max() / np.sqrt(np.mean(expected**2))


def clips(shape, seed=0):
    return np.random.default_rng(seed).random((*shape, 3), np.float32)


# Small checkpoints, always.


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """stem -> (path, state, model)."""
    made = {}

    def get(stem):
        if stem not in made:
            folder = tmp_path_factory.mktemp("checkpoints")
            state = checkpoints.small_state(stem)
            path = checkpoints.write(folder / "s3d.pth", state)
            model = pretrained.import_mil_nce_checkpoint(path, dictionary=WORDS)
            made[stem] = (path, state, model)
        return made[stem]

    return get


@pytest.mark.parametrize(
    ("stem", "shape"),
    [
        ("space_to_depth", (2, 8, 32, 64)),
        # Half of these sizes, and halves of them, are odd: pools begin at the first place.
        ("space_to_depth", (1, 6, 50, 76)),
        ("space_to_depth", (1, 2, 36, 34)),
        ("rgb", (2, 8, 32, 64)),
        ("rgb", (1, 5, 33, 47)),
        ("rgb", (1, 6, 50, 39)),
        ("rgb", (1, 1, 35, 32)),
    ],
)
def test_video_matches_the_numpy_oracle(stem, shape, imported):
    _, state, model = imported(stem)
    inputs = clips(shape)
    features, embedding = mil_nce_reference.Network(state).video(inputs)
    outputs = model({"video": inputs})["video"]
    assert set(outputs) == {"before_head", "vt"}
    assert relative_error(outputs["before_head"], features) < 2e-4
    assert relative_error(outputs["vt"], embedding) < 2e-4


def test_sentences_match_the_numpy_oracle(imported):
    _, state, model = imported("space_to_depth")
    expected = [mil_nce_reference.word_ids(sentence, WORDS) for sentence in SENTENCES]
    ids = model.tokenizer(SENTENCES)
    np.testing.assert_array_equal(ids, expected)
    embedding = mil_nce_reference.Network(state).text(ids.numpy())
    assert relative_error(model({"text": ids})["text"]["vt"], embedding) < 2e-4


@pytest.mark.parametrize("form", checkpoints.FORMATS)
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("wrap", [None, checkpoints.as_trained], ids=["released", "as trained"])
def test_other_files_import_as_the_same_network(form, stem, wrap, imported, tmp_path):
    _, state, model = imported(stem)
    path = checkpoints.write(tmp_path / "again.pth", state, form, wrap)
    again = pretrained.import_mil_nce_checkpoint(path)
    for new, old in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(new, old)


def test_other_weights_match_too(tmp_path):
    state = checkpoints.small_state(seed=7)
    path = checkpoints.write(tmp_path / "other.pth", state, "archive")
    model = pretrained.import_mil_nce_checkpoint(path)
    inputs = clips((1, 4, 46, 40), seed=7)
    _, embedding = mil_nce_reference.Network(state).video(inputs)
    assert relative_error(model({"video": inputs})["video"]["vt"], embedding) < 2e-4


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_floats_of_other_sizes(dtype, imported, tmp_path):
    _, state, model = imported("rgb")
    other = {
        name: array.astype(dtype) if array.dtype.kind == "f" else array
        for name, array in state.items()
    }
    path = checkpoints.write(tmp_path / "other.pth", other)
    again = pretrained.import_mil_nce_checkpoint(path)
    tolerance = 1e-3 if dtype == "float16" else 0
    for new, old in zip(again.weights, model.weights, strict=True):
        np.testing.assert_allclose(new.numpy(), old.numpy(), rtol=tolerance, atol=tolerance)


def test_every_weight_is_filled_once(imported):
    _, state, model = imported("space_to_depth")
    unused = model.metadata["unused_arrays"]
    assert len(state) - len(unused) == len(model.weights)
    assert all(name.endswith("num_batches_tracked") for name in unused)


def test_an_ordinary_network(imported):
    path, _, model = imported("space_to_depth")
    assert isinstance(model, mmv_tf.EmbeddingGraph)
    assert model.modalities == ("video", "text")
    assert model.spaces("video") == model.spaces("text") == ("vt",)
    metadata = model.metadata
    assert (metadata["num_frames"], metadata["frame_rate"], metadata["size"]) == (32, 10.0, 200)
    assert metadata["input_range"] == [0.0, 1.0]
    assert metadata["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "antoine77340/S3D_HowTo100M" in metadata["source"]
    json.dumps(metadata)


@pytest.mark.parametrize("stem", STEMS)
def test_a_model_that_was_saved_is_the_same(stem, imported, tmp_path):
    model = imported(stem)[2]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.metadata == model.metadata
    inputs = clips((1, 6, 38, 50))
    for modality, values in (("video", inputs), ("text", loaded.tokenizer(SENTENCES))):
        before, after = model({modality: values}), loaded({modality: values})
        np.testing.assert_array_equal(before[modality]["vt"], after[modality]["vt"])
    np.testing.assert_array_equal(loaded.tokenizer(SENTENCES), model.tokenizer(SENTENCES))


def test_search_takes_sentences(imported, tmp_path):
    model = imported("space_to_depth")[2]
    model.save(tmp_path / "model.keras")
    embedder = Embedder(model, tmp_path / "model.keras")
    expected = model({"text": model.tokenizer(SENTENCES[:1])})["text"]["vt"].numpy()[0]
    found = embedder.sentence(SENTENCES[0])["vt"]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    with pytest.raises(ValueError, match="knows none of the words"):
        embedder.sentence("zzz")


def test_the_tokenizer_in_a_saved_model(imported, tmp_path):
    tokenizer = imported("space_to_depth")[2].tokenizer
    root = tf.train.Checkpoint(tokenizer=tokenizer)
    ids = tf.function(tokenizer, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    tf.saved_model.save(root, str(tmp_path), signatures={"ids": ids})
    loaded = tf.saved_model.load(str(tmp_path)).signatures["ids"]
    (found,) = loaded(tf.constant(SENTENCES)).values()
    np.testing.assert_array_equal(found, tokenizer(SENTENCES))


@pytest.mark.slow
def test_an_export_takes_sentences_without_this_package(imported, tmp_path):
    model = imported("space_to_depth")[2]
    sentences = SENTENCES[:2]
    expected = model({"text": model.tokenizer(sentences)})["text"]["vt"].numpy()
    mmv_tf.export(model, tmp_path / "exported")
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "text = tf.saved_model.load(sys.argv[1]).signatures['text']\n"
        "np.save(sys.argv[2], text(tf.constant(sys.argv[3:]))['vt'])\n"
        "assert not any(name.startswith('mmv_tf') for name in sys.modules)\n"
    )
    arguments = [tmp_path / "exported", tmp_path / "vt.npy", *sentences]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "vt.npy"), expected, atol=1e-5)


# The dictionary.


def test_the_dictionary_beside_the_checkpoint_is_read(imported, tmp_path):
    _, state, model = imported("space_to_depth")
    path = checkpoints.write(tmp_path / "s3d.pth", state)
    assert pretrained.import_mil_nce_checkpoint(path).tokenizer is None
    np.save(tmp_path / "s3d_dict.npy", np.array(WORDS, object))
    beside = pretrained.import_mil_nce_checkpoint(path)
    np.testing.assert_array_equal(beside.tokenizer(SENTENCES), model.tokenizer(SENTENCES))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (WORDS[:-1], f"has {len(WORDS) - 1} words, but the checkpoint's table has rows for"),
        ([*WORDS[:-1], "open"], "are both 'open'"),
        ([*WORDS[:-1], ""], f"word {len(WORDS) - 1} is empty"),
        ([*WORDS[:-1], "\ud800"], "not UTF-8 text"),
    ],
)
def test_a_dictionary_that_does_not_fit(words, message, imported, tmp_path):
    path = imported("space_to_depth")[0]
    with pytest.raises(ValueError, match=message):
        pretrained.import_mil_nce_checkpoint(path, dictionary=words)
    np.save(tmp_path / "words.npy", np.array(words))
    with pytest.raises(ValueError, match=f"words.npy.*{message}"):
        pretrained.import_mil_nce_checkpoint(path, dictionary=tmp_path / "words.npy")


# Mistakes.


def put(name, values):
    return lambda state: state.update({name: np.asarray(values)})


def drop(name):
    return lambda state: state.pop(name)


BRANCH = "mixed_4f.conv_b1_b"
MISTAKES = {
    "a missing kernel": (drop(f"{BRANCH}.conv2.weight"), f"missing '{BRANCH}.conv2.weight'"),
    "a missing statistic": (drop(f"{BRANCH}.bn1.running_var"), f"'{BRANCH}.bn1.running_var'"),
    "no stem": (drop("conv1.conv1.weight"), "conv1.conv1.weight is missing; the checkpoint holds"),
    "no text": (drop("text_module.word_embd.weight"), "text_module.word_embd.weight is missing"),
    "no block": (drop("mixed_4f.conv_b0.conv1.weight"), "it has (1, 0, 1) blocks"),
    "an extra array": (put("mixed_4f.extra", np.ones(2, np.float32)), "unknown 'mixed_4f.extra'"),
    "a wrong shape": (put("fc.bias", np.ones(3, np.float32)), "fc.bias has shape (3,)"),
    "a strange stem": (
        put("conv1.conv1.weight", np.ones((4, 3, 7, 7, 7), np.float32)),
        "conv1.conv1.weight has shape (4, 3, 7, 7, 7)",
    ),
    "integers": (put("fc.bias", np.ones(10, np.int64)), "fc.bias is int64; expected floating"),
    "not finite": (put("fc.bias", np.full(10, np.nan, np.float32)), "not finite"),
    "one row": (
        put("text_module.word_embd.weight", np.ones((1, 6), np.float32)),
        "its table of words has 1 rows",
    ),
    "a stem of another width": (
        put("conv1.conv1.weight", np.ones((3200, 24, 2, 4, 4), np.float16)),
        "conv_2b.conv1.weight has shape (4, 4, 1, 1, 1); expected 3200 x 3200 channels",
    ),
    "words of another size": (
        put("text_module.word_embd.weight", np.ones((2, 5_000_000), np.float16)),
        "text_module.fc1.weight has shape (14, 6); expected 14 x 5000000 channels",
    ),
    "a large space": (
        put("fc.weight", np.ones((5_000_000, 2), np.float16)),
        "fc.weight has shape (5000000, 2); expected 5000000 x 64 channels",
    ),
    "another network": (
        collections.OrderedDict.clear,
        "conv1.conv1.weight is missing; the checkpoint holds",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake, tmp_path):
    change, message = MISTAKES[mistake]
    state = checkpoints.small_state()
    change(state)
    state = state or {"fc.weight": np.ones((2, 2), np.float32)}
    path = checkpoints.write(tmp_path / "c.pth", state)
    del state
    with (
        more_memory() as more,
        pytest.raises(ValueError, match=r"c\.pth is not a checkpoint of MIL-NCE's S3D") as caught,
    ):
        pretrained.import_mil_nce_checkpoint(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert more() < 100


# The released size.


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The stand-in of ../shared/mil_nce_fixture, with its dictionary beside it."""
    if not FIXTURE.exists():
        pytest.skip("../shared/mil_nce_fixture is not here")
    path = tmp_path_factory.mktemp("filled") / "s3d_howto100m.pth"
    subprocess.run([sys.executable, FIXTURE / "fill.py", path], check=True)
    yield path
    for made in path.parent.iterdir():
        made.unlink()


FIXTURE_CLIPS = {"small": ([2, 8, 64, 64, 3], 1), "odd": ([1, 16, 160, 224, 3], 4)}
FIXTURE_CLIPS["full"] = ([1, 32, 200, 200, 3], 1)


def fixture_clips(case):
    shape, seed = FIXTURE_CLIPS[case]
    return np.random.Generator(np.random.PCG64(seed)).random(shape, dtype=np.float32)


@pytest.mark.slow
def test_the_fixture(filled):
    model = pretrained.import_mil_nce_checkpoint(filled)
    with np.load(FIXTURE / "expected.npz") as reference:
        ids = model.tokenizer(json.loads((FIXTURE / "sentences.json").read_text()))
        np.testing.assert_array_equal(ids, reference["ids"])
        text = model({"text": ids})["text"]["vt"]
        assert relative_error(text, reference["text_embedding"]) < 2e-4
        for case in FIXTURE_CLIPS:
            outputs = model({"video": fixture_clips(case)})["video"]
            for space, name in (("before_head", "mixed_5c"), ("vt", "video_embedding")):
                expected = reference[f"{case}.{name}"]
                # The stand-in's gates make it so sensitive (1e-7 in a pixel is 5e-3 here) that the
                # NumPy oracle in float64 is up to 1e-2 from this float32 reference too.
                assert relative_error(outputs[space], expected) < 5e-2
                distance = np.linalg.norm(outputs[space] - expected)
                assert distance < 2e-3 * np.linalg.norm(expected)


@pytest.mark.slow
def test_the_released_widths(tmp_path):
    inputs = clips((1, 10, 88, 100))
    state = checkpoints.measured(checkpoints.released_state(), inputs)
    path = checkpoints.write(tmp_path / "released.pth", state, "archive")
    model = pretrained.import_mil_nce_checkpoint(path)
    path.unlink()
    oracle = mil_nce_reference.Network(state)
    for values in (inputs, clips((1, 12, 96, 84), seed=1)):
        features, embedding = oracle.video(values)
        outputs = model({"video": values})["video"]
        assert relative_error(outputs["before_head"], features) < 2e-4
        assert relative_error(outputs["vt"], embedding) < 2e-4
