# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Imported networks held against modules that clean sentences by rules of their own."""

import gzip

import numpy as np
import pytest

from mmv_tf import publishing
from mmv_tf.inference import ModuleNetwork, check_against_module
from mmv_tf.pretrained import import_haiku_checkpoint, import_mil_nce_checkpoint
from tests import modules
from tests.pretrained import checkpoints, mil_nce_checkpoints

WORDS = modules.MANY_WORDS


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pkl"
    path.write_bytes(gzip.decompress(checkpoints.COMMITTED.read_bytes()))
    return path


@pytest.fixture
def model(checkpoint):
    return import_haiku_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({"lower": False, "punctuation": "words"}, marks=pytest.mark.slow),
        pytest.param(
            {"punctuation": "removed", "keep_unknown": True, "unknown_id": 1},
            marks=pytest.mark.slow,
        ),
        {
            "punctuation": "kept",
            "lower": False,
            "padding_id": 1,
            "stop_words": ("the", "of", "sings"),
        },
    ],
)
def test_the_module_s_rules_are_found(rules, model, tmp_path):
    module = modules.TextModule(model, modules.tokenizer_of(WORDS, **rules), WORDS).save(
        tmp_path / "module"
    )
    check = check_against_module(model, module)
    assert check.agrees, check.differences
    assert {name: check.rules[name] for name in rules if name in ("lower", "punctuation")} == {
        name: rules[name] for name in rules if name in ("lower", "punctuation")
    }
    assert tuple(check.rules["stop_words"]) == tuple(sorted(rules.get("stop_words", ())))
    sentence = ["Red  circle, don't (of course) the well-known U.S. e-mail. Paris sings!"]
    wanted = ModuleNetwork(module).run("text", sentence)["vat"]
    found = model({"text": model.tokenizer(sentence)})["text"]["vat"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert check.summary()["differences"]["text/vat"]["agrees"] is True


@pytest.mark.slow
def test_ids_that_the_graph_shifts_are_found(model, tmp_path):
    words = WORDS[2:]
    tokenizer = modules.tokenizer_of(words, shift=1, punctuation="split", padding_id=0)
    check = check_against_module(
        model, modules.TextModule(model, tokenizer, words).save(tmp_path / "m")
    )
    assert check.agrees
    assert check.rules["punctuation"] == "split"
    assert model.tokenizer(["red grey"]).numpy()[0, :3].tolist() == [1, 2, 0]


@pytest.mark.slow
def test_mil_nce_s_rules_are_known(tmp_path):
    checkpoint = mil_nce_checkpoints.write(tmp_path / "s3d.pth", mil_nce_checkpoints.small_state())
    words = mil_nce_checkpoints.WORDS
    model = import_mil_nce_checkpoint(checkpoint, dictionary=words)
    module = modules.TextModule(model, model.tokenizer, words).save(tmp_path / "module")
    again = import_mil_nce_checkpoint(checkpoint, dictionary=words)
    check = check_against_module(again, module)
    assert check.agrees and list(check.differences) == ["text/vt"]
    assert check.rules is None and check.summary()["rules"] is None


@pytest.mark.slow
def test_another_network_s_module_does_not_agree(model, tmp_path):
    folder = modules.TextModule(model, modules.tokenizer_of(WORDS), WORDS).save(tmp_path / "module")
    table = model.text.embedding.embeddings
    table.assign(np.random.default_rng(0).normal(size=table.shape))
    check = check_against_module(model, folder)
    assert not check.agrees
    assert check.differences["text/vat"].greatest > 0.01 * check.differences["text/vat"].rms


def test_modules_of_other_sizes_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match="don't belong together; pass"):
        check_against_module(model, modules.write_tf1(tmp_path / "module"))


@pytest.mark.slow
def test_all_signatures_of_an_exported_network_agree(checkpoint, tmp_path):
    model = import_haiku_checkpoint(checkpoint, vocabulary=WORDS)
    model.metadata.update({"num_frames": 4, "size": 64})
    publishing.export(model, tmp_path / "module")
    again = import_haiku_checkpoint(checkpoint, vocabulary=WORDS)
    check = check_against_module(again, tmp_path / "module")
    assert sorted(check.differences) == [
        "audio/last_conv", "audio/va", "audio/vat", "text/vat", "video/before_head", "video/va",
        "video/vat",
    ]  # fmt: skip
    assert check.agrees, check.differences
