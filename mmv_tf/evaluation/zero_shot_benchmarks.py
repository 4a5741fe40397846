# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Declares zero-shot classification on the labeled data sets.

The paper (MMV, Alayrac et al., 2020) has no such evaluation; all choices are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmv_tf.evaluation import benchmarks
from mmv_tf.evaluation.declaration import Benchmark, ZeroShot, declare

_SOURCES = {
    "views": "as for testing in the linear protocol; embeddings averaged, then normalized",
    "classifier": "ours: class names as words, cosines in the finest common space",
}


def _zero_shot(name: str, like: Benchmark, names: Mapping[str, str] | None = None) -> Benchmark:
    """Declare the zero-shot protocol on another benchmark's data."""
    return declare(
        name=f"{name}_zero_shot",
        version=1,
        data=like.data,
        data_set=like.data_set,
        splits=like.splits,
        modality=like.modality,
        feature="space",
        test_views=like.test_views,
        classifier=ZeroShot(names=names or {}),
        metric=like.metric,
        average_precision_points=like.average_precision_points,
        sources=_SOURCES,
    )


UCF101_ZERO_SHOT = _zero_shot("ucf101", benchmarks.UCF101_LINEAR)
HMDB51_ZERO_SHOT = _zero_shot("hmdb51", benchmarks.HMDB51_LINEAR)
KINETICS600_ZERO_SHOT = _zero_shot("kinetics600", benchmarks.KINETICS600_LINEAR)
ESC50_ZERO_SHOT = _zero_shot("esc50", benchmarks.ESC50_LINEAR)
ESC10_ZERO_SHOT = _zero_shot("esc10", benchmarks.ESC10_LINEAR)
AUDIOSET_ZERO_SHOT = _zero_shot("audioset", benchmarks.AUDIOSET_MLP)
VOC07_ZERO_SHOT = _zero_shot(
    "voc07",
    benchmarks.VOC07_LINEAR,
    {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"},
)
IMAGE_FOLDER_ZERO_SHOT = _zero_shot("image_folder", benchmarks.IMAGE_FOLDER_LINEAR)
