# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Atomic checkpoint directories."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import pathlib
import re
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from mmv_tf.util import files as files_lib
from mmv_tf.util.safe_files import Count, Name, check_form, read_json

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"
NAME = re.compile(r"step-\d{8,}")
MANIFEST = "checkpoint.json"
_FORM = {
    "step": Count,
    "workers": Count,
    "metrics": {},
    "files": {str: {"bytes": Count, "sha256": str}},
}
SHARED = "state"  # common to all workers, written by the first


class BrokenCheckpointError(ValueError):
    """A checkpoint's files are not as they were written."""


@dataclasses.dataclass(frozen=True)
class Restored:
    """The result of restoring a checkpoint.

    Attributes:
      path: the checkpoint folder.
      step: the checkpoint's step.
      own: whether this worker's own part was also restored; it is not if a different number of
        workers wrote the checkpoint.
    """

    path: pathlib.Path
    step: int
    own: bool


class CheckpointStore:
    """A run's checkpoints, "checkpoints/step-00000120" and so on.

    A checkpoint is written under another name and renamed when it is complete and on disk, so that
    a kill at any moment leaves the previous checkpoints intact. Its `checkpoint.json` holds the
    step, the metrics, and the size and SHA-256 of each file, which are checked on reading.

    Args:
      directory: the run folder.
      keep: number of newest checkpoints to keep.
      best_metric, best_is: also keep the checkpoint whose metric is the "least" or "most", among
        checkpoints with that metric.
      worker, workers: this process's index, and the number of processes that write a checkpoint
        together.
      barrier: returns when all workers have called it.

    Raises:
      ValueError: `best_is` is neither, or `keep` is less than 1.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        keep: int = 2,
        best_metric: str = "loss",
        best_is: str = "least",
        worker: int = 0,
        workers: int = 1,
        barrier: Callable[[], None] = lambda: None,
    ):
        if best_is not in ("least", "most"):
            raise ValueError(f"best_is is {best_is!r}; use 'least' or 'most'.")
        if keep < 1:
            raise ValueError(f"keep is {keep}; expected 1 or more.")
        self.directory = directory / FOLDER
        self._keep = keep
        self._best_metric = best_metric
        self._best_is = best_is
        self._worker = worker
        self._workers = workers
        self._barrier = barrier

    def paths(self) -> list[pathlib.Path]:
        """Return the checkpoints, oldest first, readable or not."""
        return sorted(path for path in self.directory.glob("step-*") if path.is_dir())

    def fetch(self, path: pathlib.Path) -> None:
        """Fetch the common part of a checkpoint, which in this store is already local."""

    def finished(self) -> contextlib.AbstractContextManager[None]:
        """Return a context that ends, even on an error, only once all checkpoints are kept."""
        return contextlib.nullcontext()

    def best(self) -> pathlib.Path | None:
        """Return the checkpoint with the best metric, the oldest if tied; None if none has it."""
        found: list[tuple[float, pathlib.Path]] = []
        for path in self.paths():
            try:
                value = read_manifest(path)["metrics"].get(self._best_metric)
            except BrokenCheckpointError:
                continue
            if isinstance(value, int | float) and math.isfinite(value):
                found.append((value if self._best_is == "most" else -value, path))
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def save(
        self,
        step: int,
        shared: tf.train.Checkpoint,
        own: tf.train.Checkpoint | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> pathlib.Path:
        """Write a checkpoint and remove those that are no longer needed.

        Args:
          step: the step number.
          shared: part that is common to all workers.
          own: each worker's own part, such as its position in the data.
          metrics: numbers to store with the checkpoint.
        """
        path = self.directory / f"step-{step:08d}"
        partial = self.directory / f".{path.name}.partial"
        if self._worker == 0:
            self.directory.mkdir(parents=True, exist_ok=True)
            for left in self.directory.glob(".step-*.partial"):  # from a killed process
                shutil.rmtree(left)
            partial.mkdir()
        self._barrier()
        if self._worker == 0:
            shared.write(str(partial / SHARED))
        if own is not None:
            own.write(str(partial / self._own_name(self._worker)))
        self._barrier()
        if self._worker == 0:
            manifest = self._manifest(step, metrics, described(partial))
            self._put_in_place(partial, path, manifest)
            for old in self._surplus():
                shutil.rmtree(old)
        self._barrier()
        return path

    def _manifest(
        self, step: int, metrics: Mapping[str, float] | None, files: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "step": step,
            "workers": self._workers,
            "metrics": dict(metrics or {}),
            "files": files,
        }

    def _put_in_place(
        self, partial: pathlib.Path, path: pathlib.Path, manifest: dict[str, Any]
    ) -> None:
        """Write the manifest to a folder whose files are on disk, and give the folder its name."""
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        (partial / MANIFEST).write_text(text, encoding="utf-8")
        files_lib.flush(partial / MANIFEST)
        files_lib.flush(partial)
        # An existing checkpoint is broken, or was written before the evaluation of its step. It is
        # moved away first: deleting a large one takes time, during which there would be none.
        former = self.directory / f".{path.name}.former.partial"
        if path.exists():
            path.rename(former)
        files_lib.put_in_place(partial, path)
        if former.exists():
            shutil.rmtree(former)

    def _surplus(self) -> list[pathlib.Path]:
        """Return the checkpoints that are no longer needed."""
        best = self.best()
        return [old for old in self.paths()[: -self._keep] if old != best]

    def restore(
        self, shared: tf.train.Checkpoint, own: tf.train.Checkpoint | None = None
    ) -> Restored | None:
        """Restore the newest readable checkpoint; warn if a newer one can't be read.

        Returns:
          None if there is no checkpoint.

        Raises:
          ValueError: there are checkpoints but none can be read.
        """
        paths = self.paths()
        for path in reversed(paths):
            try:
                manifest = check(path)
                read(shared, path / SHARED)
                fits = own is not None and manifest["workers"] == self._workers
                if own is not None and fits:
                    read(own, path / self._own_name(self._worker))
                return Restored(path, manifest["step"], fits)
            except BrokenCheckpointError as error:
                logger.warning(
                    "Checkpoint %s can't be read (%s); trying the one before.", path, error
                )
        if paths:
            raise ValueError(
                f"None of the {len(paths)} checkpoints in {self.directory} can be read; remove the "
                "run's folder to start again."
            )
        return None

    @staticmethod
    def _own_name(worker: int) -> str:
        return f"worker-{worker}"


def described(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Return the size and SHA-256 of each file in a folder, with their bytes synced to the disk."""
    files = {}
    for file in sorted(folder.iterdir()):
        files_lib.flush(file)
        files[file.name] = {"bytes": file.stat().st_size, "sha256": files_lib.file_sha256(file)}
    return files


def step_of(path: pathlib.Path) -> int:
    """Return a checkpoint folder's step."""
    return int(path.name.rpartition("-")[2])


def read_manifest(path: pathlib.Path) -> dict[str, Any]:
    """Return a checkpoint's `checkpoint.json`.

    Raises:
      BrokenCheckpointError: the file is damaged.
    """
    try:
        manifest: dict[str, Any] = read_json(path / MANIFEST, _FORM)
        check_form(list(manifest["files"]), [Name], "files")
        return manifest
    except (OSError, ValueError) as error:
        raise BrokenCheckpointError(str(error)) from error


def check(path: pathlib.Path, only: str = "") -> dict[str, Any]:
    """Compare a checkpoint's files with its manifest, and return the manifest.

    Args:
      path: the checkpoint folder.
      only: compare only the files whose names have this prefix.

    Raises:
      BrokenCheckpointError: a file is missing, truncated or changed.
    """
    manifest = read_manifest(path)
    for name, entry in manifest["files"].items():
        if not name.startswith(only):
            continue
        if not (path / name).is_file():
            raise BrokenCheckpointError(f"{name} is missing")
        try:
            files_lib.check_content(path / name, size=entry["bytes"], sha256=entry["sha256"])
        except ValueError as error:
            raise BrokenCheckpointError(str(error)) from error
    return manifest


def read_weights(checkpoint: tf.train.Checkpoint, path: pathlib.Path) -> None:
    """Restore the common part, or some of it, from a checkpoint folder.

    Raises:
      BrokenCheckpointError: as for `check`, or the checkpoint lacks a requested part.
    """
    check(path, SHARED)
    read(checkpoint, path / SHARED)


def read(checkpoint: tf.train.Checkpoint, prefix: pathlib.Path) -> None:
    """Restore the contents of a TensorFlow checkpoint whose files have been checked.

    Raises:
      BrokenCheckpointError: it lacks a part, or is not a checkpoint.
    """
    try:
        status = checkpoint.read(str(prefix))
        status.assert_existing_objects_matched().expect_partial()
    except (tf.errors.OpError, ValueError, LookupError, AssertionError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise BrokenCheckpointError(lines[0]) from error
