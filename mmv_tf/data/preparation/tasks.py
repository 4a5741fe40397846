# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Results of tasks, in which many machines each probe and decode a share of the sources.

Task i of n has the sources i, i + n, ... of the sorted list. It leaves blocks and, at the end, a
file of results in the work folder. Finishing needs the results of all sources, from tasks with any
value of n.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from mmv_tf.data.media import MediaInfo
from mmv_tf.data.preparation.decode_plan import Outcomes
from mmv_tf.data.preparation.probing import Probes
from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.util.configuration import read_checked_json, write_checked_json
from mmv_tf.util.shares import Share
from mmv_tf.util.worker_pool import Failure

_FOLDER = "tasks"
_RESULTS = re.compile(rf"{_FOLDER}/(\d{{6}})-of-(\d{{6}})\.json")
_MOST_NAMED = 20


@dataclasses.dataclass
class Results:
    """The results of one or several tasks.

    Attributes:
      probes: probe results by row of the source list.
      outcomes: decoding outcomes by block name.
    """

    probes: Probes = dataclasses.field(default_factory=dict)
    outcomes: Outcomes = dataclasses.field(default_factory=dict)


def lock_name(share: Share) -> str:
    """Return the name of a task's lock file in the work folder."""
    return f"{_stem(share)}.lock"


def results_name(share: Share) -> str:
    """Return the name of the work folder's subfolder for results of a task's pipelines."""
    return f"results-{share.number}-of-{share.count}"


def write_results(folder: WorkFolder, share: Share, results: Results) -> None:
    """Write a finished task's results."""
    content = {
        "probes": [[row, _plain(probe)] for row, probe in sorted(results.probes.items())],
        "outcomes": {name: _plain(outcome) for name, outcome in results.outcomes.items()},
    }
    with folder.writing(f"{_stem(share)}.json") as temporary:
        write_checked_json(content, temporary)


def read_results(folder: WorkFolder, share: Share) -> Results:
    """Read a task's results.

    Raises:
      FileNotFoundError: there are none.
      ValueError: they are damaged.
    """
    content = read_checked_json(folder.fetched(f"{_stem(share)}.json"))
    probes = {row: _failure_or(probe) for row, probe in content["probes"]}
    return Results(
        {
            row: probe if isinstance(probe, Failure) else MediaInfo.from_json(probe)
            for row, probe in probes.items()
        },
        {name: _failure_or(outcome) for name, outcome in content["outcomes"].items()},
    )


def collect(folder: WorkFolder, num_sources: int, where: object) -> Results:
    """Return the results of all tasks.

    Args:
      folder: the work folder.
      num_sources: length of the source list.
      where: output to name in messages.

    Raises:
      ValueError: some sources have no result; the message names the tasks to run.
    """
    shares = finished(folder.names(_FOLDER))
    results = Results()
    for share in shares:
        try:
            found = read_results(folder, share)
        except ValueError as error:
            raise ValueError(f"{error} Run --task={share} again, then --finish.") from None
        _prefer_results(results.probes, found.probes)
        _prefer_results(results.outcomes, found.outcomes)
    lacking = [row for row in range(num_sources) if row not in results.probes]
    if lacking:
        raise ValueError(_missing(shares, lacking, where))
    return results


def _prefer_results(known: dict[Any, Any], found: Mapping[Any, Any]) -> None:
    """Add what another task found; a failure replaces nothing."""
    known.update(
        {key: one for key, one in found.items() if key not in known or not isinstance(one, Failure)}
    )


def finished(names: Collection[str]) -> list[Share]:
    """Return the tasks whose results are among the file names."""
    matches = (_RESULTS.fullmatch(name) for name in sorted(names))
    return [Share(int(match[1]), int(match[2])) for match in matches if match is not None]


def _missing(shares: Collection[Share], lacking: Collection[int], where: object) -> str:
    if not shares:
        return (
            f"{where}: no task with these settings and sources is done; first run the same command "
            "with --task=1/n to --task=n/n instead of --finish."
        )
    count = max(share.count for share in shares)
    numbers = sorted({row % count + 1 for row in lacking})
    named = ", ".join(f"{number}/{count}" for number in numbers[:_MOST_NAMED])
    more = f" and {len(numbers) - _MOST_NAMED} more" if len(numbers) > _MOST_NAMED else ""
    return (
        f"{where}: tasks not done yet: {named}{more}; run --task={numbers[0]}/{count} and so on, "
        "then --finish again."
    )


def _stem(share: Share) -> str:
    return f"{_FOLDER}/{share.number:06d}-of-{share.count:06d}"


def _plain(value: MediaInfo | Failure | Mapping[str, Any]) -> Any:
    if isinstance(value, Failure):
        return {"failure": [value.status, value.reason]}
    return value.to_json() if isinstance(value, MediaInfo) else value


def _failure_or(value: dict[str, Any]) -> Any:
    return Failure(*value["failure"]) if "failure" in value else value
