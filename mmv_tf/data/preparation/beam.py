# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs the preparation steps as Apache Beam pipelines, on clusters or with the DirectRunner.

Each step (probing, decoding, writing shards) is one pipeline over its reshuffled tasks. As on a
single machine, each task runs in a child process with a deadline. Tasks leave their results in the
work folder; unless it is in an object store, all workers must see it under the same path.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.util.worker_pool import Failure, Task, WorkerPool


def check_installed() -> None:
    """Raise a ValueError with installation instructions if Beam is missing."""
    if importlib.util.find_spec("apache_beam") is None:
        raise ValueError(
            "--runner=beam needs Apache Beam, which is an extra: pip install 'mmv_tf[beam]'."
        )


class BeamRunner:
    """Runs tasks in Beam pipelines.

    Args:
      folder: work folder for results.
      deadline_seconds: time limit for one part of a task.
      options: pipeline options, such as "--runner=FlinkRunner" and that runner's flags.
      processes: number of parallel tasks for the DirectRunner, unless `options` set it.
    """

    def __init__(
        self,
        folder: WorkFolder,
        deadline_seconds: float,
        options: Sequence[str] = (),
        processes: int = 1,
    ):
        check_installed()
        self._folder = folder
        self._deadline_seconds = deadline_seconds
        self._options = list(options)
        given = {option.partition("=")[0] for option in options}
        if not given & {"--runner", "--direct_running_mode", "--direct_num_workers"}:
            self._options += [
                f"--direct_num_workers={processes}",
                "--direct_running_mode=multi_threading",
            ]

    def __enter__(self) -> BeamRunner:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.clear()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Any, Any | Failure]]:
        """Run tasks like `Runner.run`; yield nothing until the pipeline has ended."""
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        listed = [task for task in tasks if task.parts]
        if not listed:
            return
        self._folder.clear()
        numbered = [
            (number, dataclasses.replace(task, parts=tuple(enumerate(v for _, v in task.parts))))
            for number, task in enumerate(listed)
        ]
        options = PipelineOptions(self._options, save_main_session=False)
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | "tasks" >> beam.Create(numbered)
                | "spread" >> beam.Reshuffle()
                | "work" >> beam.ParDo(_make_do_fn(self._folder, self._deadline_seconds))
            )
        for number, task in enumerate(listed):
            path = self._folder.fetched(f"{number}.json")
            outcomes = json.loads(path.read_text(encoding="utf-8"))
            for index, failed, outcome in outcomes:
                yield task.parts[index][0], Failure(**outcome) if failed else outcome


def _make_do_fn(folder: WorkFolder, deadline_seconds: float) -> Any:
    """Return the transform; it is defined inside a function because its base class needs Beam."""
    import apache_beam as beam

    class DoTask(beam.DoFn):
        """Transform that runs tasks in its own child process and writes their outcomes."""

        def __init__(self, folder: WorkFolder, deadline_seconds: float):
            self._folder = folder
            self._deadline_seconds = deadline_seconds
            self._pool: WorkerPool | None = None

        def setup(self) -> None:
            self._pool = WorkerPool(1, self._deadline_seconds)

        def process(self, numbered: tuple[int, Task]) -> Iterator[int]:
            number, task = numbered
            pool = cast(WorkerPool, self._pool)
            outcomes = [
                (index, isinstance(outcome, Failure), _plain(outcome))
                for index, outcome in pool.run([task])
            ]
            with self._folder.writing(f"{number}.json") as temporary:
                temporary.write_text(json.dumps(outcomes), encoding="utf-8")
            yield number

        def teardown(self) -> None:
            if self._pool is not None:
                self._pool.close()

    return DoTask(folder, deadline_seconds)


def _plain(outcome: Any) -> Any:
    return dataclasses.asdict(outcome) if isinstance(outcome, Failure) else outcome
