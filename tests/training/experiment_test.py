# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal

import numpy as np
import pytest

from mmv_tf import training
from mmv_tf.data import DamagedDataError
from mmv_tf.data.records.manifests import read_manifest
from mmv_tf.evaluation.held_out import HeldOutRetrieval
from mmv_tf.training import experiment, run_folder
from mmv_tf.training.logging import Watcher
from mmv_tf.training.run_folder import INITIAL_FILE, MODEL_FILE
from mmv_tf.util import locks
from mmv_tf.util.configuration import write_json
from tests import small_run, small_world


@pytest.fixture(scope="module")
def config(prepared, tmp_path_factory):
    words = small_world.write_word_vectors(tmp_path_factory.mktemp("words"))
    config = small_run.get_config()
    config.update(word_vectors=str(words))
    config.data.directory = str(prepared)
    return config.lock()


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A finished run and its last metrics."""
    run = tmp_path_factory.mktemp("whole") / "run"
    return run, experiment.run(config, run)


def weights(model):
    return [variable.numpy() for variable in model.variables]


def changed(before, after):
    """For each weight whether it differs."""
    pairs = zip(weights(before), weights(after), strict=True)
    return [not np.array_equal(old, new) for old, new in pairs]


def test_a_run_trains_saves_and_loads(config, whole):
    run, metrics = whole
    assert np.isfinite(metrics["loss"])
    assert metrics["pairs/va"] == 4
    assert json.loads((run / "config.json").read_text())["training"]["steps"] == 6
    model, untrained = training.load_model(run), training.load_model(run / INITIAL_FILE)
    assert model.metadata["num_frames"] == 4
    for tower in ("video", "audio"):
        assert any(changed(getattr(untrained, tower), getattr(model, tower)))
    assert not any(changed(untrained.text.embedding, model.text.embedding))
    assert experiment.run(config, run) == {}, "a finished run is left as it is"


@pytest.mark.slow
def test_a_run_under_the_former_name_of_its_untrained_model_is_read(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole[0], run)
    (run / "model.keras").unlink()
    expected = training.load_model(run).weights
    (run / INITIAL_FILE).rename(run / "network.keras")
    for weight, one in zip(training.load_model(run).weights, expected, strict=True):
        np.testing.assert_array_equal(weight.numpy(), one.numpy())


@pytest.mark.slow  # a quick one kills a process: processes_test
def test_stopped_and_gone_on_with_equals_never_stopped(config, whole, tmp_path, monkeypatch):
    original = Watcher.after_step

    def stop_at_three(self, step, values, waited):
        original(self, step, values, waited)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(Watcher, "after_step", stop_at_three)
        with pytest.raises(training.Preempted, match="step 4"):
            experiment.run(config, run)
    assert not (run / "model.keras").exists()
    partly = training.load_model(run)  # the newest checkpoint
    metrics = experiment.run(config, run)
    never_stopped, resumed = training.load_model(whole[0]), training.load_model(run)
    assert any(changed(never_stopped, partly))
    assert metrics["loss"] == whole[1]["loss"]
    assert not any(changed(never_stopped, resumed))


def test_other_settings_in_the_same_folder_are_refused(config, whole):
    other = config.copy_and_resolve_references().unlock()
    other.optimizer.learning_rate = 0.5
    with pytest.raises(ValueError, match=r"optimizer\.learning_rate was [0-9.]+, now 0\.5"):
        experiment.run(other, whole[0])


def test_a_run_of_an_earlier_version_goes_on_without_what_it_lacked(
    config, whole, tmp_path, caplog
):
    caplog.set_level("INFO")
    run = tmp_path / "run"
    shutil.copytree(whole[0], run)
    settings = json.loads((run / "config.json").read_text())
    del settings["training"]["mask_duplicates"], settings["training"]["stop_after"]
    (run / "config.json").write_text(json.dumps(settings))
    for _ in range(2):  # it is still of that version afterwards
        assert experiment.run(config, run) == {}
        assert "which did not mask duplicates; it resumes without" in caplog.text
        caplog.clear()
        assert json.loads((run / "config.json").read_text()) == settings
    other = config.copy_and_resolve_references().unlock()
    other.training.mask_duplicates = "source"
    with pytest.raises(ValueError, match=r"mask_duplicates was 'none', now 'source'"):
        experiment.run(other.lock(), run)
    other.unlock().training.mask_duplicates = "none"
    assert experiment.run(other.lock(), run) == {}
    other.unlock().training.update(
        stop_after=1, best_metric="held_out/R@1", best_is="most", evaluate_every_steps=1
    )
    with pytest.raises(ValueError, match=r"training\.\w+ was .*, now"):
        experiment.run(other.lock(), run, lambda model, stop: {"R@1": 1.0})


def test_what_chooses_the_end_may_not_change_if_the_run_may_stop(config, tmp_path):
    stopping = config.copy_and_resolve_references().unlock()
    stopping.training.update(stop_after=1, best_metric="held_out/R@1", best_is="most")
    run_folder.save_config(stopping, tmp_path)
    run_folder.check_config(stopping, tmp_path)
    stopping.training.keep_checkpoints = 7
    run_folder.check_config(stopping, tmp_path)
    for entry, value in (("best_metric", "held_out/R@5"), ("evaluate_split", "test")):
        other = stopping.copy_and_resolve_references()
        other.training[entry] = value
        with pytest.raises(ValueError, match=rf"training\.{entry} was .*, now {value!r}"):
            run_folder.check_config(other, tmp_path)


def test_a_run_to_its_last_step_may_be_evaluated_on_another_split(config, tmp_path):
    run_folder.save_config(config, tmp_path)
    other = config.copy_and_resolve_references().unlock()
    other.training.evaluate_split = "test"
    run_folder.check_config(other, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("word_vectors", "none.npy", r"none\.npy: no such file; expected word vectors"),
        ("word_vectors", "", "needs words"),
        ("data.split", "dev", "no split 'dev'"),
    ],
)
def test_a_mistake_leaves_nothing_that_the_corrected_run_would_meet(
    config, tmp_path, key, value, message
):
    wrong = config.copy_and_resolve_references().unlock()
    wrong.update_from_flattened_dict({key: value})
    with pytest.raises(ValueError, match=message):
        experiment.run(wrong.lock(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_records_left_out_are_counted_to_the_last_line(
    config, prepared, tmp_path, monkeypatch, caplog
):
    data = tmp_path / "data"
    shutil.copytree(prepared, data)
    shard = min(data.glob("train-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    skipping = config.copy_and_resolve_references().unlock()
    skipping.data.update(directory=str(data), on_bad_record="skip", max_bad_fraction=0.5)
    # What the loop does with them, trainer_test says.
    monkeypatch.setattr(training.Trainer, "run", lambda *arguments, **_: arguments[5]())
    metrics = experiment.run(skipping.lock(), tmp_path / "run")
    written = sum(shard["records"] for shard in read_manifest(data)["splits"]["train"]["shards"])
    assert metrics == {"payload checksum": 1}
    line = f"{written - 1} of {written} records are read; left out: 1 payload checksum."
    assert caplog.messages[-1] == f"{tmp_path / 'run'}: {line}"


def test_damage_of_what_is_evaluated_is_told_before_the_run(config, prepared, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(prepared, data)
    shard = min(data.glob("validation-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    damaged = with_data(config, data)
    evaluate = HeldOutRetrieval(damaged.data, "validation", 8)
    with pytest.raises(DamagedDataError, match=shard.name):
        experiment.run(damaged, tmp_path / "run", evaluate)
    assert not (tmp_path / "run").exists()


def with_data(config, directory):
    other = config.copy_and_resolve_references().unlock()
    other.data.directory = str(directory)
    return other.lock()


def test_data_may_move_but_not_change(config, whole, prepared, tmp_path):
    run, _ = whole
    moved = tmp_path / "moved"
    shutil.copytree(prepared, moved)
    assert experiment.run(with_data(config, moved), run) == {}
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    manifest = read_manifest(moved)
    manifest["splits"]["train"]["shards"][1]["sha256"] = "0" * 64
    write_json(manifest, moved / "manifest.json")
    message = rf"{moved}: splits\.train\.sha256 is '\w+', but was '\w+' in the data that the run"
    with pytest.raises(ValueError, match=message):
        experiment.run(with_data(config, moved), run)
    after = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert before == after


def test_a_second_run_in_the_folder_is_refused(config, whole):
    run, _ = whole
    held = locks.held(run / "lock", run, "busy")
    with held, pytest.raises(ValueError, match=rf"^{run}: another program .* is training there"):
        experiment.run(config, run)


def test_a_broken_record_of_settings_is_named(config, whole, tmp_path):
    shutil.copy(whole[0] / "data.json", tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: not JSON"):
        experiment.run(config, tmp_path)


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


@pytest.mark.parametrize("place", [0.02, 0.5, 0.9, 0.999])
def test_a_damaged_network_file_is_refused(whole, tmp_path, place):
    damaged = bytearray((whole[0] / MODEL_FILE).read_bytes())
    # Near the ends are zip's own headers and its directory, between them the weights.
    start = int(place * len(damaged))
    damaged[start : start + 64] = bytes(value ^ 0xFF for value in damaged[start : start + 64])
    (tmp_path / "damaged.keras").write_bytes(damaged)
    with pytest.raises(ValueError, match="not a network saved by mmv_tf"):
        training.load_model(tmp_path / "damaged.keras")
