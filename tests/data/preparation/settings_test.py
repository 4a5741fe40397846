# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from mmv_tf.data import preparation


@pytest.mark.parametrize(
    "change",
    [
        {"frame_rate": 0.0},
        {"frame_rate": float("nan")},
        {"jpeg_quality": 101},
        {"cut": "scene"},
        {"sound": "stereo"},
        {"context_seconds": -1.0},
        {"split_pattern": ()},
        {"split_pattern": ("train", "a/b")},
        {"num_shards": 0},
    ],
)
def test_settings_are_checked(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(preparation.Settings(), **change)
