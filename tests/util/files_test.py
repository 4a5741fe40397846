# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import hashlib

import pytest

from mmv_tf.util import files


def test_file_appears_when_whole(tmp_path):
    target = tmp_path / "new" / "model.keras"
    with files.replacing(target) as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_bytes(b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    files.write_text("é", target)
    assert target.read_text(encoding="utf-8") == "é"
    assert [p.name for p in target.parent.iterdir()] == ["model.keras"]


@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_failure_leaves_the_old_one(tmp_path, kind):
    target = tmp_path / "a"
    target.write_text("old")

    def write():
        with files.replacing(target) as temporary:
            if kind == "file":
                temporary.write_text("new")
            if kind == "folder":
                temporary.mkdir()
                (temporary / "part").touch()
            if kind != "nothing":
                raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, FileNotFoundError)):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert target.read_text() == "old"


def test_folder(tmp_path):
    target = tmp_path / "saved_model"
    with files.replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "part").touch()
    assert [p.name for p in target.iterdir()] == ["part"]


def test_unfinished_files_are_removed(tmp_path):
    (tmp_path / f".a{files.MARK}12.npz").touch()
    (tmp_path / f".b{files.MARK}12").mkdir()
    (tmp_path / "keep").touch()
    (tmp_path / ".hidden").touch()
    files.remove_unfinished(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".hidden", "keep"]


def test_what_cannot_be_written_is_told_before(tmp_path):
    files.check_writable(tmp_path / "new" / "file.json")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        files.check_writable(tmp_path / "file" / "inside.json")
    with pytest.raises(IsADirectoryError, match="name a file"):
        files.check_writable(tmp_path)


def test_a_finished_file_takes_the_place_of_another(tmp_path):
    (tmp_path / "new").write_bytes(b"abc")
    (tmp_path / "old").write_bytes(b"")
    files.put_in_place(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert files.file_sha256(tmp_path / "old") == hashlib.sha256(b"abc").hexdigest()
