# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Manifests of data that are not there."""

from __future__ import annotations

from mmv_tf.data.records import manifests


def write(directory, **splits):
    """A manifest of splits: clips, or (clips, with sound, captions)."""
    directory.mkdir(parents=True)
    entries = {}
    for name, counts in splits.items():
        clips, sounds, captions = counts if isinstance(counts, tuple) else (counts,) * 3
        entries[name] = {
            "num_examples": clips,
            "num_captions": captions,
            "num_with_video": clips,
            "num_with_audio": sounds,
            "shards": [],
        }
    manifest = {
        "frame_rate": 10.0, "sample_rate": 48_000, "short_side": 256, "labels": [],
        "settings": {}, "splits": entries,
    }  # fmt: skip
    manifests.write_manifest(directory, manifest)
