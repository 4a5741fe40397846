# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import logging
import re
import shutil

import ml_collections
import numpy as np
import pytest

from mmv_tf import training
from mmv_tf.graphs import Disjoint, FineAndCoarse
from mmv_tf.inference import model_hash
from mmv_tf.training import experiment, run_folder, starting
from tests import small_run, small_world

WORDS = len(small_world.WORDS)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A file with weights: a model whose batch norms have seen something."""
    model = small_world.tiny_model()
    for weight in model.weights:
        if weight.name == "moving_mean":
            weight.assign(weight + 0.1)
    path = tmp_path_factory.mktemp("source") / "source.keras"
    training.save_model(model, path)
    return path


@pytest.fixture
def config(prepared, source):
    config = small_run.get_config()
    config.update(init_from=str(source), init_partial=False, init_vocabulary="")
    config.data.directory = str(prepared)
    config.training.evaluate_every_steps = 0
    return config


def make(config):
    return starting.make(config, starting.open_source(config))


def same(first, second):
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.slow
def test_a_run_of_no_steps_has_the_weights_of_its_source_to_the_bit(config, source, tmp_path):
    config.training.steps = 0
    experiment.run(config.lock(), tmp_path / "run")
    before, after = training.load_model(source), training.load_model(tmp_path / "run")
    assert same(before, after)
    clips = np.random.default_rng(0).uniform(size=[2, 4, 32, 32, 3]).astype(np.float32)
    for space, value in before({"video": clips})["video"].items():
        np.testing.assert_array_equal(value, after({"video": clips})["video"][space])
    assert list(before.tokenizer.vocabulary) == list(after.tokenizer.vocabulary)
    assert (tmp_path / "run" / "start.json").exists()


@pytest.mark.slow
def test_a_model_section_without_backbones_takes_the_architecture(config, source):
    config.model = {"metadata": {"license": "mine"}}
    model, start = make(config)
    theirs = training.load_model(source)
    assert same(model, theirs)
    assert start.taken == tuple(theirs.parts())
    assert start.new == start.unused == ()
    assert model.metadata["license"] == "mine"
    assert model.metadata["num_frames"] == config.data.num_frames
    del config.model.metadata
    theirs.metadata = {**theirs.metadata, "input_range": [0.0, 1.0]}
    assert model_hash(make(config)[0]) == model_hash(theirs)


def test_the_log_says_what_came_from_where(config, source, caplog):
    config.model = {"graph": {"name": "disjoint"}}
    config.training.weights = {"va": 1.0, "vt": 0.0}
    with caplog.at_level(logging.INFO, logger="mmv_tf"):
        make(config)
    text = " ".join(record.getMessage() for record in caplog.records)
    assert f"Weights from {source}: video, audio, text." in text
    assert "Random weights: heads/video_to_audio, heads/video_to_text" in text
    assert "Not trained, because no pair compares them: text." in text


@pytest.mark.slow
def test_a_graph_of_another_kind_takes_the_towers_and_starts_new_heads(config, source):
    config.model = {"graph": {"name": "disjoint", "dim": 12, "hidden_dim": None}}
    model, start = make(config)
    theirs = training.load_model(source)
    assert isinstance(model, Disjoint)
    assert model.dim == 12
    assert start.taken == ("video", "audio", "text")
    for modality in start.taken:
        assert same(model.backbone(modality), theirs.backbone(modality))
    assert model.log_mel.get_config()["mel_bins"] == theirs.log_mel.get_config()["mel_bins"]


@pytest.mark.slow
def test_another_precision_keeps_the_weights(config, source):
    config.model = {"dtype": "mixed_bfloat16"}
    model, _ = make(config)
    assert model.video.compute_dtype == "bfloat16"
    assert same(model, training.load_model(source))


@pytest.mark.slow
def test_a_described_model_takes_tokenizer_and_log_mel(config, source):
    model, start = make(config)
    assert len(model.tokenizer.vocabulary) >= WORDS
    assert same(model, training.load_model(source))
    assert set(start.taken) == set(model.parts())


def test_fewer_modalities_need_no_weights_of_the_others(config):
    del config.model.text
    config.training.weights = {"va": 1.0, "vt": 0.0}
    model, start = make(config)
    assert model.modalities == ("video", "audio")
    assert "heads/fine_to_coarse" in start.unused


@pytest.mark.slow
def test_what_does_not_fit_is_listed(config):
    config.model.video.width = 0.125
    config.model.graph.coarse_dim = 12
    with pytest.raises(
        ValueError, match=r"don't match the model of this run: video: .*; heads/"
    ) as e:
        make(config)
    assert "heads/fine_to_coarse" in str(e.value)
    assert "init_partial=True" in str(e.value)
    assert "audio:" not in str(e.value)
    config.init_partial = True
    model, start = make(config)
    assert set(start.taken) == {"audio", "text", "heads/audio_to_fine"}
    assert "video" in start.new
    assert isinstance(model, FineAndCoarse)


@pytest.mark.slow
def test_a_backbone_that_the_source_lacks_is_listed(config, source, tmp_path):
    theirs = training.load_model(source)
    without = FineAndCoarse(
        video=theirs.video, text=theirs.text, tokenizer=theirs.tokenizer,
        fine_dim=16, coarse_dim=8, hidden_dim=16,
    )  # fmt: skip
    training.save_model(without, tmp_path / "vt.keras")
    config.init_from = str(tmp_path / "vt.keras")
    with pytest.raises(ValueError, match="audio: missing from the model in init_from"):
        make(config)


@pytest.mark.slow
def test_weights_that_mean_something_else_are_told(config, caplog):
    config.model.text.mask_padding = True
    make(config)
    assert (
        "The shapes of text match, but its settings differ: mask_padding is False in init_from"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init_from": "nowhere"}, "There is no network at 'nowhere'"),
        ({"word_vectors": "words.txt"}, "the words come with"),
        ({"model": {"audio": {"depth": 18}}}, "model.audio is set without model.video"),
        (
            {"model": {"graph": {"name": "fac", "dim": 3}}},
            "model.graph does not match FineAndCoarse",
        ),
        ({"model": {"graph": {"name": "fac", "coarse_dim": 3}}}, "heads/fine_to_coarse"),
    ],
)
def test_mistakes_are_one_clear_error(config, changes, message):
    for name, value in changes.items():
        config[name] = ml_collections.ConfigDict(value) if isinstance(value, dict) else value
    with pytest.raises(ValueError, match=re.escape(message)):
        make(config)


@pytest.mark.slow
def test_a_pair_without_a_backbone_says_what_to_do(config, source, tmp_path):
    theirs = training.load_model(source)
    training.save_model(FineAndCoarse(video=theirs.video, audio=theirs.audio), tmp_path / "a.keras")
    config.init_from = str(tmp_path / "a.keras")
    config.model = {}
    with pytest.raises(ValueError, match=r"weights.vt is above 0, but .*a.keras has no text"):
        make(config)


def test_log_mel_settings_that_the_weights_do_not_know_are_refused(config):
    config.model.log_mel = {"mel_bins": 40}
    with pytest.raises(ValueError, match=r"model.log_mel.mel_bins is 40, .* has 80"):
        make(config)


@pytest.mark.slow
def test_a_failed_start_leaves_an_empty_folder(config, tmp_path):
    config.model.video.width = 0.125
    with pytest.raises(ValueError, match="don't match"):
        experiment.run(config.lock(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_clips_as_the_source_saw_them(config, tmp_path):
    config.model = {}
    config.data.update(num_frames=0, frame_rate=1.0, size=8, square_crop=False)
    config.training.update(steps=1, freeze=("video", "audio", "text"))
    experiment.run(config.lock(), tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    assert (saved["num_frames"], saved["frame_rate"], saved["size"]) == (4, 5.0, 32)
    assert experiment.run(config, tmp_path / "run") == {}, "the same command finds it finished"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init_from": ""}, "the model section has no video backbone"),
        ({"steps": -1}, "training.steps is -1; expected 0 or more"),
        ({"init_from": "", "frozen": True}, "training.frozen_batch_norm keeps the statistics"),
    ],
)
def test_settings_that_need_weights(config, tmp_path, changes, message):
    config.model = {}
    config.training.frozen_batch_norm = changes.pop("frozen", False)
    config.training.steps = changes.pop("steps", 1)
    config.update(changes)
    with pytest.raises(ValueError, match=message):
        experiment.run(config.lock(), tmp_path / "run")


@pytest.mark.slow
def test_a_run_is_extended_and_goes_on_exactly(config, tmp_path):
    run, twin = tmp_path / "run", tmp_path / "twin"
    config.training.update(steps=2, average_decay=0.5, freeze=("audio",))
    for folder in (run, twin):
        experiment.run(ml_collections.ConfigDict(config).lock(), folder)
    first = training.load_model(run).get_weights()
    config.training.steps = 4
    for folder in (run, twin):
        metrics = experiment.run(ml_collections.ConfigDict(config).lock(), folder)
        assert np.isfinite(metrics["loss"])
    kept = training.load_model(run / "model-00000002.keras").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))
    extended = training.load_model(run)
    assert same(extended, training.load_model(twin))
    assert not all(np.array_equal(a, b) for a, b in zip(first, extended.get_weights(), strict=True))
    assert same(extended, training.load_model(run / "checkpoints" / "step-00000004"))
    assert json.loads((run / "config.json").read_text())["training"]["steps"] == 4
    config.training.steps = 3
    with pytest.raises(ValueError, match=r"holds a run of 4 steps, but training.steps is 3"):
        experiment.run(config, run)


@pytest.mark.slow
def test_a_run_of_an_earlier_version_goes_on(config, tmp_path):
    """Its settings lack the entries that came later."""
    config.training.steps = 1
    config.init_from = ""
    config.word_vectors = str(small_world.write_word_vectors(tmp_path))
    experiment.run(ml_collections.ConfigDict(config).lock(), tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    settings = json.loads(path.read_text())
    for name in ("freeze", "learning_rates", "frozen_batch_norm"):
        del settings["training"][name]
    for name in ("init_from", "init_partial", "init_vocabulary"):
        del settings[name]
    path.write_text(json.dumps(settings))
    (tmp_path / "run" / "start.json").unlink()
    (tmp_path / "run" / "model.keras").unlink()
    experiment.run(ml_collections.ConfigDict(config).lock(), tmp_path / "run")
    settings["training"]["steps"] = 1
    path.write_text(json.dumps(settings))
    config.training.freeze = ("video",)
    with pytest.raises(ValueError, match=r"training.freeze was \[\]"):
        experiment.run(config, tmp_path / "run")
    assert run_folder.read_start(tmp_path / "run") == run_folder.Start()


@pytest.mark.slow
def test_a_run_that_stopped_early_is_not_extended(config, tmp_path):
    """Its finished model is there, its last checkpoint before its last step."""
    config.training.update(steps=2, freeze=("video", "audio"))
    experiment.run(ml_collections.ConfigDict(config).lock(), tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000002")
    config.training.steps = 4
    with pytest.raises(ValueError, match=r"stopped early, at step 1 of 2, .*--init_from="):
        experiment.run(config.lock(), tmp_path / "run")
    assert (tmp_path / "run" / "model.keras").exists()
