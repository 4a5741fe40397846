# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data import media
from mmv_tf.data.preparation import tasks, workers


def run_here(self, listed):
    """Tasks in this process, by the rules of a pool: starting a child takes seconds."""
    for task in listed:
        while task.parts:
            done = 0
            try:
                for result in task.function(*task.arguments, [value for _, value in task.parts]):
                    yield task.parts[done][0], result
                    done += 1
            except media.MediaError as error:
                yield task.parts[done][0], tasks.Failure(tasks.CORRUPT, str(error))
                done += 1
            task = task.from_part(done)


@pytest.fixture
def in_process(monkeypatch):
    """Runs children's tasks in this process."""
    monkeypatch.setattr(workers.WorkerPool, "run", run_here)
