# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in an object store, uploaded while training continues."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import logging
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from mmv_tf.training import checkpoints
from mmv_tf.training.checkpoints import BrokenCheckpointError, CheckpointStore, Restored
from mmv_tf.util import files as files_lib
from mmv_tf.util.storage.errors import MissingError
from mmv_tf.util.storage.store import Store, open_store
from mmv_tf.util.storage.urls import url_of

logger = logging.getLogger(__name__)

# Ours: time until the files of other workers, who upload at the same time, are in the store.
_OTHERS_SECONDS = 600.0
_POLL_SECONDS = 0.5
# One more than the newest: a step's checkpoint may be rewritten, and is incomplete while that
# happens.
_LEAST_KEPT = 2


class Background:
    """Runs one task at a time on a thread. Its error is raised by the next call, or at the end."""

    def __init__(self) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "upload")
        self._task: concurrent.futures.Future[None] | None = None

    def start(self, task: Callable[[], None]) -> None:
        """Wait for the previous task, and start another."""
        self.wait()
        self._task = self._pool.submit(task)

    def wait(self) -> None:
        """Wait until nothing is running."""
        task, self._task = self._task, None
        if task is not None:
            task.result()

    @contextlib.contextmanager
    def finished(self) -> Iterator[None]:
        """Wait at the end of the block, however it ends; an error in the block takes precedence."""
        try:
            yield
        except (OSError, ValueError):
            try:
                self.wait()
            except (OSError, ValueError) as error:
                logger.warning("%s", error)
            raise
        except Exception:  # a request to stop, which is obeyed when the work is stored
            self.wait()
            raise
        self.wait()


class StoredCheckpoints(CheckpointStore):
    """A run's checkpoints in a store; the folder on this machine is a working copy.

    The store has the same names as a folder. A checkpoint exists when its `checkpoint.json` does,
    which is uploaded last and removed first. Each worker uploads the files that it wrote, so
    workers need no common disk. Only what is needed is fetched: each checkpoint's
    `checkpoint.json`, and a worker's files from the checkpoint that it restores.

    Args:
      directory: the working copy of the run folder.
      store: the run folder in the store.
      check: raises an error if this process may no longer write there.
      gather: takes this worker's text and returns the texts of all workers once all have called it.
      completed: called on the uploading thread when a checkpoint is complete.
      keep, best_metric, best_is, worker, workers: see `CheckpointStore`; at least 2 are kept.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        store: Store,
        check: Callable[[], None],
        gather: Callable[[str], list[str]],
        completed: Callable[[], None] = lambda: None,
        keep: int = 2,
        best_metric: str = "loss",
        best_is: str = "least",
        worker: int = 0,
        workers: int = 1,
    ):
        super().__init__(
            directory, max(keep, _LEAST_KEPT), best_metric, best_is, worker, workers, lambda: None
        )
        self.uploads = Background()
        self._store = store
        self._check = check
        self._gather = gather
        self._completed = completed
        # Checkpoints whose local checkpoint.json equals the store's.
        self._known: set[str] = set()
        self._names = self._agreed(complete_checkpoints(store))

    def paths(self) -> list[pathlib.Path]:
        """Return the checkpoints in the store, oldest first, readable or not."""
        return [self.directory / name for name in sorted(self._names)]

    def best(self) -> pathlib.Path | None:
        """Return the checkpoint with the best metric; all workers call this, and get the same."""
        self.uploads.wait()
        self._gather("")
        return self._best()

    def finished(self) -> contextlib.AbstractContextManager[None]:
        """Return a context that ends, even on an error, only once the last upload has finished."""
        return self.uploads.finished()

    def fetch(self, path: pathlib.Path) -> None:
        """Fetch the common part of a checkpoint, unless it is already local."""
        self._fetch_needed(path.name, own=False)

    def save(
        self,
        step: int,
        shared: tf.train.Checkpoint,
        own: tf.train.Checkpoint | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> pathlib.Path:
        """Write a checkpoint, and start uploading it; see `CheckpointStore.save`.

        Raises:
          StorageError: the previous checkpoint could not be uploaded.
        """
        self.uploads.wait()
        path = self.directory / f"step-{step:08d}"
        part = self.directory / f".{path.name}.worker-{self._worker}.partial"
        for left in self.directory.glob(f".step-*.worker-{self._worker}.partial"):
            shutil.rmtree(left)  # from a killed process
        part.mkdir(parents=True)
        if self._worker == 0:
            shared.write(str(part / checkpoints.SHARED))
        if own is not None:
            own.write(str(part / self._own_name(self._worker)))
        written = checkpoints.described(part)
        texts = self._gather(json.dumps(written))
        files = {name: entry for text in texts for name, entry in json.loads(text).items()}
        surplus: list[str] = []
        former = [path.name] if path.name in self._names else []
        self._names.add(path.name)
        if self._worker == 0:
            self._put_in_place(part, path, self._manifest(step, metrics, files))
            self._known.add(path.name)
            part = path
            surplus = [old.name for old in self._surplus()]
        # All workers know which checkpoints exist, so that they restore the same one.
        self._names -= set(json.loads(self._gather(json.dumps(surplus))[0]))
        self.uploads.start(
            lambda: self._upload(part, path.name, list(written), files, former, surplus)
        )
        return path

    def restore(
        self, shared: tf.train.Checkpoint, own: tf.train.Checkpoint | None = None
    ) -> Restored | None:
        """Restore the newest checkpoint that all workers can read; see `CheckpointStore`."""
        paths = self.paths()
        for path in reversed(paths):
            problem = ""
            try:
                manifest = self._fetch_needed(path.name, own is not None)
            except BrokenCheckpointError as error:
                problem = str(error) or "broken"
            problems = [text for text in self._gather(problem) if text]
            if problems:
                logger.warning(
                    "Checkpoint %s can't be read (%s); trying the one before.", path, problems[0]
                )
                continue
            checkpoints.read(shared, path / checkpoints.SHARED)
            fits = own is not None and manifest["workers"] == self._workers
            if own is not None and fits:
                checkpoints.read(own, path / self._own_name(self._worker))
            return Restored(path, manifest["step"], fits)
        if paths:
            raise ValueError(
                f"None of the {len(paths)} checkpoints in {self.directory} can be read; remove the "
                "run's folder to start again."
            )
        return None

    def _surplus(self) -> list[pathlib.Path]:
        best = self._best()
        return [old for old in self.paths()[: -self._keep] if old != best]

    def _best(self) -> pathlib.Path | None:
        for name in self._names:
            with contextlib.suppress(BrokenCheckpointError):
                self._fetch_manifest(name)
        return super().best()

    # ---- Between here and the store -------------------------------------------------------------

    def _agreed(self, names: set[str]) -> set[str]:
        """Return the first worker's names."""
        return set(json.loads(self._gather(json.dumps(sorted(names)))[0]))

    def _fetch_needed(self, name: str, own: bool) -> dict[str, Any]:
        """Fetch the parts of a checkpoint that this worker reads, and return its manifest.

        Raises:
          BrokenCheckpointError: the store's files are not as they were written.
        """
        manifest = self._fetch_manifest(name)
        prefixes = [f"{checkpoints.SHARED}."]
        if own and manifest["workers"] == self._workers:
            prefixes.append(f"{self._own_name(self._worker)}.")
        for file, entry in manifest["files"].items():
            path = self.directory / name / file
            if file.startswith(tuple(prefixes)) and not _is_as_written(path, entry):
                self._download(name, file)
        for prefix in prefixes:
            checkpoints.check(self.directory / name, prefix)
        return manifest

    def _fetch_manifest(self, name: str) -> dict[str, Any]:
        if name not in self._known:
            self._download(name, checkpoints.MANIFEST)
            self._known.add(name)
        return checkpoints.read_manifest(self.directory / name)

    def _download(self, name: str, file: str) -> None:
        try:
            self._store.download(_object(name, file), self.directory / name / file)
        except MissingError as error:
            raise BrokenCheckpointError(f"{file} is missing") from error

    def _upload(
        self,
        part: pathlib.Path,
        name: str,
        written: list[str],
        files: dict[str, Any],
        former: list[str],
        surplus: list[str],
    ) -> None:
        """Upload this worker's files; the first worker then completes the checkpoint."""
        for old in former if self._worker == 0 else []:
            # An earlier checkpoint of this step, whose files no longer match its checkpoint.json.
            self._store.remove([_object(old, checkpoints.MANIFEST)])
        for file in written:
            self._store.upload(part / file, _object(name, file))
        if self._worker:
            shutil.rmtree(part)
            return
        self._wait_for_others(name, {file: files[file] for file in files if file not in written})
        self._check()
        self._store.upload(part / checkpoints.MANIFEST, _object(name, checkpoints.MANIFEST))
        for old in surplus:
            remove_checkpoint(self._store, old)
            shutil.rmtree(self.directory / old, ignore_errors=True)
        self._completed()

    def _wait_for_others(self, name: str, files: dict[str, Any]) -> None:
        """Return when the files of other workers are in the store."""
        deadline = time.monotonic() + _OTHERS_SECONDS
        for file, entry in files.items():
            while True:
                found = self._store.stat(_object(name, file))
                if found is not None and found.size == entry["bytes"]:
                    break
                if time.monotonic() > deadline:
                    raise ValueError(
                        f"{name}/{file} of another worker is not in the store after "
                        f"{_OTHERS_SECONDS:.0f} s; start all workers again."
                    )
                time.sleep(_POLL_SECONDS)


def open_checkpoints(directory: pathlib.Path) -> CheckpointStore:
    """Return a run's checkpoints for reading; they may be in a store."""
    url = url_of(directory)
    if url is None:
        return CheckpointStore(directory)
    return StoredCheckpoints(directory, open_store(url), lambda: None, lambda text: [text])


def complete_checkpoints(store: Store) -> set[str]:
    """Return the names of a run's complete checkpoints in a store."""
    found = set()
    for name in store.list():
        folder, _, rest = name.partition("/")
        checkpoint, _, file = rest.partition("/")
        if folder == checkpoints.FOLDER and file == checkpoints.MANIFEST:
            found.add(checkpoint)
    return {name for name in found if checkpoints.NAME.fullmatch(name)}


def remove_checkpoint(store: Store, name: str) -> None:
    """Remove a checkpoint, its manifest first, so that half a checkpoint never counts as one."""
    store.remove([_object(name, checkpoints.MANIFEST)])
    prefix = f"{checkpoints.FOLDER}/{name}/"
    store.remove([file for file in store.list() if file.startswith(prefix)])


def _object(name: str, file: str) -> str:
    return f"{checkpoints.FOLDER}/{name}/{file}"


def _is_as_written(path: pathlib.Path, entry: Mapping[str, Any]) -> bool:
    try:
        files_lib.check_content(path, size=entry["bytes"], sha256=entry["sha256"])
    except (OSError, ValueError):
        return False
    return True
