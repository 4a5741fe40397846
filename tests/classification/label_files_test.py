# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os

import numpy as np
import pytest

from mmv_tf.classification import read_labels


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def table(root, text, name="labels.csv"):
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def files(root, count=6, suffix=".wav"):
    return touch(root, *(f"{n}{suffix}" for n in range(count)))


def test_a_folder_for_each_class(tmp_path):
    touch(tmp_path, "dog/a.WAV", "dog/deep/b.ogg", "cat/c.wav", "cat/d.wav", "cat/note.txt")
    touch(tmp_path, "README.md", ".hidden/x.wav", "cat/.d.wav")
    found = read_labels(tmp_path)
    assert (found.labels, found.modality, found.multi_label) == (("cat", "dog"), "audio", False)
    assert [(clip.name, clip.labels) for clip in found.clips] == [
        ("cat/c.wav", ("cat",)), ("cat/d.wav", ("cat",)),
        ("dog/a.WAV", ("dog",)), ("dog/deep/b.ogg", ("dog",)),
    ]  # fmt: skip
    np.testing.assert_array_equal(found.targets(found.clips), [[1, 0], [1, 0], [0, 1], [0, 1]])
    found.check_trainable()


def test_folders_of_splits(tmp_path):
    touch(tmp_path, *(f"{s}/{c}/{s}{n}.mp4" for s in ("train", "val", "test") for c in "ab"
                      for n in range(2)))  # fmt: skip
    found = read_labels(tmp_path)
    assert [clip.split for clip in found.clips].count("validation") == 4
    assert found.modality == "video"
    assert len(found.of("train", "test")) == 8


def test_a_modality_of_several_kinds(tmp_path):
    touch(tmp_path, "a/1.mp4", "a/2.mp4", "a/i.png", "b/3.wav", "b/4.mp4", "b/j.png")
    with pytest.raises(ValueError, match="holds 2 image and 1 sound and 3 video files; set the"):
        read_labels(tmp_path)
    found = read_labels(tmp_path, modality="audio")
    assert [clip.name for clip in found.clips] == ["a/1.mp4", "a/2.mp4", "b/3.wav", "b/4.mp4"]
    assert found.left_out == ("a/i.png", "b/j.png")
    assert len(read_labels(tmp_path, modality="image").clips) == 2
    touch(tmp_path, "c/1.wav")
    with pytest.raises(ValueError, match="'c' has no video file"):
        read_labels(tmp_path, modality="video")


def test_a_table(tmp_path):
    files(tmp_path / "media", suffix=".mp4")
    path = table(
        tmp_path,
        "path,start,end,label,split,group\n"
        "0.mp4,1,2.5,dog,,x\n0.mp4,0:02.5,4,cat,train,x\n1.mp4,,,dog,train,x\n"
        '"2.mp4",,,cat,test,\n3.mp4,3,,dog,validation,\n',
    )
    found = read_labels(path, data=tmp_path / "media")
    assert found.labels == ("cat", "dog")
    assert [(c.title, c.split, c.group) for c in found.clips] == [
        ("0.mp4@1-2.5", "train", "x"), ("0.mp4@2.5-4", "train", "x"), ("1.mp4", "train", "x"),
        ("2.mp4", "test", ""), ("3.mp4@3-", "validation", ""),
    ]  # fmt: skip
    assert found.clips[0].film == found.clips[2].film
    assert found.clips[0].path == (tmp_path / "media" / "0.mp4").resolve()


def test_several_labels(tmp_path):
    files(tmp_path)
    path = table(tmp_path, "path,label\n0.wav,a; b\n1.wav,b\n1.wav,c\n2.wav,\n2.wav,\n3.wav,a\n")
    found = read_labels(path)
    assert found.multi_label
    np.testing.assert_array_equal(
        found.targets(found.clips), [[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]]
    )
    with pytest.raises(ValueError, match=r"0\.wav has 2 labels; expected one"):
        read_labels(path, multi_label=False)
    path = table(tmp_path, "path,label\n0.wav,a\n0.wav,a\n1.wav,b\n")
    assert not read_labels(path).multi_label
    assert read_labels(path, multi_label=True).multi_label


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("path,label,labels\n0.wav,a,b\n", "line 1: got the column 'labels'; expected path"),
        ("path,split\n0.wav,train\n", "line 1: no column 'label'"),
        ("path,label,label\n0.wav,a,b\n", "line 1: twice column 'label'"),
        ("", "no column 'path'|got the column ''"),
        ("path,label\n", "has no rows"),
        ("path,label\n0.wav\n", "line 2: got 1 columns; expected the header's 2"),
        ("path,label\n,a\n", "line 2: the path is empty"),
        ("path,label\n0.wav,a\nx.wav,b\ny.wav,b\n", "2 of the files are missing: 'x.wav', 'y.wav'"),
        ("path,start,end,label\n0.wav,2,2,a\n", "line 2: the clip starts at 2 s and ends at 2 s"),
        ("path,start,end,label\n0.wav,3,2,a\n", "an end after the start"),
        ("path,end,label\n0.wav,0,a\n", "starts at 0 s and ends at 0 s"),
        ("path,start,label\n0.wav,-1,a\n", "got the time '-1'"),
        ("path,start,label\n0.wav,nan,a\n", "got the time 'nan'"),
        ("path,start,label\n0.wav,soon,a\n", "got the time 'soon'"),
        ("path,label,split\n0.wav,a,Train\n", "line 2: got the split 'Train'; expected one of"),
        ("path,label\n0.wav,dog\n1.wav,Dog\n", "the labels 'dog' and 'Dog' differ only in case"),
        ("path,label\n0.wav,dog\n1.wav,dog \n", "the labels 'dog' and 'dog ' differ only in case"),
        ("path,label\n0.wav,dog bark\n1.wav,dogbark\n", "'dog bark' and 'dogbark'"),
        (
            "path,label\n0.wav,caf\u00e9\n1.wav,cafe\u0301\n",
            "only in case, spaces or character forms",
        ),
        ("path,label\n0.wav,a\n1.wav,\n", r"1\.wav has 0 labels; expected one"),
        ("path,label\n0.wav,;\n", "expected names separated by ';'"),
        ("path,label,group\n0.wav,a,x\n0.wav,b,y\n", "is in the groups 'x' and 'y'"),
        ("path,label\n0.wav,a\n0.xyz,b\n", "'0.xyz' has no known video, audio or image suffix"),
        ("path,label\n0.wav,a\n0.png,b\n", "holds 1 image and 1 sound files; set the modality"),
    ],
)
def test_wrong_tables(tmp_path, rows, message):
    touch(files(tmp_path), "0.xyz", "0.png")
    with pytest.raises(ValueError, match=message) as caught:
        read_labels(table(tmp_path, rows))
    assert "\n" not in str(caught.value)


def test_films_in_two_splits_are_listed(tmp_path):
    files(tmp_path)
    os.symlink(tmp_path / "1.wav", tmp_path / "link.wav")
    path = table(
        tmp_path,
        "path,start,end,label,split\n0.wav,0,1,a,train\n0.wav,0,1,a,test\n"
        "1.wav,,,a,train\nlink.wav,,,a,test\n2.wav,0,1,b,train\n2.wav,1,2,b,test\n3.wav,,,b,train",
    )
    with pytest.raises(ValueError, match=r"'0\.wav', '1\.wav', '2\.wav' are in more than one of "
                       "train, test; put all clips of a film in one split"):  # fmt: skip
        read_labels(path)
    path = table(tmp_path, "path,label,split,group\n0.wav,a,train,g\n1.wav,a,test,g\n2.wav,b,,\n")
    with pytest.raises(ValueError, match="'g' is in more than one of train, test"):
        read_labels(path)


def test_folders_that_cannot_be_learned_from(tmp_path):
    touch(tmp_path / "empty", "a/1.wav", "a/2.wav", "b/notes.txt")
    with pytest.raises(ValueError, match="the class 'b' is empty"):
        read_labels(tmp_path / "empty")
    touch(tmp_path / "case", "Dog/1.wav", "dog/2.wav")
    with pytest.raises(ValueError, match="'Dog' and 'dog' differ only in case"):
        read_labels(tmp_path / "case")
    touch(tmp_path / "blank", "dog /1.wav", "dog/2.wav")
    with pytest.raises(ValueError, match="'dog' and 'dog ' differ only in case"):
        read_labels(tmp_path / "blank")
    touch(tmp_path / "loose", "dog/1.wav", "cat/2.wav", "3.wav")
    with pytest.raises(ValueError, match=r"'3\.wav' is not in a class folder"):
        read_labels(tmp_path / "loose")
    with pytest.raises(ValueError, match="has no subfolders; expected one per class"):
        read_labels(files(tmp_path / "flat"))
    with pytest.raises(ValueError, match=r"expected a folder .* or a list ending in \.csv"):
        read_labels(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="can't read it"):
        read_labels(tmp_path / "none.csv")


def test_too_few_examples(tmp_path):
    touch(tmp_path / "one", "dog/1.wav", "dog/2.wav")
    with pytest.raises(ValueError, match="there is only one class, 'dog'"):
        read_labels(tmp_path / "one").check_trainable()
    touch(tmp_path / "single", "dog/1.wav", "dog/2.wav", "cat/3.wav", "emu/4.wav", "emu/5.wav")
    with pytest.raises(ValueError, match="'cat' has only one example"):
        read_labels(tmp_path / "single").check_trainable()
    files(tmp_path)
    path = table(tmp_path, "path,start,end,label\n0.wav,0,1,a\n0.wav,1,2,a\n1.wav,,,b\n2.wav,,,b\n")
    with pytest.raises(ValueError, match="'a' has only one example"):
        read_labels(path).check_trainable()
    path = table(tmp_path, "path,label,split\n0.wav,a,\n1.wav,a,\n2.wav,b,test\n")
    with pytest.raises(ValueError, match="'b' has no training clips"):
        read_labels(path).check_trainable()
    path = table(tmp_path, "path,label\n0.wav,a\n1.wav,a\n2.wav,\n")
    read_labels(path, multi_label=True).check_trainable()


def test_images_have_no_times(tmp_path):
    files(tmp_path, suffix=".png")
    with pytest.raises(ValueError, match="images have no start and end"):
        read_labels(table(tmp_path, "path,start,end,label\n0.png,0,1,a\n1.png,,,b\n"))
