# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a model card says of the run that a model is from."""

import json

import pytest

from mmv_tf import training
from mmv_tf.evaluation.held_out import HeldOutRetrieval
from mmv_tf.publishing import CardDetails
from mmv_tf.publishing.model_card import format_card
from mmv_tf.publishing.run_facts import find_results, read_facts, run_of
from mmv_tf.training import experiment
from mmv_tf.training.forward import make_objective
from tests import small_run, small_world

CONTRACT = {"signatures": {}, "trained_at": {}}


def card(model, details=None, **metadata):
    details = details or CardDetails()
    return format_card("", "", metadata, CONTRACT, details, "", read_facts(model))


def section(text, title):
    return f"\n{text}".partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


@pytest.fixture
def run(tmp_path):
    """The folder of a run, as far as a card reads it."""
    folder = tmp_path / "work" / "run"
    config = json.loads(small_run.get_config().to_json())
    config["data"]["directory"] = "/home/ann/shards"
    config["word_vectors"] = "/home/ann/words.npy"
    write(folder / "config.json", config)
    write(folder / "initial.keras", "")
    write(folder / "model.keras", "")
    for step, metrics in ((3, {}), (6, {"loss": 2.5, "held_out/loss": 3.25})):
        manifest = {"step": step, "workers": 1, "metrics": metrics, "files": {}}
        write(folder / "checkpoints" / f"step-{step:08d}" / "checkpoint.json", manifest)
    described = {"splits": {"train": {"shards": 1, "records": 7}, "dev": {"records": 2}}}
    write(folder / "data.json", {"data set 1": described})
    data = {"name": "shards", "splits": ["train"], "clips": 1200, "captions": 900}
    data |= {"sources": 3, "source_seconds": 5400.0}
    machine = {"system": "Linux", "processor": "a processor", "cores": 2, "accelerators": []}
    write(
        folder / "training.json",
        {"data": [data], "machine": machine, "versions": {"mmv_tf": "0.1.0"}, "seconds": 90.0},
    )
    return folder


def test_the_card_says_data_steps_machine_and_settings(run):
    text = card(run)
    data = section(text, "Training data")
    assert "- shards: 1,200 clips from the split `train`" in data
    assert "captions: 900" in data and "3 files, 1.50 hours in total" in data
    assert "license: unknown" in data
    course = section(text, "Training")
    for said in (
        "step of these weights: 6 (the run was set to 6 steps)",
        "weights of the pairs in the loss: `va` 1.0, `vt` 1.0",
        "seed: 0",
        "loss of the last steps: 2.5",
        "held-out clips at that step, for monitoring the run (not a test): `loss` 3.25",
        "machine: a processor, 2 cores, no accelerator",
        "time: 1.5 minutes",
    ):
        assert said in course, said
    assert "unknown" not in course
    assert "random weights" in section(text, "Origin")
    assert section(text, "License of the weights").strip().startswith("Unknown")
    settings = section(text, "Settings of the training run").strip("\n").splitlines()
    assert "    training.steps = 6" in settings and "    word_vectors = words.npy" in settings
    assert all(line.startswith("    ") for line in settings)
    assert "ann" not in text.split(), "folders of a machine are not told"
    assert "/home" not in text


def test_results_are_those_of_this_model(run):
    results = {
        "protocol": {"name": "made_up"},
        "model_sha256": "a1",
        "retrieval": {
            "text -> video": {
                **{"R@1": 0.25, "chance/R@1": 0.125, "count": 8, "p_value": 0.01},
                "intervals": {"R@1": [0.125, 0.5]},
            }
        },
        "linear_probe": {"video": {"accuracy": 0.5, "interval": [0.25, 0.75], "majority": 0.25}},
    }
    beside = run.parent / "evaluation.json"
    write(beside, results)
    write(run.parent / "other.json", {**results, "model_sha256": "b2"})
    write(run.parent / "broken.json", "{")
    write(run.parent / "list.json", "[]")
    assert find_results(run, "a1") == [beside]
    text = card(run, CardDetails(results=(beside,)))
    assert section(text, "Results").strip().splitlines()[2:] == [
        "| `made_up` | retrieval, text -> video, R@1 | 0.25 | 0.125 to 0.5 | 0.125 | 8 |",
        r"| `made_up` | retrieval, text -> video, p\_value | 0.01 |  |  | 8 |",
        r"| `made_up` | linear\_probe, video, accuracy | 0.5 | 0.25 to 0.75 | 0.25 |  |",
    ]
    assert "Unknown: no results file" in section(card(run), "Results")


def test_a_run_of_an_earlier_version_says_what_it_knows(run):
    (run / "training.json").unlink()
    data = section(card(run), "Training data")
    assert "9 clips from the split `train`, `dev`" in data and "hours: unknown" in data
    assert "machine and time: unknown" in section(card(run), "Training")
    (run / "data.json").unlink()
    assert "Unknown: the run does not state its data" in section(card(run), "Training data")


def test_the_run_is_found_by_each_of_its_models(run, tmp_path):
    first, last = sorted((run / "checkpoints").iterdir())
    for model in (run, run / "model.keras", last):
        assert run_of(model) == run and read_facts(model).step == 6
    assert read_facts(first).step == 3 and read_facts(first).metrics == {}
    write(tmp_path / "model.keras", "")
    assert run_of(tmp_path / "model.keras") is None
    assert read_facts(tmp_path) is None and read_facts("mmv_s3d") is None


def test_a_run_that_stops_early_has_its_best_weights(run):
    config = json.loads((run / "config.json").read_text())
    config["training"] |= {"stop_after": 2, "best_metric": "held_out/loss", "best_is": "least"}
    write(run / "config.json", config)
    best = {"step": 3, "workers": 1, "metrics": {"held_out/loss": 3.0}, "files": {}}
    write(run / "checkpoints" / "step-00000003" / "checkpoint.json", best)
    assert read_facts(run).step == 3


def test_an_imported_model_states_its_origin_and_license(run, tmp_path):
    own = {"source": "https://example.org/mmv", "licence": "CC BY-NC 4.0", "file": "a.pkl"}
    text = card(tmp_path, **own)
    assert "Published at: https://example.org/mmv" in section(text, "Origin")
    assert "File: a.pkl" in section(text, "Origin")
    assert section(text, "License of the weights").strip() == "CC BY-NC 4.0"
    assert section(text, "Training data").strip().startswith("Unknown")
    assert "\n## Training\n" not in text
    # Training that started from it inherits origin and license, and says so.
    start = {"init_from": "/home/ann/mmv.keras", "taken": ["video"], "new": ["text"], "unused": []}
    write(run / "start.json", start)
    text = card(run, **own)
    assert "from the weights of `mmv.keras`" in section(text, "Origin")
    assert "started from were published at: https://example.org/mmv" in section(text, "Origin")
    license_ = section(text, "License of the weights")
    assert "CC BY-NC 4.0, the license of the weights that training started from" in license_
    stated = section(card(run, CardDetails(licence="MIT"), **own), "License of the weights")
    assert stated.strip() == "MIT"


def test_hostile_settings_stay_text(run):
    config = json.loads((run / "config.json").read_text())
    config["strategy"] = "x\n\n# Title <script>"
    config["api_key"] = "hunter2"
    write(run / "config.json", config)
    text = card(run)
    assert "\n# Title" not in text and "hunter2" not in text
    assert r"distribution: x \# Title \<script>" in text


def test_damage_is_told(run):
    write(run / "training.json", {"data": [{"name": 3}]})
    with pytest.raises(ValueError, match=r"training\.json.*name is 3; expected a string"):
        read_facts(run)


@pytest.mark.slow
def test_a_real_run_leaves_what_a_card_says(prepared, tmp_path):
    config = small_run.get_config()
    config.word_vectors = str(small_world.write_word_vectors(tmp_path))
    config.data.directory = str(prepared)
    objective = make_objective(config.training)
    evaluate = HeldOutRetrieval(config.data, "validation", 8, 2, objective, clips_to_show=2)
    experiment.run(config.lock(), tmp_path / "run", evaluate)
    manifest = json.loads((prepared / "manifest.json").read_text())
    text = card(tmp_path / "run")
    data = section(text, "Training data")
    clips = manifest["splits"]["train"]["num_examples"]
    read = [source for source in manifest["sources"] if source["clips"]]
    hours = sum(source["seconds"] for source in read) / 3600
    assert f"{clips} clips from the split `train`" in data
    assert f"{len(read)} files, {hours:,.2f} hours in total" in data
    course = section(text, "Training")
    assert "step of these weights: 6" in course and "unknown" not in course
    assert "held-out clips at that step" in course
    assert str(prepared.parent) not in text
    curves = training.logging.read_scalars(tmp_path / "run")
    assert {"train/loss", "held_out/loss", "held_out/loss/va"} <= set(curves)
