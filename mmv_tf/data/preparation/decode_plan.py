# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes the units of a plan that have not been decoded yet, and reports failures."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from mmv_tf.data.preparation.blocks import DamagedBlockError, check_block, read_index
from mmv_tf.data.preparation.decoding import (
    CHANGING_SIZE,
    MOST_DAMAGED_SHARE,
    DecodeJob,
    DecodeOptions,
    decode_units,
)
from mmv_tf.data.preparation.plan import Plan, StoredBlock, Unit
from mmv_tf.data.preparation.report import OK, SILENT, TOO_SHORT, SourceReport
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.work_folder import READERS, WorkFolder
from mmv_tf.util.progress import Progress
from mmv_tf.util.read_ahead import read_ahead
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.worker_pool import CORRUPT, Failure, Runner, Task

logger = logging.getLogger(__name__)

_SILENCE = 1e-4  # Ours: -80 dB of full scale.
# Ours. Adjacent units are decoded in one pass, which saves decoding from the previous key
# frame for each; a longer task would leave cores idle at the end of a single film. The value must
# not depend on the number of processes, because the decoded data must not.
_TASK_SECONDS = 120.0


# The result for each block by name: its index, or the reason why there is none.
Outcomes: TypeAlias = dict[str, dict[str, Any] | Failure]


def decode(
    plan: Plan,
    options: DecodeOptions,
    runner: Runner,
    known: Mapping[str, dict[str, Any] | Failure],
) -> Outcomes:
    """Decode the units of a plan that have no `known` outcome.

    Returns:
      The outcomes of all units in the plan.
    """
    outcomes = {unit.block_name: known.get(unit.block_name) for unit in plan.units}
    todo = [unit for unit in plan.units if outcomes[unit.block_name] is None]
    total = sum(round(unit.seconds) for unit in plan.units)
    before = total - sum(round(unit.seconds) for unit in todo)
    tasks = [_task(run, options) for run in _runs(todo)]
    with Progress(total, "decoding", "seconds of media", initial=before) as shown:
        for unit, outcome in runner.run(tasks):
            shown.update(round(unit.seconds))
            if isinstance(outcome, Failure) and len(plan.reports) == 1 and len(plan.units) == 1:
                raise ValueError(outcome.reason)
            outcomes[unit.block_name] = outcome
    return {name: outcome for name, outcome in outcomes.items() if outcome is not None}


def decoded_before(
    plan: Plan, folder: WorkFolder, present: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the indices of blocks that an interrupted run wrote; warn about damaged ones.

    The checksums of records are verified, except for records in a store, which would all have to be
    downloaded; those are verified when they are put into shards.

    Args:
      plan: the units.
      folder: the blocks' folder.
      present: the file names in the folder.
    """
    there = [unit.block_name for unit in plan.units if unit.block_name in present]
    if not there:
        return {}
    found: dict[str, dict[str, Any]] = {}
    check = read_index if folder.is_remote else check_block

    def index_of(name: str) -> dict[str, Any] | None:
        # A listing may be out of date.
        with contextlib.suppress(DamagedBlockError, FileNotFoundError):
            return check(folder, name)
        return None

    indices = read_ahead(index_of, there, READERS) if folder.is_remote else map(index_of, there)
    with Progress(len(there), "checking decoded units", "units") as shown:
        for name, index in zip(there, indices, strict=True):
            if index is not None:
                found[name] = index
            shown.update()
    if len(found) < len(there):
        logger.warning(
            "%s: %d of %d decoded units are damaged or from an earlier version; decoding them "
            "again.",
            folder.place,
            len(there) - len(found),
            len(there),
        )
    return found


def record_outcomes(plan: Plan, outcomes: Outcomes, settings: Settings) -> None:
    """Record the outcomes of units in the plan and its reports, and remove clips left out.

    Raises:
      ValueError: no unit could be decoded.
    """
    by_row: dict[int, list[Unit]] = collections.defaultdict(list)
    for unit in plan.units:
        by_row[unit.row].append(unit)
    kept: list[Unit] = []
    for row, units in by_row.items():
        report = plan.reports[row]
        failures = [(u, o) for u in units if isinstance(o := outcomes[u.block_name], Failure)]
        done = [(u, o) for u in units if not isinstance(o := outcomes[u.block_name], Failure)]
        clips = report.clips
        for unit, _ in failures:
            report.leave_out("clips_not_decoded", len(unit.clips))
            report.clips -= len(unit.clips)
        damage: dict[str, set[int]] = collections.defaultdict(set)
        for unit, outcome in done:
            for reason, times in outcome["damage"].items():
                damage[reason].update(times)
            changing = set(outcome["left_out"])
            report.leave_out(CHANGING_SIZE, len(changing))
            report.clips -= len(changing)
            left = tuple(c for index, c in enumerate(unit.clips) if index not in changing)
            if left:
                kept.append(dataclasses.replace(unit, clips=left))
                plan.stored[unit.index] = StoredBlock(unit.block_name, outcome)
        for reason, found in damage.items():
            report.leave_out(reason, len(found))
        peak = max((outcome["peak"] for _, outcome in done), default=0.0)
        if failures:
            _note_failures(report, [failure for _, failure in failures], clips)
        elif not report.clips:
            report.fail(TOO_SHORT, "the frame size changes within each of its clips")
        elif (
            report.status == OK
            and units[0].info.has_audio
            and peak < _SILENCE
            and settings.sound != "none"
        ):
            report.fail(SILENT, "the audio stream holds only silence")
    plan.units = kept
    if not plan.units:
        raise ValueError(
            f"None of the {len(plan.reports)} sources could be decoded; the first failed because: "
            f"{plan.reports[0].reason}."
        )


def _note_failures(report: SourceReport, failures: Sequence[Failure], clips: int) -> None:
    """Record in a source's report that some of its clips failed."""
    reason = f"{len(failures)} blocks lost, the first because: {failures[0].reason}"
    few = clips - report.clips <= MOST_DAMAGED_SHARE * clips
    if few and failures[0].status == CORRUPT:
        report.reason = "; ".join(filter(None, (report.reason, reason)))
    else:
        report.status, report.reason = failures[0].status, reason


def _runs(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Yield runs of adjacent units of one source to decode in one pass."""
    run: list[Unit] = []
    for unit in units:
        together = (
            run
            and unit.row == run[0].row
            and unit.index == run[-1].index + 1
            and sum(u.seconds for u in run) + unit.seconds <= _TASK_SECONDS
        )
        if run and not together:
            yield run
            run = []
        run.append(unit)
    if run:
        yield run


def _task(units: Sequence[Unit], options: DecodeOptions) -> Task:
    source = units[0].source
    parts = tuple(
        (unit, DecodeJob(unit.block_name, unit.clips, unit.info.has_audio)) for unit in units
    )
    timeline = units[0].info.timeline
    name = name_of(source.path)
    arguments = (name, source.kind, source.selection, timeline, options)
    return Task(decode_units, name, arguments, parts)
