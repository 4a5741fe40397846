# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmv_tf.data.datasets import read_data_set


def test_lists(tmp_path):
    (tmp_path / "msrvtt_test.csv").write_text(
        "key,vid_key,video_id,sentence\nret0,msr9770,video9770,a person, is connecting\n".replace(
            "person, is", "person is"
        )
    )
    (tmp_path / "video9770.mp4").touch()
    (source,) = read_data_set("msrvtt", tmp_path).sources
    assert (source.media_id, source.split) == ("video9770", "test")
    assert source.path == tmp_path / "video9770.mp4"
    assert source.clips[0].texts == ("a person is connecting",)
    assert source.clips[0].example_id == "ret0"

    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo1\n")
    sentences = [
        {"caption": text, "video_id": "video1", "sen_id": n} for n, text in enumerate("ab")
    ]
    data = {"info": {}, "videos": [], "sentences": sentences}
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps(data))
    train = read_data_set("msrvtt", tmp_path).sources[1]
    assert (train.split, train.clips[0].texts) == ("train", ("a", "b"))
    (tmp_path / "MSRVTT_data.json").write_text("{}")
    with pytest.raises(ValueError, match="not MSR-VTT's data"):
        read_data_set("msrvtt", tmp_path)
