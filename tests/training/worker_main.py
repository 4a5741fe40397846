# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One process of a small training run, for tests that start and end several.

python -m tests.training.worker_main '{"directory": ..., "strategy": ..., ...}'
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from mmv_tf import training
from mmv_tf.training import run_places
from mmv_tf.training import workers as workers_lib
from mmv_tf.training.random_state import seed_everything
from mmv_tf.training.trainer import Trainer
from mmv_tf.training.workers import worker_and_workers
from mmv_tf.util.storage.urls import path_of
from tests.training import linear_world

BATCH = 8
FRAMES = (2, 2, 2, 3)
CLIP_NORM = 0.5


def batches(start, worker=0, workers=1):
    """Each worker takes its rows of the batch that one worker alone would have."""
    size = BATCH // workers
    values = linear_world.examples(frames=FRAMES)
    # Each clip's neighbor is its twin, which is masked, on the same replica or another.
    values["example_id"] = np.array([f"clip-{(n + 1) // 2}" for n in range(linear_world.CLIPS)])
    # The batches begin where `start` examples of each worker end.
    dataset = linear_world.dataset(BATCH, values)(start * workers)
    return dataset.map(
        lambda batch: {k: v[worker * size : (worker + 1) * size] for k, v in batch.items()}
    )


def train(strategy, directory, **arguments):
    """See `train_held`."""
    with contextlib.ExitStack() as held:
        return train_held(held, strategy, directory, **arguments)


def train_held(held, strategy, directory, slow=0.0, optimizer=None, recalls=None, **changes):
    """Trains; returns each step's loss and gradient norm, and the weights at the end.

    With `recalls`, they are what the first worker's evaluations find, in turn.

    And the first step's gradient, as LARS has it then: clipped, and scaled a variable at a time.
    """
    seed_everything(0, changes.get("deterministic", False))
    # Not Adam: where a gradient is nothing but rounding, it takes steps of full size.
    optimizer = linear_world.optimizer_settings(
        name="lars", trust=0.1, clip_norm=CLIP_NORM, **(optimizer or {})
    )
    workers_lib.require_the_same(strategy, {"optimizer": optimizer.to_dict()})
    place = run_places.open_run(path_of(directory))
    directory = place.directory
    directory.mkdir(parents=True, exist_ok=True)
    with strategy.scope():
        model = linear_world.fine_and_coarse()
    settings = linear_world.settings(**changes)
    if worker_and_workers(strategy)[0] == 0:
        held.enter_context(place.held())
    place.share(strategy)
    trainer = Trainer(model, strategy, settings, optimizer, directory, place=place)
    steps, gradient = [], []

    def watch():
        time.sleep(slow)
        (directory / f"running-{trainer.worker}").touch()
        return {}

    checked = trainer._finite_check

    def record(values, batch, step):
        steps.append([step, values["loss"], values["gradient_norm"]])
        if step == 1:
            gradient.extend(np.asarray(v.value).tolist() for v in trainer.optimizer.velocities)
        return checked(values, batch, step)

    trainer._finite_check = record
    found = iter(recalls or ())
    evaluate = (lambda model, stop: {"R@1": next(found)}) if recalls else None
    with trainer.store.finished():
        trainer.run(batches, BATCH, evaluate, skipped=watch)
    workers_lib.barrier(strategy)
    weights = [weight.tolist() for weight in model.get_weights()]
    return {"steps": steps, "gradient": gradient, "weights": weights}


def train_twice(directory, **arguments):
    """One replica, and then two of one machine, in one process."""
    processor = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, devices)
    strategies = {
        "one": training.make_strategy("one_device"),
        "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }
    return {
        name: train(strategy, pathlib.Path(directory) / name, **arguments)
        for name, strategy in strategies.items()
    }


def main() -> int:
    """Exit status as of the programs."""
    arguments = json.loads(sys.argv[1])
    name, directory = arguments.pop("strategy"), arguments.pop("directory")
    result = arguments.pop("result", None)
    try:
        if name == "one_and_two":
            found = train_twice(directory, **arguments)
        else:
            found = train(training.make_strategy(name), directory, **arguments)
    except training.Preempted as stopped:
        print(stopped, file=sys.stderr)
        return 42
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if result:
        pathlib.Path(result).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
