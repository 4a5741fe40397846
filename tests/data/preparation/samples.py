# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A small prepared film with captions, and the contents of its shards."""

from mmv_tf.data import preparation
from mmv_tf.data.records import keys, manifests

SETTINGS = preparation.Settings(
    frame_rate=10.0,
    short_side=24,
    sample_rate=8_000,
    min_clip_seconds=0.5,
    block_seconds=1.5,
    split_pattern=("train", "test"),
    caption_window_seconds=5.0,
    num_shards=2,
)
CUES = [(0.0, 0.6, "zero"), (0.7, 1.4, "one"), (1.6, 2.3, "two"), (2.4, 2.9, "three")]


def prepare(film, output, settings=SETTINGS, **kwargs):
    return preparation.prepare(preparation.find_sources(film), output, settings, **kwargs)


def prepare_sources(sources, output, **settings):
    return preparation.prepare(sources, output, preparation.Settings(short_side=16, **settings))[0]


def records(directory, split):
    # Imported here, because the pool's children import this file and TensorFlow takes seconds.
    import tensorflow as tf

    manifest = manifests.read_manifest(directory)
    manifests.check_shards(directory, manifest, checksums=True)
    paths = [str(directory / shard["file"]) for shard in manifest["splits"][split]["shards"]]
    found = [
        tf.train.SequenceExample.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(paths)
    ]
    return sorted(found, key=lambda r: r.context.feature[keys.CLIP_START].int64_list.value[0])


def contents(directory):
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir()) if p.is_file()}
