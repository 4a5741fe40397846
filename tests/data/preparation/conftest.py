# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data import media
from mmv_tf.util import worker_pool
from tests import media_samples
from tests.data.preparation.samples import CUES


def run_here(self, listed):
    """Runner of tasks in this process like in a pool: starting a child takes seconds."""
    for task in listed:
        while task.parts:
            done = 0
            try:
                for result in task.function(*task.arguments, [value for _, value in task.parts]):
                    yield task.parts[done][0], result
                    done += 1
            except media.MediaError as error:
                yield task.parts[done][0], worker_pool.Failure(worker_pool.CORRUPT, str(error))
                done += 1
            task = task.from_part(done)


@pytest.fixture
def in_process(monkeypatch):
    """Run children's tasks in this process."""
    monkeypatch.setattr(worker_pool.WorkerPool, "run", run_here)


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """Three seconds with a tone from 2 s on, four captions and their labels."""
    folder = tmp_path_factory.mktemp("film")
    path = media_samples.write_film(folder / "film.mp4", 3.0, tone_start=2.0)
    media_samples.write_vtt(folder / "film.vtt", CUES)
    rows = ["start\tend\tsubject\tcaption"]
    rows += [f"{start}\t{end}\t{'ab'[i % 2]}\t{text}" for i, (start, end, text) in enumerate(CUES)]
    (folder / "labels.tsv").write_text("\n".join(rows), encoding="utf-8")
    return path
