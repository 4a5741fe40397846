# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files of version 0.1 load and mean what they meant; tools/write_artifacts.py wrote them."""

from __future__ import annotations

import json
import pathlib
import tarfile

import ml_collections
import numpy as np
import pytest
import tensorflow as tf

import mmv_tf
from mmv_tf.data.integrity import verification
from mmv_tf.data.records.keys import key_map
from mmv_tf.evaluation.feature_store import FeatureStore
from tools import network_answers

ARCHIVE = pathlib.Path(__file__).parent / "v0_1.tar.xz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files as they were written."""
    folder = tmp_path_factory.mktemp("v0_1")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def sentence(folder):
    return json.loads((folder / "written.json").read_text())["sentence"]


@pytest.fixture(scope="module")
def recorded(folder):
    """What the networks answered when they were written."""
    with np.load(folder / "answers.npz", allow_pickle=True) as file:
        return dict(file)


@pytest.fixture(scope="module")
def fac(folder):
    return mmv_tf.load_model(folder / "fac.keras")


def assert_as_recorded(answers, recorded, name):
    expected = {
        key.removeprefix(f"{name}/"): value
        for key, value in recorded.items()
        if key.startswith(f"{name}/")
    }
    assert answers.keys() == expected.keys() != set()
    for key, value in expected.items():
        np.testing.assert_allclose(answers[key], value, rtol=1e-5, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", ["fac", "shared", "disjoint", "image"])
def test_networks_answer_as_they_did(name, folder, recorded):
    assert_as_recorded(network_answers.answers(folder / f"{name}.keras"), recorded, name)


def test_an_unfinished_runs_newest_checkpoint_answers_as_it_did(folder, recorded):
    assert_as_recorded(network_answers.answers(folder / "run"), recorded, "run")


def test_an_export_answers_as_it_did(folder, recorded):
    assert_as_recorded(network_answers.answers(folder / "saved_model"), recorded, "saved_model")


@pytest.mark.slow
def test_an_export_is_opened_as_an_encoder(folder, sentence):
    exported, kept = (mmv_tf.load_encoder(folder / n) for n in ("saved_model", "fac.keras"))
    assert exported.settings == kept.settings
    found, expected = (e.embed_text([sentence])["vat"] for e in (exported, kept))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("data", ["data", "silent"])
def test_shards_are_whole(folder, data):
    found = verification.verify(folder / data, key_map("mmv"), decode=True)
    assert found.clean, verification.format_verification(found)
    assert found.report.read > 0


@pytest.mark.slow
def test_an_evaluation_gives_the_same_results(folder, fac):
    protocol = mmv_tf.evaluation.PROTOCOLS.get("narrated_film")
    outcome = mmv_tf.evaluation.run_protocol(protocol, fac, str(folder / "data"))
    before = json.loads((folder / "results.json").read_text())
    assert outcome.results["model_sha256"] == before["model_sha256"]
    assert outcome.results["clips"] == before["clips"]
    found, expected = outcome.results["retrieval"], before["retrieval"]
    tf.nest.assert_same_structure(json.loads(json.dumps(found)), expected)
    assert tf.nest.flatten(found) == pytest.approx(tf.nest.flatten(expected))
    with np.load(folder / "embeddings.npz", allow_pickle=True) as embeddings:
        for name, values in outcome.test.features.items():
            expected = embeddings[name][embeddings["is_test"]]
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_results_are_compared(folder):
    path = folder / "results.json"
    outcome = mmv_tf.evaluation.compare(path, path)
    differences = [metric["difference"] for part in outcome.values() for metric in part.values()]
    assert differences and not any(differences)


def test_an_index_gives_the_same_answer(folder, sentence):
    searcher = mmv_tf.search.Searcher(folder / "index", folder / "fac.keras")
    answer = searcher.search([mmv_tf.search.Query("text", sentence)], 10)
    before = json.loads((folder / "query.json").read_text())["moments"]
    first = (answer.moments[0].video, answer.moments[0].score)
    assert first == (before[0]["file"], pytest.approx(before[0]["score"], abs=1e-3))
    places = {p.video for moment in answer.moments for p in (moment, *moment.also)}
    assert places == {moment["file"] for moment in before}
    # Moments were longer then, and those of copies were not folded; the scores are the same.
    for expected in before:
        scores, spans = searcher.curve(expected["file"], answer.asked)
        inside = (spans[:, 0] >= expected["start"] - 0.01) & (spans[:, 1] <= expected["end"] + 0.01)
        assert scores[inside].max() == pytest.approx(expected["score"], abs=1e-3)


def test_features_are_read(folder):
    features = folder / "features"
    description = json.loads((features / "description.json").read_text())
    file_format = description.pop("format", "npz")
    store = FeatureStore(features, description, file_format=file_format)
    with np.load(next(features.glob("part-*.npz")), allow_pickle=True) as part:
        name, version = part["id"][0], part["version"][0]
        assert store.has(name, version)
        (found,) = store.load([name], "before_head")
        np.testing.assert_array_equal(found, part["before_head"][: len(found)])


@pytest.mark.slow
def test_a_run_resumes_and_ends_as_it_did(folder, fac):
    run = folder / "run"
    config = ml_collections.ConfigDict(json.loads((run / "config.json").read_text()))
    config.data.directory = str(folder / "data")
    mmv_tf.training.run(config, run)
    # The gradient of a bias before a batch norm is rounding, which Adam turns into whole steps, and
    # which other processors round otherwise.
    noise = 2 * config.training.steps * config.optimizer.learning_rate
    model = mmv_tf.load_model(run)
    for found, expected in zip(model.weights, fac.weights, strict=True):
        atol = noise if expected.name == "bias" else 1e-4
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=atol, err_msg=expected.path)
    generator = np.random.default_rng(0)
    inputs = {
        "video": generator.uniform(size=[2, 4, 32, 32, 3]).astype(np.float32),
        "audio": generator.normal(size=[2, 24, 80, 1]).astype(np.float32),
    }
    for modality, expected in fac(inputs).items():
        for space, value in model(inputs)[modality].items():
            np.testing.assert_allclose(value, expected[space], rtol=2e-2, atol=2e-2)
