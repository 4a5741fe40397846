# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A run's location: a folder that all workers share, or an object store."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator

import ml_collections
import tensorflow as tf

from mmv_tf.training import checkpoints, run_data, run_folder, run_summary
from mmv_tf.training import logging as run_log
from mmv_tf.training import workers as workers_lib
from mmv_tf.training.checkpoints import CheckpointStore, step_of
from mmv_tf.training.stored_checkpoints import StoredCheckpoints, complete_checkpoints
from mmv_tf.training.workers import worker_and_workers
from mmv_tf.util import locks as locks_lib
from mmv_tf.util.storage import claims, mirror
from mmv_tf.util.storage.store import open_store
from mmv_tf.util.storage.urls import Location, redacted, url_of

_LOCK = "lock"
_DOING = "training there"
# Files that a run resumes from, in the order in which they are written: a run has started when it
# has its first model, and is finished when it has the last.
_BEGUN = (
    run_folder.CONFIG_FILE,
    run_data.FILE,
    run_folder.START_FILE,
    run_summary.SUMMARY_FILE,
    run_log.IDS_FILE,
    run_folder.INITIAL_FILE,
    run_folder.FORMER_INITIAL_FILE,
    run_folder.MODEL_FILE,
)
# Ours: seconds between uploads of the logs, whose files are uploaded as a whole.
_LOG_SECONDS = 300.0


class RunPlace:
    """A run folder on a disk that all workers share.

    Args:
      directory: the folder.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = directory

    def fetch(self) -> None:
        """Bring the files that a run resumes from to this machine."""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out; called by the first worker.

        Raises:
          ValueError: another run is in progress there.
        """
        with locks_lib.held(self.directory / _LOCK, self.directory, _DOING):
            yield

    def share(self, strategy: tf.distribute.Strategy) -> None:
        """Give all workers the files that the first has written; called by all."""
        workers_lib.barrier(strategy)

    def publish(self) -> None:
        """Store what the first worker has written besides checkpoints."""

    def steps_taken(self) -> int:
        """Return the step of the newest checkpoint, or 0 if there is none."""
        return max(map(step_of, CheckpointStore(self.directory).paths()), default=0)

    def checkpoints(
        self, training: ml_collections.ConfigDict, strategy: tf.distribute.Strategy
    ) -> CheckpointStore:
        """Return the run's checkpoints."""
        return CheckpointStore(
            self.directory,
            training.keep_checkpoints,
            training.best_metric,
            training.best_is,
            *worker_and_workers(strategy),
            lambda: workers_lib.barrier(strategy),
        )


class StoredRun(RunPlace):
    """A run folder in an object store. The folder on each machine is a working copy.

    Args:
      directory: the working copy, a path in the mirror.
      url: the folder's URL in the store.
    """

    def __init__(self, directory: pathlib.Path, url: str):
        super().__init__(directory)
        self.store = open_store(url)
        self._url = url
        self._check: Callable[[], None] = lambda: None
        # Size and time of the log files that the store has, by name.
        self._log: dict[str, tuple[int, int]] = {}
        self._logged_at = time.monotonic()

    def fetch(self) -> None:
        """Fetch settings and models, and forget those that the store does not have."""
        self._fetch(forget=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out, as `RunPlace.held` does, including runs on other machines."""
        lock = open_store(Location.parse(self._url).within(_LOCK))
        with super().held(), claims.held(lock, redacted(self._url), _DOING) as claim:
            self._check = claim.check
            self._remove_leftovers()
            yield

    def share(self, strategy: tf.distribute.Strategy) -> None:
        """Upload the first worker's files; the other workers fetch them."""
        first = worker_and_workers(strategy)[0] == 0
        if first:
            self.publish()
        workers_lib.barrier(strategy)
        if not first:
            self._fetch(forget=False)

    def publish(self) -> None:
        """Upload the files that are new or changed."""
        self._check()
        present = [name for name in _BEGUN if (self.directory / name).exists()]
        # If a run is extended, its model already has another name, and goes first under that name.
        self._publish_log()
        self.store.remove([name for name in _BEGUN if name not in present])
        for name in present:
            mirror.push(self.directory / name)

    def steps_taken(self) -> int:
        """Return the step of the newest complete checkpoint in the store, or 0 if there is none."""
        names = complete_checkpoints(self.store)
        return max((step_of(pathlib.Path(name)) for name in names), default=0)

    def checkpoints(
        self, training: ml_collections.ConfigDict, strategy: tf.distribute.Strategy
    ) -> CheckpointStore:
        """Return the run's checkpoints, which are uploaded to the store."""
        worker, workers = worker_and_workers(strategy)
        return StoredCheckpoints(
            self.directory,
            self.store,
            self._check,
            lambda text: workers_lib.gather_texts(strategy, text),
            self._publish_log_if_due,
            training.keep_checkpoints,
            training.best_metric,
            training.best_is,
            worker,
            workers,
        )

    def _fetch(self, forget: bool) -> None:
        listed = self.store.list()
        for name in _BEGUN:
            path = self.directory / name
            if name in listed:
                mirror.fetch(path, listed[name])
            elif forget:
                path.unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Remove incomplete checkpoints from the store, and local ones that it lacks."""
        there = complete_checkpoints(self.store)
        half = [
            name
            for name in self.store.list()
            if name.startswith(f"{checkpoints.FOLDER}/") and name.split("/")[1] not in there
        ]
        self.store.remove(half)
        for path in CheckpointStore(self.directory).paths():
            if path.name not in there:
                shutil.rmtree(path)

    def _publish_log_if_due(self) -> None:
        if time.monotonic() - self._logged_at > _LOG_SECONDS:
            self._publish_log()

    def _publish_log(self) -> None:
        """Upload all other files that are new or changed; they may grow during the upload."""
        for path in self._log_files():
            name = path.relative_to(self.directory).as_posix()
            status = path.stat()
            state = status.st_size, status.st_mtime_ns
            if self._log.get(name) != state:
                with tempfile.NamedTemporaryFile() as copy:
                    shutil.copyfile(path, copy.name)
                    self.store.upload(copy.name, name)
                self._log[name] = state
        self._logged_at = time.monotonic()

    def _log_files(self) -> Iterator[pathlib.Path]:
        """Yield all files except those of `_BEGUN`, checkpoints, locks and unfinished files."""
        for path in sorted(self.directory.rglob("*")):
            parts = path.relative_to(self.directory).parts
            others = parts[0] in (checkpoints.FOLDER, _LOCK, *_BEGUN)
            hidden = any(part.startswith(".") for part in parts)
            if not (others or hidden) and path.is_file():
                yield path


def open_run(directory: pathlib.Path) -> RunPlace:
    """Return a run's location: in a store if the folder is a mirror of one."""
    url = url_of(directory)
    return RunPlace(directory) if url is None else StoredRun(directory, url)
