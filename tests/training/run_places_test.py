# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs in object stores; stored_runs_test kills their processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from mmv_tf import training
from mmv_tf.training import checkpoints, run_places
from mmv_tf.training.checkpoints import BrokenCheckpointError, CheckpointStore, step_of
from mmv_tf.training.random_state import seed_everything
from mmv_tf.training.stored_checkpoints import Background, complete_checkpoints
from mmv_tf.training.trainer import Trainer
from mmv_tf.util.storage.errors import StorageError
from mmv_tf.util.storage.store import open_store
from mmv_tf.util.storage.urls import path_of
from tests.training import linear_world

BATCH = 8


def make_trainer(place, **changes):
    place.fetch()
    seed_everything(0, deterministic=False)
    strategy = training.make_strategy("one_device")
    with strategy.scope():
        model = linear_world.LinearGraph()
    settings = linear_world.settings(**changes)
    optimizer = linear_world.optimizer_settings()
    return Trainer(model, strategy, settings, optimizer, place.directory, place=place)


def train(place, evaluate=None, stop_at=0, **changes):
    """Weights at the end; a run that is stopped ends after that step."""
    trainer = make_trainer(place, **{"steps": 6, "checkpoint_every_steps": 2, **changes})
    steps = itertools.count(max(map(step_of, trainer.store.paths()), default=0) + 1)

    def stop():
        if next(steps) == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return {}

    with trainer.store.finished():
        if stop_at:
            with pytest.raises(training.Preempted):
                trainer.run(linear_world.dataset(BATCH), BATCH, evaluate, skipped=stop)
        else:
            trainer.run(linear_world.dataset(BATCH), BATCH, evaluate)
    return trainer.model.get_weights()


def opened(store):
    return run_places.open_run(path_of(f"{store.url}/run"))


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_folder_of_a_disk_is_no_store(tmp_path):
    assert type(run_places.open_run(tmp_path)) is run_places.RunPlace


@pytest.mark.parametrize(
    "either_store", ["s3", pytest.param("gs", marks=pytest.mark.slow)], indirect=True
)
def test_a_fresh_machine_goes_on_as_if_nothing_had_happened(either_store, tmp_path):
    whole = train(run_places.RunPlace(tmp_path / "local"))
    train(opened(either_store), stop_at=3)
    assert complete_checkpoints(opened(either_store).store) == {"step-00000002", "step-00000004"}
    either_store.fresh_machine()
    place = opened(either_store)
    assert not place.directory.exists()
    assert place.steps_taken() == 4
    same(train(place), whole)
    assert complete_checkpoints(place.store) == {"step-00000004", "step-00000006"}
    # The store's folder is that of a local run.
    objects = set(place.store.list())
    folder = f"{checkpoints.FOLDER}/step-00000006"
    assert {name for name in objects if name.startswith(folder)} == {
        f"{folder}/{file}"
        for file in (
            "checkpoint.json",
            "state.data-00000-of-00001",
            "state.index",
            "worker-0.data-00000-of-00001",
            "worker-0.index",
        )
    }
    # Only the newest checkpoint was fetched.
    local = {path.name for path in (place.directory / checkpoints.FOLDER).glob("step-*")}
    assert local == {"step-00000004", "step-00000006"}


def test_a_checkpoint_is_there_when_its_manifest_is(s3_store):
    """In the order of the requests: files, then checkpoint.json, then what is removed."""
    seen = []

    def note(request):
        if request.method in ("PUT", "DELETE") and "/checkpoints/" in request.path:
            seen.append((request.method, request.path.split("/checkpoints/")[1].split("?")[0]))

    with s3_store.faulty(note):
        train(opened(s3_store))
    last = [place for place, (_, path) in enumerate(seen) if "step-00000006/" in path]
    assert [seen[place][0] for place in last] == ["PUT"] * 5
    assert seen[last[-1]][1] == "step-00000006/checkpoint.json"
    old = [
        p for p, (method, path) in enumerate(seen) if method == "DELETE" and "-00000002/" in path
    ]
    assert old[0] > last[-1]
    assert seen[old[0]][1] == "step-00000002/checkpoint.json"
    written = {path for method, path in seen if method == "PUT" and "-00000002/" in path}
    assert {seen[place][1] for place in old} == written


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["changed", "missing", "none"])
def test_a_broken_checkpoint_gives_way_to_the_one_before(s3_store, tmp_path, damage, caplog):
    whole = train(run_places.RunPlace(tmp_path / "local"))
    train(opened(s3_store), stop_at=3)
    store, folder = opened(s3_store).store, f"{checkpoints.FOLDER}/step-00000004"
    name = f"{folder}/state.data-00000-of-00001"
    content = store.read(name)
    if damage == "changed":
        store.write(name, content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "missing":
        store.remove([name])
    else:
        store.remove([f"{folder}/{checkpoints.MANIFEST}"])
    s3_store.fresh_machine()
    same(train(opened(s3_store)), whole)
    warned = "trying the one before" in caplog.text
    assert warned == (damage != "none")


def test_names_in_a_checkpoint_s_manifest_stay_in_its_folder(s3_store):
    train(opened(s3_store), steps=1)
    store = opened(s3_store).store
    (name,) = [n for n in store.list() if n.endswith("step-00000001/checkpoint.json")]
    manifest = json.loads(store.read(name))
    manifest["files"]["state./../../../../evil"] = {"bytes": 1, "sha256": ""}
    store.write(name, json.dumps(manifest).encode())
    s3_store.fresh_machine()
    place = opened(s3_store)
    trainer = make_trainer(place)
    with pytest.raises(BrokenCheckpointError, match="expected the name of a file"):
        trainer.store._fetch_needed("step-00000001", own=False)


def test_an_upload_that_fails_stops_the_run_at_the_next_checkpoint(s3_store):
    def deny(request):
        return "403" if request.method == "PUT" and "step-00000002" in request.path else None

    with s3_store.faulty(deny), pytest.raises(StorageError) as caught:
        train(opened(s3_store), checkpoint_every_steps=1)
    assert str(caught.value).startswith(f"{s3_store.url}/run/checkpoints/step-00000002/")
    assert complete_checkpoints(opened(s3_store).store) == {"step-00000000", "step-00000001"}


@pytest.mark.slow
def test_the_best_checkpoint_stays_and_is_fetched(s3_store, tmp_path):
    settings = {
        "evaluate_every_steps": 1,
        "stop_after": 99,
        "best_metric": "held_out/R@1",
        "best_is": "most",
        "checkpoint_every_steps": 1,
    }

    def evaluate(recalls):
        found = iter(recalls)
        return lambda model, stop: {"R@1": next(found)}

    recalls = [0.1, 0.9, 0.3, 0.2, 0.1, 0.0]
    whole = train(run_places.RunPlace(tmp_path / "local"), evaluate(recalls), **settings)
    train(opened(s3_store), evaluate(recalls[:4]), stop_at=4, **settings)
    s3_store.fresh_machine()
    place = opened(s3_store)
    same(train(place, evaluate(recalls[4:]), **settings), whole)
    assert complete_checkpoints(place.store) == {f"step-0000000{step}" for step in (2, 5, 6)}


def test_two_runs_in_one_place(s3_store):
    with opened(s3_store).held():
        s3_store.fresh_machine()  # where no local lock is seen
        lock = open_store(f"{s3_store.url}/run/lock")
        (claim,) = lock.list()
        lock.write(claim, lock.read(claim))
        with pytest.raises(ValueError, match=r"another program .* is training there"):
            _enter_while_refreshed(opened(s3_store), lock, claim)
    with opened(s3_store).held():
        pass
    assert lock.list() == {}


def _enter_while_refreshed(place, lock, claim):
    """Try to hold a place whose claim is written again a second later."""

    def refresh():
        time.sleep(1.5)
        lock.write(claim, lock.read(claim))

    threading.Thread(target=refresh).start()
    with place.held():
        pass


@pytest.mark.slow
def test_what_the_store_does_not_have_is_no_part_of_the_run(s3_store):
    """A run that was removed from the store begins anew, on a machine that remembers it, too."""
    first = train(opened(s3_store), steps=3)
    place = opened(s3_store)
    (place.directory / "config.json").write_text("{}")
    place.store.remove(list(place.store.list()))
    place.store.write("checkpoints/step-00000007/state.index", b"of a killed upload")
    place.fetch()
    assert not (place.directory / "config.json").exists()
    with place.held():
        assert CheckpointStore(place.directory).paths() == []
        assert not [name for name in place.store.list() if name.startswith("checkpoints/")]
        same(train(place, steps=3), first)


def test_files_are_published_and_fetched(s3_store):
    place = opened(s3_store)
    place.directory.mkdir(parents=True)
    for name in ("config.json", "initial.keras", "model.keras"):
        (place.directory / name).write_text(name)
    (place.directory / "logs").mkdir()
    (place.directory / "logs" / "events").write_text("one")
    (place.directory / ".hidden").write_text("not for others")
    place.publish()
    assert set(place.store.list()) == {
        "config.json",
        "initial.keras",
        "logs/events",
        "model.keras",
    }
    # A run that is extended: its model has another name.
    (place.directory / "model.keras").rename(place.directory / "model-00000003.keras")
    (place.directory / "logs" / "events").write_text("one and two")
    place.publish()
    s3_store.fresh_machine()
    other = opened(s3_store)
    other.fetch()
    assert {path.name for path in other.directory.iterdir()} == {"config.json", "initial.keras"}
    assert other.store.read("logs/events") == b"one and two"
    assert other.store.read("model-00000003.keras") == b"model.keras"


def test_a_task_s_error_comes_with_the_next(caplog):
    background, done = Background(), []
    background.start(lambda: done.append(1))
    background.start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        background.wait()
    background.wait()
    assert done == [1]

    def fail():
        raise StorageError("no store")

    def run(error):
        with background.finished():
            background.start(fail)
            if error:
                raise error

    with pytest.raises(StorageError):
        run(None)
    with pytest.raises(ValueError, match="first"):
        run(ValueError("first"))
    assert "no store" in caplog.text
    with pytest.raises(StorageError):
        run(training.Preempted("the run is not kept, and that matters more"))
