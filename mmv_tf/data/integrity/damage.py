# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Policies for damaged records: stop, or skip and count them."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from mmv_tf.data.integrity.inspection import Finding, ShardInspection, count_by_reason

POLICIES = ("stop", "skip")
# Delimiters of the pipeline's own messages within TensorFlow's.
MESSAGE_START, MESSAGE_END = "<<", ">>"
# Start of a message that is replaced with the problems that inspection finds in the shards, if any.
UNSURE_START = "<?"
_SHOWN = 3


class DamagedDataError(ValueError):
    """Error raised if records are damaged, or if more are damaged than allowed."""


@dataclasses.dataclass(frozen=True)
class DamageReport:
    """Numbers of records written and read, and the reasons why the rest are not read.

    Attributes:
      written: records that the shards should hold.
      read: records that can be read.
      findings: problems found; the records they cost plus `read` equal `written`.
    """

    written: int
    read: int
    findings: tuple[Finding, ...] = ()

    @property
    def by_reason(self) -> dict[str, int]:
        """Number of records left out by reason, for TensorBoard."""
        return count_by_reason(self.findings)

    @property
    def reported(self) -> int:
        """Number of records left out."""
        return sum(finding.records for finding in self.findings)

    def summary(self) -> str:
        """Return the counts as one line."""
        if not self.findings:
            return f"all {self.written} records are good"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.by_reason.items())
        return f"{self.read} of {self.written} records are read; left out: {reasons}"


def report_of(inspections: Sequence[ShardInspection]) -> DamageReport:
    """Add up the inspections of shards."""
    return DamageReport(
        sum(shard.written for shard in inspections),
        sum(shard.good for shard in inspections),
        tuple(finding for shard in inspections for finding in shard.findings),
    )


def enforce(report: DamageReport, policy: str, max_bad_fraction: float, where: str) -> None:
    """Raise an error if the policy does not allow the damage.

    Args:
      report: report on the records about to be read.
      policy: "stop" or "skip".
      max_bad_fraction: largest fraction of damaged records that "skip" allows.
      where: directory to name in the message.

    Raises:
      DamagedDataError: the policy is "stop" and there is damage, or there is too much of it.
    """
    if policy not in POLICIES:
        raise ValueError(f"on_bad_record is {policy!r}; expected one of {', '.join(POLICIES)}.")
    if not report.findings:
        return
    shown = "; ".join(map(str, report.findings[:_SHOWN]))
    more = len(report.findings) - _SHOWN
    shown += f"; and {more} more" if more > 0 else ""
    if policy == "stop":
        raise DamagedDataError(
            f"{where}: {report.reported} of {report.written} records are damaged: {shown}. Run "
            "'mmv verify_data' on it, with --repair to write clean shards, or set "
            "on_bad_record=skip."
        )
    if report.reported > max_bad_fraction * report.written:
        raise DamagedDataError(
            f"{where}: {report.reported} of {report.written} records are damaged, more than "
            f"max_bad_fraction={max_bad_fraction:g} allows: {shown}. Prepare the data again, or "
            "raise max_bad_fraction."
        )


@contextlib.contextmanager
def explained(diagnose: Callable[[], list[Finding]]) -> Iterator[None]:
    """Turn TensorFlow's errors about records into one clear error that names the record.

    Args:
      diagnose: function that finds the shards' problems; called only after an error.

    Raises:
      DamagedDataError: replaces an error from the pipeline.
    """
    try:
        yield
    except (
        tf.errors.DataLossError,
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
        tf.errors.FailedPreconditionError,
    ) as error:
        own = _message(MESSAGE_START, error)
        if own:
            raise DamagedDataError(own) from error
        findings = diagnose()
        own = _message(UNSURE_START, error)
        if own and not findings:
            raise DamagedDataError(own) from error
        if not findings:
            raise
        raise DamagedDataError(f"{'; '.join(map(str, findings[:_SHOWN]))}.") from error


def _message(start: str, error: tf.errors.OpError) -> str:
    """Return the pipeline's own message that begins with `start` in an error; "" if none."""
    found = re.search(f"{re.escape(start)}(.*?){MESSAGE_END}", error.message or "", re.DOTALL)
    return "" if found is None else found.group(1)
