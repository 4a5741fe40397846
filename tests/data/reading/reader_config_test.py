# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf import data


def test_a_network_is_shown_what_it_learnt_from():
    metadata = {"num_frames": 4, "frame_rate": 5.0, "size": 32, "square_crop": False, "other": 1}
    config = data.config_for_network(metadata, "folder", "test", windows=3, size=64)
    assert (config.num_frames, config.frame_rate, config.square_crop) == (4, 5.0, False)
    assert (config.directory, config.split) == ("folder", "test")
    assert (config.windows, config.size) == (3, 64)
    with pytest.raises(AttributeError):
        config.nothing = 1


def test_metadata_that_lack_something_are_refused():
    with pytest.raises(ValueError, match="metadata lacks size, square_crop"):
        data.config_for_network({"num_frames": 4, "frame_rate": 5.0}, "folder", "test")
