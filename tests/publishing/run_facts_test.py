# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a model card says of the run that a model is from."""

import json
import shutil

import pytest

from mmv_tf import training
from mmv_tf.evaluation.held_out import HeldOutRetrieval
from mmv_tf.inference import model_hash
from mmv_tf.publishing import CardDetails, ExportOptions
from mmv_tf.publishing.contract import make_contract
from mmv_tf.publishing.model_card import write_card
from mmv_tf.publishing.run_facts import find_results, read_facts, run_of
from mmv_tf.training import experiment
from mmv_tf.training.forward import make_objective
from tests import small_run, small_world


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """The folder of a finished run with validation."""
    words = small_world.write_word_vectors(tmp_path_factory.mktemp("words"))
    config = small_run.get_config()
    config.update(word_vectors=str(words))
    config.data.directory = str(prepared)
    objective = make_objective(config.training)
    evaluate = HeldOutRetrieval(config.data, "validation", 8, 2, objective, clips_to_show=2)
    folder = tmp_path_factory.mktemp("work") / "run"
    experiment.run(config.lock(), folder, evaluate)
    return folder


def card(run, details=None, model=None):
    model = model or training.load_model(run)
    contract = make_contract({}, model.metadata, None, 32)
    return write_card(model, contract, ExportOptions(), details or CardDetails(), read_facts(run))


def section(text, title):
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_card_of_a_run_says_data_steps_machine_and_settings(run, prepared):
    manifest = json.loads((prepared / "manifest.json").read_text())
    text = card(run)
    data = section(text, "Training data")
    clips = manifest["splits"]["train"]["num_examples"]
    read = [source for source in manifest["sources"] if source["clips"]]
    hours = sum(source["seconds"] for source in read) / 3600
    assert f"{clips} clips of the split `train`" in data
    assert f"{len(read)} files, together {hours:,.2f} hours" in data
    assert "license: unknown" in data
    course = section(text, "Training")
    assert "step of these weights: 6 (the run was set to 6 steps)" in course
    assert "held-out clips at that step" in course and "`loss`" in course
    assert "machine: " in course and "unknown" not in course
    assert f"seed: {json.loads((run / 'config.json').read_text())['seed']}" in course
    assert "random weights" in section(text, "Origin")
    assert section(text, "License of the weights").strip().startswith("Unknown")
    settings = section(text, "Settings of the training run")
    assert "    training.steps = 6" in settings
    assert str(prepared.parent) not in text, "folders of this machine are not told"


def test_results_are_those_of_this_model(run):
    model = training.load_model(run)
    results = {
        "protocol": {"name": "made_up"},
        "model_sha256": model_hash(model),
        "retrieval": {"text -> video": {"R@1": 0.25, "intervals": {"R@1": [0.125, 0.5]}}},
    }
    beside = run.parent / "evaluation.json"
    beside.write_text(json.dumps(results))
    (run.parent / "other.json").write_text(json.dumps({**results, "model_sha256": "0"}))
    (run.parent / "broken.json").write_text("{")
    (run.parent / "list.json").write_text("[]")
    assert find_results(run, model_hash(model)) == [beside]
    text = card(run, CardDetails(results=(beside,)), model)
    row = "| `made_up` | retrieval, text -> video, R@1 | 0.25 | 0.125 to 0.5 |"
    assert row in section(text, "Results")
    assert "Unknown: no results file" in section(card(run, model=model), "Results")


def test_a_run_of_an_earlier_version_says_what_it_knows(run, tmp_path):
    old = tmp_path / "run"
    shutil.copytree(run, old)
    (old / "training.json").unlink()
    text = card(old)
    assert "hours: unknown" in section(text, "Training data")
    assert "clips of the split `train`" in section(text, "Training data")
    assert "machine and time: unknown" in section(text, "Training")
    (old / "data.json").unlink()
    assert "Unknown: the run does not state its data" in section(card(old), "Training data")


def test_the_run_is_found_by_each_of_its_models(run, tmp_path):
    checkpoint = max((run / "checkpoints").iterdir())
    for model in (run, run / "model.keras", checkpoint):
        assert run_of(model) == run
    assert read_facts(min((run / "checkpoints").iterdir())).step < 6
    shutil.copy(run / "model.keras", tmp_path)
    assert run_of(tmp_path / "model.keras") is None
    assert read_facts(tmp_path) is None and read_facts("mmv_s3d") is None


def test_an_imported_model_states_its_origin_and_license(tiny_model):
    own = {"source": "https://example.org/mmv", "licence": "CC BY-NC 4.0", "file": "a.pkl"}
    tiny_model.metadata.update(own)
    contract = make_contract({}, tiny_model.metadata, None, 32)
    text = write_card(tiny_model, contract, ExportOptions(), CardDetails())
    assert "Published at: https://example.org/mmv" in section(text, "Origin")
    assert "File: a.pkl" in section(text, "Origin")
    assert section(text, "License of the weights").strip() == "CC BY-NC 4.0"
    assert section(text, "Training data").strip().startswith("Unknown")
    assert "\n## Training\n" not in text


def test_hostile_settings_stay_text(run, tmp_path):
    bad = tmp_path / "run"
    shutil.copytree(run, bad)
    config = json.loads((bad / "config.json").read_text())
    config["strategy"] = "x\n\n# Title <script>"
    config["api_key"] = "hunter2"
    (bad / "config.json").write_text(json.dumps(config))
    text = card(bad)
    assert "\n# Title" not in text and "hunter2" not in text
    assert r"distribution: x \# Title \<script>" in text
