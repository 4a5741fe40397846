# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Facts about a run for readers and model cards: its data, machine, versions and time."""

from __future__ import annotations

import contextlib
import os
import pathlib
import platform
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.data import Reader
from mmv_tf.util.configuration import read_json, write_json
from mmv_tf.util.safe_files import NUMBER, Count
from mmv_tf.version import __version__

SUMMARY_FILE = "training.json"
_FORM = {
    "data?": [
        {
            "name": str,
            "data_set?": str,
            "license?": str,
            "splits": [str],
            "clips": Count,
            "captions?": Count,
            "sources?": Count,
            "source_seconds?": NUMBER,
        }
    ],
    "machine?": {
        "system?": str,
        "processor?": str,
        "cores?": Count,
        "accelerators?": [str],
        "replicas?": Count,
    },
    "versions?": {str: str},
    "seconds?": NUMBER,
}


def read_summary(directory: pathlib.Path) -> dict[str, Any]:
    """Return the facts about the run in a folder; empty for a run from an earlier version.

    Returns:
      A dict with "data" (for each data set "name", "splits", "clips", "captions", "sources" and
      "source_seconds" over all splits, "license" if the manifest states one), "machine", "versions"
      and "seconds" (time in the loop, over all processes except those that were killed).

    Raises:
      ValueError: the file is damaged.
    """
    path = directory / SUMMARY_FILE
    found: dict[str, Any] = read_json(path, _FORM) if path.exists() else {}
    return found


@contextlib.contextmanager
def summarized(
    directory: pathlib.Path, readers: Sequence[Reader], strategy: tf.distribute.Strategy
) -> Iterator[None]:
    """Write the facts about the run in a folder and, however the context ends, its time.

    Args:
      directory: the run folder.
      readers: readers of the training data.
      strategy: the run's strategy.
    """
    before = read_summary(directory).get("seconds", 0.0)
    facts = {
        "data": [_data(reader) for reader in readers],
        "machine": _machine(strategy),
        "versions": {
            "mmv_tf": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
        },
    }
    write_json({**facts, "seconds": before}, directory / SUMMARY_FILE)
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = before + time.monotonic() - started
        write_json({**facts, "seconds": round(seconds, 1)}, directory / SUMMARY_FILE)


def _data(reader: Reader) -> dict[str, Any]:
    manifest = reader.manifest
    splits = reader.splits()
    entries = [manifest["splits"][name] for name in splits if name in manifest.get("splits", {})]
    found = {
        "name": reader.directory.resolve().name,
        "splits": splits,
        "clips": reader.num_examples(),
    }
    if entries:
        found["captions"] = sum(entry.get("num_captions", 0) for entry in entries)
    sources = [source for source in manifest.get("sources") or () if source["clips"]]
    if sources:
        found["sources"] = len(sources)
        found["source_seconds"] = round(sum(source["seconds"] for source in sources), 1)
    stated = {key: manifest.get(key) for key in ("data_set", "license")}
    return found | {key: value for key, value in stated.items() if isinstance(value, str) and value}


def _machine(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    accelerators = [
        tf.config.experimental.get_device_details(device).get("device_name", device.device_type)
        for device in tf.config.list_physical_devices()
        if device.device_type != "CPU"
    ]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": os.cpu_count() or 0,
        "accelerators": accelerators,
        "replicas": strategy.num_replicas_in_sync,
    }


def processor_name() -> str:
    """Return the processor's name, or that of its architecture where Linux does not state it."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
