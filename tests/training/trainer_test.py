# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal

import ml_collections
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import training
from mmv_tf.data import Reader
from mmv_tf.training import experiment
from mmv_tf.training.checkpoints import NETWORK_FILE
from mmv_tf.training.trainer import Trainer
from tests import small_world


@pytest.fixture(scope="module")
def config(prepared, tmp_path_factory):
    words = small_world.write_word_vectors(tmp_path_factory.mktemp("words"))
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "strategy": "one_device",
            "word_vectors": str(words),
            "unit_word_vectors": False,
            "model": small_world.model_config(),
            "data": small_world.data_config(prepared),
            "optimizer": training.default_optimizer_config(),
            "training": training.default_config(),
        }
    )
    config.training.steps = 6
    config.training.log_every = 1
    config.training.checkpoint_every_seconds = 0.0
    config.optimizer.learning_rate = 1e-4  # so small that rounding is not amplified
    config.optimizer.warmup_steps = 2
    return config.lock()


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A finished run and its last metrics."""
    tf.config.experimental.enable_op_determinism()
    run = tmp_path_factory.mktemp("whole") / "run"
    return run, experiment.run(config, run)


def weights(model):
    return [variable.numpy() for variable in model.variables]


def changed(before, after):
    """For each weight whether it differs."""
    pairs = zip(weights(before), weights(after), strict=True)
    return [not np.array_equal(old, new) for old, new in pairs]


def distance(first, second):
    """How much the answers of two networks differ, as a share of their size."""
    clips = tf.random.stateless_uniform([4, 4, 32, 32, 3], [0, 0])
    sounds = tf.random.stateless_uniform([4, 38, 80, 1], [0, 1])
    sentences = tf.constant([[2, 3, 0, 0, 0, 0], [5, 6, 7, 0, 0, 0]])
    inputs = {"video": clips, "audio": sounds, "text": sentences}
    one, two = (
        np.concatenate(
            [
                np.ravel(value)
                for modality in network(inputs).values()
                for value in modality.values()
            ]
        )
        for network in (first, second)
    )
    return np.linalg.norm(one - two) / np.linalg.norm(one)


def test_a_run_trains_saves_and_loads(config, whole):
    run, metrics = whole
    assert np.isfinite(metrics["loss"])
    assert metrics["pairs/va"] == 4
    assert json.loads((run / "config.json").read_text())["training"]["steps"] == 6
    model, untrained = training.load_model(run), training.load_model(run / NETWORK_FILE)
    assert model.metadata["num_frames"] == 4
    for tower in ("video", "audio"):
        assert any(changed(getattr(untrained, tower), getattr(model, tower)))
    assert not any(changed(untrained.text.embedding, model.text.embedding))
    assert experiment.run(config, run) == {}, "a finished run is left as it is"


def test_stopped_and_gone_on_with_equals_never_stopped(config, whole, tmp_path, monkeypatch):
    original = Trainer._log

    def stop_at_three(self, step, metrics, waited):
        original(self, step, metrics, waited)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_log", stop_at_three)
        with pytest.raises(training.Preempted, match="step 3"):
            experiment.run(config, run)
    assert not (run / "model.keras").exists()
    partly = training.load_model(run)  # the newest checkpoint
    experiment.run(config, run)
    never_stopped, resumed = training.load_model(whole[0]), training.load_model(run)
    # Convolutions' gradients are summed by threads in any order, so equal means nearly so.
    assert distance(never_stopped, resumed) < 1e-3
    assert distance(never_stopped, partly) > 1e-2


def test_a_broken_newest_checkpoint_falls_back(whole, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(whole[0], run)
    (run / "model.keras").unlink()
    checkpoints = sorted((run / "checkpoints").glob("*.data-*"), key=os.path.getmtime)
    assert len(checkpoints) == 2
    os.truncate(checkpoints[-1], 100)
    training.load_model(run)
    assert "trying the one before" in caplog.text
    os.truncate(checkpoints[0], 100)
    with pytest.raises(ValueError, match="None of the 2 checkpoints"):
        training.load_model(run)


def test_other_settings_in_the_same_folder_are_refused(config, whole):
    other = config.copy_and_resolve_references().unlock()
    other.optimizer.learning_rate = 0.5
    with pytest.raises(ValueError, match=r"optimizer\.learning_rate was 0\.0001, now 0\.5"):
        experiment.run(other, whole[0])


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_examples(config, tmp_path):
    wild = config.copy_and_resolve_references().unlock()
    wild.optimizer.learning_rate = 1e38  # throws the weights out of range at once
    wild.optimizer.warmup_steps = 0
    run = tmp_path / "run"
    with pytest.raises(training.NotFiniteError, match=r"not finite at step \d+; examples: film"):
        experiment.run(wild, run)
    assert not (run / "model.keras").exists()


def test_the_loss_falls_on_a_fixed_batch(prepared, tmp_path):
    settings = training.default_config()
    settings.steps = 30
    optimizer = training.default_optimizer_config()
    optimizer.warmup_steps = 0
    strategy = training.make_strategy("one_device")
    with strategy.scope():
        model = small_world.tiny_model()
    reader = Reader(small_world.data_config(prepared), model.tokenizer, model.log_mel)
    trainer = Trainer(model, strategy, settings, optimizer, tmp_path)
    batch = next(iter(reader.train(seed=0)))
    losses = [float(trainer._train_step(batch)["loss"]) for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_loading_what_is_not_there_says_so(tmp_path):
    with pytest.raises(ValueError, match="no network at"):
        training.load_model(tmp_path / "absent.keras")
    with pytest.raises(ValueError, match="not the folder of a training run"):
        training.load_model(tmp_path)
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match="not a network saved by mmv_tf"):
        training.load_model(broken)
    with pytest.raises(ValueError, match="one_device"):
        training.make_strategy("tpu9")
