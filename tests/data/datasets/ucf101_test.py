# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.datasets import read_data_set


@pytest.fixture
def directory(tmp_path):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (tmp_path / "UCF-101").mkdir()
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\r\n2 YoYo\r\n10 Archery\r\n")
    (lists / "trainlist01.txt").write_text(
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nYoYo/v_YoYo_g09_c01.avi 2\r\n"
    )
    (lists / "testlist01.txt").write_text("YoYo/v_YoYo_g01_c01.avi\r\n")
    (lists / "trainlist02.txt").write_text("YoYo/v_YoYo_g01_c01.avi 2\r\n")
    (lists / "testlist02.txt").write_text("YoYo/v_YoYo_g09_c01.avi\r\n")
    return tmp_path


def test_lists(directory):
    collection = read_data_set("ucf101", directory)
    # In order of the published numbers, not of the alphabet.
    assert collection.labels == ("ApplyEyeMakeup", "YoYo", "Archery")
    assert {s.media_id: (s.split, s.labels) for s in collection.sources} == {
        "v_ApplyEyeMakeup_g08_c01": ("train1", ("ApplyEyeMakeup",)),
        "v_YoYo_g01_c01": ("test1_train2", ("YoYo",)),
        "v_YoYo_g09_c01": ("train1_test2", ("YoYo",)),
    }
    path = directory / "UCF-101" / "YoYo" / "v_YoYo_g01_c01.avi"
    assert path in [source.path for source in collection.sources]
    assert collection.folds == {
        "1": {"test": "test1_train2", "train": "train1+train1_test2"},
        "2": {"test": "train1_test2", "train": "test1_train2"},
    }


def test_damage(directory):
    classes = directory / "ucfTrainTestlist" / "classInd.txt"
    published = classes.read_text()
    classes.write_text("1 ApplyEyeMakeup\n2 YoYo\n2 Archery\n")
    with pytest.raises(ValueError, match=r"classInd.txt, line 3: the class 'Archery' has the numb"):
        read_data_set("ucf101", directory)
    classes.write_text(published)
    (directory / "ucfTrainTestlist" / "testlist01.txt").write_text("Nothing/v.avi\n")
    with pytest.raises(ValueError, match=r"testlist01.txt, line 1: got 'Nothing/v.avi'"):
        read_data_set("ucf101", directory)
    with pytest.raises(ValueError, match="no folder of lists found; expected ucfTrainTestlist"):
        read_data_set("ucf101", directory / "UCF-101")
    with pytest.raises(ValueError, match="no such folder"):
        read_data_set("ucf101", directory / "none")
    with pytest.raises(ValueError, match="data set is 'ucf'; did you mean 'ucf101'"):
        read_data_set("ucf", directory)
