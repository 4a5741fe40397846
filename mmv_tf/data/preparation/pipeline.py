# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prepares sources as a directory of shards: plan, decode, write, publish.

Decoding runs in child processes, each with a deadline, which store finished units in
`OUTPUT/.partial/FINGERPRINT/`. The fingerprint covers everything that the shards depend on, so the
same command resumes an interrupted run. The shards have the same bytes no matter how often the run
was interrupted, and whether one machine decodes or many do, each as a task with a share of the
sources.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from mmv_tf.data.preparation import tasks
from mmv_tf.data.preparation.beam import BeamRunner
from mmv_tf.data.preparation.decode_plan import Outcomes, decode, decoded_before, record_outcomes
from mmv_tf.data.preparation.decoding import DecodeOptions, LogMelSpec
from mmv_tf.data.preparation.fingerprint import fingerprint_of
from mmv_tf.data.preparation.output_folder import OutputFolder, removed_if_empty
from mmv_tf.data.preparation.plan import Plan
from mmv_tf.data.preparation.planning import plan_clips
from mmv_tf.data.preparation.probing import Probes, probe_all
from mmv_tf.data.preparation.publication import publish
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import IMAGE, TFDS, DataSetFacts, Source
from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.data.records.manifests import VIDEO_STORE
from mmv_tf.util import locks
from mmv_tf.util.shares import Share
from mmv_tf.util.worker_pool import Failure, Runner, WorkerPool


@dataclasses.dataclass(frozen=True)
class Execution:
    """Execution settings, which do not affect the result.

    Attributes:
      processes: number of parallel processes.
      deadline_seconds: time limit for one unit.
      beam: whether to run the steps with Apache Beam instead of child processes.
      beam_options: options for the Beam pipelines.
    """

    processes: int = 1
    deadline_seconds: float = 300.0
    beam: bool = False
    beam_options: tuple[str, ...] = ()

    def runner(self, results: WorkFolder) -> WorkerPool | BeamRunner:
        """Return a context manager that runs tasks; Beam's workers leave results in the folder."""
        if self.beam:
            return BeamRunner(results, self.deadline_seconds, self.beam_options, self.processes)
        return WorkerPool(self.processes, self.deadline_seconds)


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything that the shards depend on, and how to make them.

    Attributes:
      sources: from `find_sources`, `read_listing` or a named data set.
      settings: settings that determine the contents of the shards.
      labels: list of captions with labels (see `captions.attach_labels`) for all sources.
      facts: the data set's properties.
      log_mel: for settings.sound "log_mel", the class of the layer that computes it (such as
        `layers.LogMel`) and its arguments.
      execution: execution settings.
    """

    sources: Sequence[Source]
    settings: Settings
    labels: str | pathlib.Path | None = None
    facts: DataSetFacts = dataclasses.field(default_factory=DataSetFacts)
    log_mel: LogMelSpec | None = None
    execution: Execution = dataclasses.field(default_factory=Execution)

    def __post_init__(self) -> None:
        if (self.settings.sound == "log_mel") != (self.log_mel is not None):
            raise ValueError('Give sound="log_mel" and the layer that computes it together.')
        images = [source for source in self.sources if source.kind in (IMAGE, TFDS)]
        if images and self.settings.store == VIDEO_STORE:
            raise ValueError(
                f"{images[0].path}: is an image, but store=video is for videos and audio; use "
                "--store=jpeg."
            )

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of everything that the shards depend on."""
        return fingerprint_of(self.sources, self.settings, self.labels, self.facts, self.log_mel)

    def plan(self, probes: Probes) -> Plan:
        """Plan the clips of the sources that were probed."""
        return plan_clips(self.sources, self.settings, self.labels, self.facts.class_names, probes)

    def decode(
        self,
        plan: Plan,
        output: OutputFolder,
        runner: Runner,
        results: tasks.Results | None = None,
    ) -> Outcomes:
        """Decode the units of a plan that have not been decoded yet.

        Args:
          plan: the units.
          output: the output folder.
          runner: runner for the decoding tasks.
          results: results of all tasks; if None, the blocks left by an interrupted run are checked.
        """
        folder = output.work(self.fingerprint)
        present = folder.names("blocks")
        output.check_space(plan, self.settings, present)
        if results is None:
            known: Outcomes = {**decoded_before(plan, folder, present)}
        else:
            known = {
                name: outcome
                for name, outcome in results.outcomes.items()
                if isinstance(outcome, Failure) or name in present
            }
        options = DecodeOptions(self.settings, plan.labels, folder, self.log_mel)
        return decode(plan, options, runner, known)


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
    finish: bool = False,
) -> tuple[dict[str, Any], bool]:
    """Write a data set's shards and manifest.

    An unusable source is an error if it is the only one. Otherwise it becomes a row in the
    manifest's "sources", and is an error only if no source is usable.

    Args:
      sources, settings, labels, facts, log_mel: see `Job`.
      output: directory to write to, which is created if missing; or its URL in a store.
      processes, deadline_seconds: settings of the default `execution`.
      overwrite: whether to replace data with other settings in `output`.
      execution: execution settings.
      passed_over: counts from `sources.find` for the manifest and the report; the shards do not
        depend on them.
      finish: whether to merge what tasks left (see `prepare_task`) instead of probing and decoding.

    Returns:
      The manifest, and whether the data already existed.

    Raises:
      ValueError: an input cannot be used, `output` holds something else, or tasks are missing.
      OSError: the disk is full or cannot be written to.
    """
    target = OutputFolder(output)
    facts = DataSetFacts() if facts is None else facts
    execution = Execution(processes, deadline_seconds) if execution is None else execution
    job = Job(sources, settings, labels, facts, log_mel, execution)
    done = target.prepared(job.fingerprint, settings, overwrite)
    if done is not None:
        return done, True
    work = target.work(job.fingerprint)
    with target.held():
        work.check_writable()
        results = tasks.collect(work, len(sources), output) if finish else None
        target.remove_stale(job.fingerprint)
        work.path.mkdir(parents=True, exist_ok=True)
        with removed_if_empty(work.path), execution.runner(work.within("results")) as runner:
            probes = results.probes if results else probe_all(dict(enumerate(sources)), runner)
            plan = job.plan(probes)
            record_outcomes(plan, job.decode(plan, target, runner, results), settings)
            extra = {
                "fingerprint": job.fingerprint,
                "data_set": facts.name,
                "folds": facts.folds,
                "log_mel": dict(log_mel[1]) if log_mel is not None else None,
                "passed_over": dict(passed_over or {}),
            }
            plan.dropped["files_passed_over"] += sum((passed_over or {}).values())
            manifest = publish(plan, settings, target.folder, work, extra, runner)
        work.clear()
    return manifest, False


def prepare_task(
    job: Job, output: str | pathlib.Path, share: Share, overwrite: bool = False
) -> tasks.Results | None:
    """Probe and decode a share of the sources; `prepare` with `finish` merges all shares.

    All tasks need the same job and a shared output. They may run at the same time, in any order,
    and again after an interruption.

    Args:
      job: the whole job.
      output: directory or URL of the whole data set.
      share: the task's share of the sources.
      overwrite: whether to allow data with other settings in `output`; finishing replaces them.

    Returns:
      Results for the share's sources and their blocks; None if the whole data set already exists.

    Raises:
      ValueError: an input cannot be used, or `output` holds something else.
      OSError: the disk is full or cannot be written to.
    """
    target = OutputFolder(output)
    if target.prepared(job.fingerprint, job.settings, overwrite) is not None:
        return None
    work = target.work(job.fingerprint)
    lock = work.path / tasks.lock_name(share)
    with (
        target.held(shared=True),
        locks.held(lock, output, f"doing the task {share}"),
        job.execution.runner(work.within(tasks.results_name(share))) as runner,
    ):
        work.within(tasks.results_name(share)).check_writable()  # Each task has its own.
        own = {row: one for row, one in enumerate(job.sources) if share.holds_index(row)}
        probes = probe_all(own, runner)
        plan = job.plan(probes)
        results = tasks.Results(probes, job.decode(plan, target, runner))
        tasks.write_results(work, share, results)
    return results
