# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import publishing
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.pretrained import import_haiku_checkpoint, read_arrays
from mmv_tf.search import Embedder
from tests import modules, running
from tests.pretrained import checkpoints, mil_nce_checkpoints
from tests.pretrained.word_rows_test import write


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "tiny.pkl"
    path.write_bytes(gzip.decompress(checkpoints.COMMITTED.read_bytes()))
    return path


def test_writes_a_keras_file_and_says_what_it_is(checkpoint, tmp_path):
    output = tmp_path / "new" / "tiny.keras"
    done = running.run("import_checkpoint", f"--checkpoint={checkpoint}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert "has no text input" in done.stderr and "Pass word_vectors" in done.stderr
    summary = json.loads(done.stdout)
    assert summary["video"] == "S3D"
    assert summary["licence"] == "CC BY-NC 4.0"
    assert os.listdir(output.parent) == ["tiny.keras"]
    assert keras.saving.load_model(output).metadata["sha256"] == summary["sha256"]


def test_finds_mil_nce_s_network_from_the_file(tmp_path):
    checkpoint = mil_nce_checkpoints.write(tmp_path / "s3d.pth", mil_nce_checkpoints.small_state())
    words = tmp_path / "words.npy"
    np.save(words, np.array(mil_nce_checkpoints.WORDS))
    output = tmp_path / "s3d.keras"
    done = running.run_forked(
        "import_checkpoint",
        f"--checkpoint={checkpoint}",
        f"--vocabulary={words}",
        f"--output={output}",
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["sentences"] is True
    model = keras.saving.load_model(output)
    assert model.spaces("video") == ("vt",)
    assert model.tokenizer(["Open the door"]).numpy()[0, :4].tolist() == [1, 5, 3, 0]


@pytest.mark.slow  # a quick one: stand_ins_test
def test_a_network_with_words_takes_sentences(checkpoint, tmp_path):
    model = tmp_path / "words.keras"
    table = read_arrays(checkpoint)["params"]["text_audio_video/text_module/~/embed"]["embeddings"]
    words = [f"word{index}" for index in range(len(table))]
    order = np.random.default_rng(0).permutation(len(table))
    write(tmp_path / "v.bin.gz", [words[row] for row in order], table[order], compressed=True)
    done = running.run(
        *("import_checkpoint", f"--checkpoint={checkpoint}", f"--output={model}"),
        f"--word_vectors={tmp_path / 'v.bin.gz'}",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["words"]
    assert (found["matched"], found["unmatched"], found["equal"]) == (40, 0, 40)
    assert "match word vectors: 40/40 words (100%)" in done.stderr
    loaded = keras.saving.load_model(model)
    sentences = ["word7, word11!", "The word30"]
    ids = [[7, 11] + [0] * 14, [30] + [0] * 15]
    expected = loaded({"text": np.array(ids)})["text"]["vat"].numpy()
    np.testing.assert_array_equal(loaded.tokenizer(sentences), ids)

    embedded = Extractor(loaded, "text", ["vat"])(np.array(sentences))  # as mmv embed
    np.testing.assert_allclose(embedded["vat"], expected, rtol=1e-5, atol=1e-6)
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    found = Embedder.load(model).sentence(sentences[0])["vat"]
    np.testing.assert_allclose(found, unit[0], rtol=1e-4, atol=1e-6)
    publishing.export(
        loaded, tmp_path / "saved", options=publishing.ExportOptions(modalities=("text",))
    )
    signature = tf.saved_model.load(str(tmp_path / "saved")).signatures["text"]
    np.testing.assert_allclose(
        signature(tf.constant(sentences))["vat"], expected, rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
def test_a_module_gives_words_and_rules_and_is_held_against(checkpoint, tmp_path):
    model = import_haiku_checkpoint(checkpoint)
    tokenizer = modules.tokenizer_of(modules.MANY_WORDS, lower=False, punctuation="words")
    module = modules.TextModule(model, tokenizer, modules.MANY_WORDS).save(tmp_path / "module")
    output = tmp_path / "m.keras"
    arguments = (f"--checkpoint={checkpoint}", f"--output={output}", f"--check_against={module}")
    done = running.run("import_checkpoint", *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["module_check"]
    assert found["differences"]["text/vat"]["agrees"]
    assert (found["rules"]["lower"], found["rules"]["punctuation"]) == (False, "words")
    assert "has no text input" not in done.stderr
    loaded = keras.saving.load_model(output)
    sentence = ["Don't! the red Paris"]
    np.testing.assert_array_equal(loaded.tokenizer(sentence), tokenizer(sentence))
    model.text.embedding.embeddings.assign(model.text.embedding.embeddings[::-1])
    modules.TextModule(model, tokenizer, modules.MANY_WORDS[:-1]).save(tmp_path / "other")
    done = running.run("import_checkpoint", *arguments[:2], f"--check_against={tmp_path / 'other'}")
    assert done.returncode == 1
    assert "was written, but differs from" in done.stderr and "text/vat by" in done.stderr


def test_a_wrong_list_of_words_is_one_line(checkpoint, tmp_path):
    (tmp_path / "words.txt").write_text("a\nb\n\nc\n")
    done = running.run_forked(
        *("import_checkpoint", f"--checkpoint={checkpoint}", f"--output={tmp_path / 'm.keras'}"),
        f"--vocabulary={tmp_path / 'words.txt'}",
    )
    assert done.returncode == 1
    assert "words.txt, line 3 is empty" in done.stderr
    assert not list(tmp_path.glob("*.keras"))


def test_a_refused_file_is_one_line_and_writes_nothing(tmp_path):
    path, output = tmp_path / "bad.pkl", tmp_path / "out.keras"
    path.write_bytes(b"cposix\nsystem\n(S'ls'\ntR.")
    done = running.run_forked("import_checkpoint", f"--checkpoint={path}", f"--output={output}")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "bad.pkl" in errors[0]
    assert "posix.system" in errors[0]
    assert os.listdir(tmp_path) == ["bad.pkl"]


@pytest.mark.slow
def test_takes_the_name_of_published_weights(checkpoint, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    (cache / "mmv_s3d").mkdir(parents=True)
    checkpoint.rename(cache / "mmv_s3d" / "mmv_s3d.pkl")
    monkeypatch.setenv("MMV_TF_CACHE", str(cache))
    output = tmp_path / "tiny.keras"
    done = running.run("import_checkpoint", "--checkpoint=mmv_s3d", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["video"] == "S3D"
    assert output.is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mmv_s3", "did you mean 'mmv_s3d'?"),
        ("hub_mmv_s3d", "is a TF-Hub module, which can't become a .keras file"),
        ("none.pkl", "none.pkl: No such file"),
    ],
)
def test_a_name_that_does_not_do_is_one_line(name, message, tmp_path):
    output = tmp_path / "a.keras"
    done = running.run_forked("import_checkpoint", f"--checkpoint={name}", f"--output={output}")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint=a.pkl", "--output=a.h5"], "must end in .keras"),
        (["--checkpoint=a.pkl"], "--output is missing"),
        (
            ["--checkpoint=a", "--output=a.keras", "--word_vectors=v", "--vocabulary=w"],
            "one of --word_vectors and --vocabulary",
        ),
        (
            ["--checkpoint=a", "--output=a.keras", "--first_word_id=2"],
            "--first_word_id needs --vocabulary",
        ),
        (["--checkpiont=a.pkl", "--output=a.keras"], "did you mean --checkpoint?"),
    ],
)
def test_wrong_usage_is_status_2(arguments, message):
    done = running.run_forked("import_checkpoint", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
