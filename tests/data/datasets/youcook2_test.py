# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.datasets import read_data_set
from mmv_tf.data.preparation import ListedClip


def test_lists(tmp_path):
    with pytest.raises(ValueError, match=r"expected validation_youcook.csv"):
        read_data_set("youcook2", tmp_path)
    (tmp_path / "validation_youcook.csv").write_text(
        "end,start,task,text,video_id\n"
        "60,47,226,pick the ends off the verdalago,xHr8X2Wpmno\n"
        '89,67,226,"combine lemon juice, sumac",xHr8X2Wpmno\n'
    )
    (tmp_path / "validation" / "226").mkdir(parents=True)
    (tmp_path / "validation" / "226" / "xHr8X2Wpmno.mkv").touch()
    (source,) = read_data_set("youcook2", tmp_path).sources
    assert source.path.name == "xHr8X2Wpmno.mkv"
    assert source.split == "validation"
    assert source.clips == (
        ListedClip(47.0, 60.0, texts=("pick the ends off the verdalago",)),
        ListedClip(67.0, 89.0, texts=("combine lemon juice, sumac",)),
    )
