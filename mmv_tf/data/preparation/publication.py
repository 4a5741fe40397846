# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Publishes data: merges blocks into shards, puts these in place, and writes the manifest last."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from mmv_tf.data.preparation import shards as shards_lib
from mmv_tf.data.preparation.plan import Plan
from mmv_tf.data.preparation.report import SourceReport
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.data.records import manifests
from mmv_tf.data.records.manifests import VIDEO_STORE
from mmv_tf.util import files
from mmv_tf.util.storage.store import Entry
from mmv_tf.util.text_files import printable_name
from mmv_tf.util.worker_pool import Runner

SHARD_NAME = re.compile(r"[^/]+-\d{5}-of-\d{5}\.tfrecord")


def publish(
    plan: Plan,
    settings: Settings,
    output: WorkFolder,
    work: WorkFolder,
    extra: dict[str, Any],
    runner: Runner,
) -> dict[str, Any]:
    """Write all shards, put them in place and write the manifest.

    Args:
      plan: the decoded units.
      settings: settings that determine the contents of the shards.
      output: folder for the shards.
      work: work folder with the blocks.
      extra: further entries for the manifest.
      runner: runner for the writing tasks.

    Returns:
      The manifest.
    """
    shards = shards_lib.assign(plan, settings, work, output)
    present: dict[str, Entry] = {}
    if output.is_remote:
        # Shards are written in place, so the old manifest has to be removed first.
        output.remove([manifests.MANIFEST])
        present = output.entries()
    else:
        staging = work.path / "shards"
        staging.mkdir(exist_ok=True)
        files.remove_unfinished(staging)
    entries = shards_lib.write_all(shards, runner, present)
    # There is no manifest until the new one is written, so no reader can read a mixture of shards.
    output.remove([manifests.MANIFEST])
    listed = present if output.is_remote else {path.name for path in output.path.iterdir()}
    old = {name for name in listed if SHARD_NAME.fullmatch(name)}
    output.remove(old - {shard.name for shard in shards})
    shards_lib.put_in_place(shards)
    by_split = {}
    for split in shards_lib.splits_of(plan, settings):
        own = [shard for shard in shards if shard.split == split]
        by_split[split] = {
            "num_examples": sum(len(shard.records) for shard in own),
            "num_captions": plan.captions[split],
            **_modalities(plan, split, settings),
            "shards": [entries[shard.name] for shard in own],
        }
    manifest = {
        "frame_rate": settings.frame_rate,
        "sample_rate": settings.sample_rate,
        "short_side": settings.short_side,
        **_storing(settings),
        "labels": list(plan.labels),
        "splits": by_split,
        "sources": [_row(report) for report in plan.reports],
        "blocks": plan.blocks,
        "dropped": _dropped(plan),
        "settings": settings.stated(),
        **extra,
    }
    manifests.write_manifest(output.path, manifest)
    manifest = manifests.read_manifest(output.path)
    output.send(manifests.MANIFEST)
    return manifest


def _storing(settings: Settings) -> dict[str, Any]:
    """Return the manifest's entries about how frames and audio are stored."""
    if settings.store == VIDEO_STORE:
        return {"store": VIDEO_STORE, "video_crf": settings.video_crf}
    return {"jpeg_quality": settings.jpeg_quality}


def _row(report: SourceReport) -> dict[str, Any]:
    """Return a row for the manifest; file names in a reason may not be valid UTF-8."""
    return {**dataclasses.asdict(report), "reason": printable_name(report.reason)}


def _dropped(plan: Plan) -> dict[str, int]:
    """Return the counts of what was left out of all sources, by reason."""
    total = plan.dropped.copy()
    for report in plan.reports:
        total.update(report.left_out)
    return {name: total[name] for name in sorted(total)}


def _modalities(plan: Plan, split: str, settings: Settings) -> dict[str, int]:
    """Count a split's clips with frames and with audio."""
    counts = {"num_with_video": 0, "num_with_audio": 0}
    for unit in plan.units:
        own = sum(clip.span.split == split for clip in unit.clips)
        shown = unit.source.kind != "sound"
        counts["num_with_video"] += own * shown
        counts["num_with_audio"] += own * (unit.info.has_audio and settings.sound != "none")
    return counts
