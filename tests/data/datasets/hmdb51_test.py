# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.datasets import read_data_set


def test_lists_and_table_say_the_same(tmp_path):
    lists = tmp_path / "a" / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    (tmp_path / "a" / "hmdb51_org").mkdir()
    rows = {"April_(1)_u.avi": "112", "x y.avi": "021", "z.avi": "000"}
    for fold in range(3):
        lines = [f"{name} {parts[fold]} \n" for name, parts in rows.items()]
        (lists / f"brush_hair_test_split{fold + 1}.txt").write_text("".join(lines))
    found = read_data_set("hmdb51", tmp_path / "a")
    assert {s.media_id: s.split for s in found.sources} == {
        "brush_hair/April_(1)_u": "train1_train2_test3",
        "brush_hair/x y": "test2_train3",
        "brush_hair/z": "unused",
    }
    assert found.labels == ("brush_hair",)
    assert found.folds["3"] == {"test": "train1_train2_test3", "train": "test2_train3"}

    (tmp_path / "b").mkdir()
    table = ["video_id,label,split1,split2,split3"]
    table += [f"{name},brush_hair_test,{','.join(parts)}" for name, parts in rows.items()]
    (tmp_path / "b" / "hmdb51.csv").write_text("\n".join(table))
    other = read_data_set("hmdb51", tmp_path / "b")
    assert [(s.media_id, s.split, s.labels) for s in other.sources] == [
        (s.media_id, s.split, s.labels) for s in found.sources
    ]
    assert other.sources[0].path == tmp_path / "b" / "brush_hair" / "April_(1)_u.avi"


def test_damage(tmp_path):
    with pytest.raises(ValueError, match="no folder of lists found"):
        read_data_set("hmdb51", tmp_path)
    (tmp_path / "splits").mkdir()
    with pytest.raises(ValueError, match="no list found"):
        read_data_set("hmdb51", tmp_path)
    (tmp_path / "splits" / "run_test_split1.txt").write_text("a.avi 3\n")
    with pytest.raises(ValueError, match="line 1: got '3'; expected 0, 1 or 2"):
        read_data_set("hmdb51", tmp_path)
