# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from mmv_tf.data.datasets import tables


def test_folds_are_unions_of_splits():
    memberships = {
        "a": {"1": "train", "2": "test"},
        "b": {"1": "train", "2": "train"},
        "c": {"1": "test", "2": "train"},
        "d": {"2": "train"},
        "e": {},
    }
    split_of, folds = tables.parts_and_folds(memberships)
    for fold in "12":
        for part in ("train", "test"):
            expected = {item for item, parts in memberships.items() if parts.get(fold) == part}
            splits = folds[fold][part].split("+")
            assert {item for item, split in split_of.items() if split in splits} == expected
    assert split_of["a"] == "train1_test2"
    assert split_of["e"] == "unused"


def test_files_by_stem(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/x.MP4", "b/y.txt", "x.webm", "a b.mp4"):
        (tmp_path / name).touch()
    assert tables.files_by_stem(tmp_path, (".mp4", ".webm")) == {
        "x": tmp_path / "x.webm",
        "a b": tmp_path / "a b.mp4",
    }


def test_usual_files_come_before_others(tmp_path):
    for name in ("x.3gp", "x.mp4", "y.wmv"):
        (tmp_path / name).touch()
    found = tables.files_by_stem(tmp_path, (".mp4", ".3gp", ".wmv"))
    assert found == {"x": tmp_path / "x.mp4", "y": tmp_path / "y.wmv"}


def test_each_class_has_one_number():
    path = pathlib.Path("list.csv")
    rows = [("line 1", "2", "cat"), ("line 2", "1", "dog"), ("line 3", "2", "cat")]
    assert tables.classes_by_number(rows, path) == ("dog", "cat")
    with pytest.raises(ValueError, match=r"list.csv, line 4: the class 'cow' has the number 1, "):
        tables.classes_by_number([*rows, ("line 4", "1", "cow")], path)
    with pytest.raises(ValueError, match=r"line 4: the class 'dog' has the number 3, "):
        tables.classes_by_number([*rows, ("line 4", "3", "dog")], path)


def test_read_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,"x, y"\n\n2,z\n')
    assert list(tables.read_rows(path, ("a", "b"))) == [
        ("line 2", {"a": "1", "b": "x, y"}),
        ("line 4", {"a": "2", "b": "z"}),
    ]
    path.write_text('a,b\n1,"x\n2,y\n')
    with pytest.raises(ValueError, match="line 2: a cell's quote that opens here is not closed"):
        list(tables.read_rows(path, ("a", "b")))
    with pytest.raises(ValueError, match="lacks the column 'c'"):
        list(tables.read_rows(path, ("c",)))
    path.write_text("a,b\n1\n")
    with pytest.raises(ValueError, match="line 2: got 1 columns"):
        list(tables.read_rows(path, ("a",)))
