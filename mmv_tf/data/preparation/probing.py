# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Probes the duration, frame size and audio track of each source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from mmv_tf.data import media
from mmv_tf.data.preparation.report import MISSING
from mmv_tf.data.preparation.sources import TFDS, Source
from mmv_tf.util.progress import Progress
from mmv_tf.util.storage.urls import local_of, name_of
from mmv_tf.util.worker_pool import Failure, Runner, Task

_PROBES_A_TASK = 16

# The result for each row of the source list; rows of other shares have none.
Probes: TypeAlias = dict[int, media.MediaInfo | Failure]


def probe_all(sources: Mapping[int, Source], runner: Runner) -> Probes:
    """Probe sources and return the results by row."""
    probes: Probes = {}
    parts = []
    for row, source in sources.items():
        if source.kind == TFDS:
            probes[row] = media.MediaInfo(0.0, 0, 0, 0.0, False, 0)
        elif not source.path.exists():
            probes[row] = Failure(MISSING, f"{source.path}: no such file; check the path")
        else:
            parts.append((row, (name_of(source.path), source.kind)))
    groups = [parts[i : i + _PROBES_A_TASK] for i in range(0, len(parts), _PROBES_A_TASK)]
    tasks = [
        Task(_probe, group[0][1][0], (), tuple(group), tuple(path for _, (path, _) in group))
        for group in groups
    ]
    with Progress(len(parts), "probing sources", "files") as shown:
        for row, outcome in runner.run(tasks):
            shown.update()
            if isinstance(outcome, Failure):
                probes[row] = outcome
            else:
                probes[row] = media.MediaInfo.from_json(outcome)
    return probes


def _probe(values: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Probe files, as the task of a child process."""
    for name, kind in values:
        path = local_of(name)
        try:
            info = media.probe(path, kind)
        except (media.MediaError, OSError):
            raise
        except Exception as error:
            # FFmpeg's bindings raise many kinds of errors; name this file, not the task's first.
            raise media.MediaError(f"{path}: reading raised {error!r}; check the file.") from error
        yield info.to_json()
