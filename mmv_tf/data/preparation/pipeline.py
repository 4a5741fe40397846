# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preparation of sources as a directory of shards: plan, decode, write, publish.

Decoding runs in child processes, each with a deadline. They store finished units in
`OUTPUT/.partial/FINGERPRINT/`. The fingerprint covers everything that the shards depend on, so the
same command resumes an interrupted run. The shards have the same bytes however often the run was
interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmv_tf import version
from mmv_tf.data.preparation.beam import BeamRunner
from mmv_tf.data.preparation.cutting import bytes_a_second
from mmv_tf.data.preparation.decode_plan import decode
from mmv_tf.data.preparation.decoding import DecodeOptions, LogMelSpec
from mmv_tf.data.preparation.plan import Plan
from mmv_tf.data.preparation.planning import plan_clips
from mmv_tf.data.preparation.publication import SHARD_NAME, publish
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import TFDS, Source
from mmv_tf.data.records import manifests
from mmv_tf.util import files, locks
from mmv_tf.util.worker_pool import WorkerPool

PARTIAL = ".partial"
_LOCK = "lock"
# Increment when the same files and settings give other clips, for example after a decoding fix.
_READING_VERSION = 2


@dataclasses.dataclass(frozen=True)
class Execution:
    """Execution settings, which do not affect the result.

    Attributes:
      processes: number of parallel processes.
      deadline_seconds: longest time for one unit.
      beam: True to run the steps with Apache Beam instead of child processes.
      beam_options: of the Beam pipelines.
    """

    processes: int = 1
    deadline_seconds: float = 300.0
    beam: bool = False
    beam_options: tuple[str, ...] = ()

    def runner(self, work: pathlib.Path) -> WorkerPool | BeamRunner:
        """Return a context manager that runs tasks."""
        if self.beam:
            return BeamRunner(
                work / "results", self.deadline_seconds, self.beam_options, self.processes
            )
        return WorkerPool(self.processes, self.deadline_seconds)


@dataclasses.dataclass(frozen=True)
class DataSetFacts:
    """Properties of a named data set, for the manifest.

    Attributes:
      name: of the data set, "" for the user's own sources.
      class_names: in the data set's order, which gives the ids; None sorts the labels found.
      folds: see `Collection.folds`.
    """

    name: str = ""
    class_names: tuple[str, ...] | None = None
    folds: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


def prepare(
    sources: Sequence[Source],
    output: str | pathlib.Path,
    settings: Settings,
    labels: str | pathlib.Path | None = None,
    processes: int = 1,
    deadline_seconds: float = 300.0,
    overwrite: bool = False,
    facts: DataSetFacts | None = None,
    log_mel: LogMelSpec | None = None,
    execution: Execution | None = None,
    passed_over: Mapping[str, int] | None = None,
) -> tuple[dict[str, Any], bool]:
    """Write the shards and the manifest of a data set.

    An unusable source is an error if it is the only one. Otherwise it is a row in the manifest's
    "sources", and an error only if no source is usable.

    Args:
      sources: from `find_sources`, `read_listing` or a named data set.
      output: directory to write to; created if missing.
      settings: contents of the shards.
      labels: a list of captions with labels (see `captions.attach_labels`) for all sources.
      processes, deadline_seconds: of the default `execution`.
      overwrite: replace data of other settings in `output`.
      facts: properties of the data set.
      log_mel: for settings.sound "log_mel": the class of the layer that computes it (such as
        `layers.LogMel`) and its arguments.
      execution: execution settings.
      passed_over: from `sources.find`, for the manifest and the report; the shards don't depend on
        it.

    Returns:
      The manifest, and whether the data existed already.

    Raises:
      ValueError: an input can't be used, or `output` holds something else.
      OSError: the disk is full or can't be written.
    """
    output = pathlib.Path(output)
    facts = DataSetFacts() if facts is None else facts
    if execution is None:
        execution = Execution(processes, deadline_seconds)
    if (settings.sound == "log_mel") != (log_mel is not None):
        raise ValueError('Give sound="log_mel" and the layer that computes it together.')
    fingerprint = _fingerprint(sources, settings, labels, facts, log_mel)
    done = _prepared(output, fingerprint, settings, overwrite)
    if done is not None:
        return done, True
    partial, is_new = output / PARTIAL, not output.exists()
    partial.mkdir(parents=True, exist_ok=True)
    with (
        locks.held(partial / _LOCK, output, "preparing data there"),
        _tidied(partial, is_new),
        _no_space_explained(output),
    ):
        for stale in partial.iterdir():
            if stale.is_dir() and stale.name != fingerprint:
                shutil.rmtree(stale)
        work = partial / fingerprint
        work.mkdir(exist_ok=True)
        with _removed_if_empty(work), execution.runner(work) as runner:
            plan = plan_clips(sources, settings, labels, facts.class_names, runner)
            _check_space(plan, settings, output, work)
            decode(plan, DecodeOptions(settings, plan.labels, log_mel), runner, work)
            extra = {
                "fingerprint": fingerprint,
                "data_set": facts.name,
                "folds": facts.folds,
                "log_mel": dict(log_mel[1]) if log_mel is not None else None,
                "passed_over": dict(passed_over or {}),
            }
            plan.dropped["files_passed_over"] += sum((passed_over or {}).values())
            manifest = publish(plan, settings, output, work, extra, runner)
        shutil.rmtree(work)
    return manifest, False


def _check_space(plan: Plan, settings: Settings, output: pathlib.Path, work: pathlib.Path) -> None:
    """Raise an error if the disk can't hold the result."""
    need = 0.0
    for unit in plan.units:
        stored = sum(clip.span.end_ms - clip.span.start_ms for clip in unit.clips) / 1000
        size = stored * bytes_a_second(unit.info, settings)
        # Once in the work folder (unless already there), once in the shards.
        need += size if unit.path(work).exists() else 2 * size
    free = shutil.disk_usage(output).free
    if free < need:
        raise ValueError(
            f"{output}: about {need / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free; free "
            "some, or choose another --output, a lower --frame_rate or a smaller --short_side."
        )


def _fingerprint(
    sources: Sequence[Source],
    settings: Settings,
    labels: str | pathlib.Path | None,
    facts: DataSetFacts,
    log_mel: LogMelSpec | None,
) -> str:
    """Return a hash of all that the shards depend on; of media files, size and change time."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        digest.update(json.dumps(value, default=str, sort_keys=True).encode() + b"\n")

    versions = [version.__version__, manifests.FORMAT_VERSION, _READING_VERSION]
    add([*versions, dataclasses.asdict(settings)])
    add([_content_sha256(labels), dataclasses.asdict(facts)])
    add(None if log_mel is None else [log_mel[0].__name__, log_mel[1]])
    for source in sources:
        # Unused caption files change nothing.
        add({k: v for k, v in dataclasses.asdict(source).items() if k != "left_out"})
        add([_state(source), _content_sha256(source.captions)])
    return digest.hexdigest()[:16]


def _state(source: Source) -> list[Any] | None:
    """Return the properties that identify a file's content; None if it is missing."""
    try:
        stat = source.path.stat()
    except OSError:
        return None
    # A folder of TensorFlow Datasets does not change under its version.
    changes = [stat.st_size, stat.st_mtime_ns] if source.kind != TFDS else []
    return [str(source.path.resolve()), *changes]


def _content_sha256(path: str | pathlib.Path | None) -> str | None:
    """Hash a caption file; None if missing, which is an error where it is read."""
    if path is None or not pathlib.Path(path).is_file():
        return None
    return files.file_sha256(pathlib.Path(path))


def _prepared(
    output: pathlib.Path, fingerprint: str, settings: Settings, overwrite: bool
) -> dict[str, Any] | None:
    """Return the manifest if the same data exists already; None if there is work to do.

    Raises:
      ValueError: `output` holds something else that may not be overwritten.
    """
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: is a file; expected a folder to write to; choose another.")
    if not (output / manifests.MANIFEST).exists():
        shards = output.is_dir() and any(SHARD_NAME.fullmatch(p.name) for p in output.iterdir())
        if shards and not (output / PARTIAL).exists() and not overwrite:
            raise ValueError(
                f"{output}: holds shards without a manifest, which this run would replace; choose "
                "another --output, or pass --overwrite."
            )
        return None
    try:
        manifest = manifests.read_manifest(output)
    except ValueError:
        if overwrite:
            return None
        raise
    if manifest.get("fingerprint") == fingerprint:
        try:
            manifests.check_shards(output, manifest)
        except ValueError:
            return None  # Shards are lost or cut off: write them again.
        return manifest
    if overwrite:
        return None
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    differing = [
        f"{name} {manifest['settings'].get(name)} instead of {value}"
        for name, value in now.items()
        if manifest["settings"].get(name) != value
    ]
    raise ValueError(
        f"{output}: holds data of {', '.join(differing) or 'other videos, captions or versions'}; "
        "choose another --output, or pass --overwrite to replace it."
    )


@contextlib.contextmanager
def _removed_if_empty(folder: pathlib.Path) -> Iterator[None]:
    """Remove a folder at the end, also after an error, if it is empty."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _tidied(partial: pathlib.Path, is_new: bool) -> Iterator[None]:
    """Remove the lock and its folder at the end, if the folder holds nothing else.

    Also remove the parent folder if it is new and empty.
    """
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if {path.name for path in partial.iterdir()} <= {_LOCK}:
                (partial / _LOCK).unlink(missing_ok=True)
                partial.rmdir()
                if is_new:
                    partial.parent.rmdir()


@contextlib.contextmanager
def _no_space_explained(output: pathlib.Path) -> Iterator[None]:
    """Turn Python's and TensorFlow's errors about a full disk into one clear error."""
    try:
        yield
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(error):
            raise ValueError(
                f"{output}: the disk is full; free some space and run the same command again; it "
                "resumes."
            ) from error
        raise
