# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.datasets import read_data_set


def test_table(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
        "1-100038-A-14.wav,1,14,chirping_birds,False,100038,A\n"
        "2-100210-A-36.wav,2,36,vacuum_cleaner,False,100210,A\n"
        "2-101676-A-10.wav,2,10,rain,True,101676,A\n"
    )
    collection = read_data_set("esc50", tmp_path)
    assert collection.labels == ("dog", "rain", "chirping_birds", "vacuum_cleaner")
    first = collection.sources[0]
    assert (first.media_id, first.split, first.kind) == ("1-100032-A-0", "fold1", "sound")
    assert collection.sources[0].path == tmp_path / "audio" / "1-100032-A-0.wav"
    assert collection.folds["2"] == {"train": "fold1", "test": "fold2"}
    ten = read_data_set("esc10", tmp_path)
    assert ten.labels == ("dog", "rain")
    assert len(ten.sources) == 2


def test_a_class_number_with_two_names(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category\n1-1-A-0.wav,1,0,dog\n1-2-A-0.wav,1,0,rain\n"
    )
    with pytest.raises(ValueError, match=r"esc50.csv, line 3: the class 'rain' has the number 0"):
        read_data_set("esc50", tmp_path)


def test_folders(tmp_path):
    for name in ("002 - Rain/3-1-A.ogg", "001 - Dog bark/1-2-A.ogg", "001 - Dog bark/2-3-B.ogg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "other").mkdir()
    collection = read_data_set("esc10", tmp_path)
    assert collection.labels == ("Dog bark", "Rain")
    assert {s.media_id: (s.split, s.labels[0]) for s in collection.sources} == {
        "1-2-A": ("fold1", "Dog bark"),
        "2-3-B": ("fold2", "Dog bark"),
        "3-1-A": ("fold3", "Rain"),
    }
    assert collection.folds["3"] == {"train": "fold1+fold2", "test": "fold3"}
    with pytest.raises(ValueError, match="no audio found"):
        read_data_set("esc10", tmp_path / "other")
