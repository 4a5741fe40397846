# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks of the output folder before the work, and its tidying afterwards."""

from __future__ import annotations

import contextlib
import errno
import json
import pathlib
import shutil
from collections.abc import Collection, Iterator
from typing import Any

from mmv_tf.data.preparation.cutting import bytes_a_second
from mmv_tf.data.preparation.plan import Plan
from mmv_tf.data.preparation.publication import SHARD_NAME
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.records import manifests
from mmv_tf.data.records.manifests import JPEG_STORE

PARTIAL = ".partial"
LOCK = "lock"


def check_space(
    plan: Plan, settings: Settings, output: pathlib.Path, present: Collection[str]
) -> None:
    """Raise an error if the disk can't hold the result; blocks in `present` are there already."""
    need = 0.0
    for unit in plan.units:
        stored = sum(clip.span.end_ms - clip.span.start_ms for clip in unit.clips) / 1000
        size = stored * bytes_a_second(unit.info, settings)
        # Once in the work folder (unless already there), once in the shards.
        need += size if unit.block_name in present else 2 * size
    free = shutil.disk_usage(output).free
    if free < need:
        raise ValueError(
            f"{output}: about {need / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free; free "
            "some, or choose another --output, a lower --frame_rate or a smaller --short_side."
        )


def prepared(
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
    usual = {"store": JPEG_STORE}
    now = {**usual, **json.loads(json.dumps(settings.stated()))}
    was = {**usual, **manifest["settings"]}
    differing = [
        f"{name} {was.get(name)} instead of {value}"
        for name, value in now.items()
        if was.get(name) != value
    ]
    raise ValueError(
        f"{output}: holds data of {', '.join(differing) or 'other videos, captions or versions'}; "
        "choose another --output, or pass --overwrite to replace it."
    )


@contextlib.contextmanager
def removed_if_empty(folder: pathlib.Path) -> Iterator[None]:
    """Remove a folder at the end, also after an error, if it is empty."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def tidied(partial: pathlib.Path, is_new: bool) -> Iterator[None]:
    """Remove the lock and its folder at the end, if the folder holds nothing else.

    Also remove the parent folder if it is new and empty.
    """
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if {path.name for path in partial.iterdir()} <= {LOCK}:
                (partial / LOCK).unlink(missing_ok=True)
                partial.rmdir()
                if is_new:
                    partial.parent.rmdir()


@contextlib.contextmanager
def no_space_explained(output: pathlib.Path) -> Iterator[None]:
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
