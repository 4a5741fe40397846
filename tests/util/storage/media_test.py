# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Media of a store: placeholders, fetched while in use, in bounded space."""

import multiprocessing
import os

import pytest

from mmv_tf.util.storage import media
from mmv_tf.util.storage.errors import ChangedError, MissingError
from mmv_tf.util.storage.placeholders import is_placeholder
from mmv_tf.util.storage.store import open_store
from mmv_tf.util.storage.urls import url_of


def _is_media(name):
    return name.endswith(".mp4")


def _content(number):
    return bytes([number]) * 1000


@pytest.fixture
def films(s3_store):
    """Six files of 1000 bytes and a list of them."""
    store = open_store(f"{s3_store.url}/films")
    for number in range(6):
        store.write(f"a/{number}.mp4", _content(number))
    store.write("list.csv", b"path\n")
    return store


def _whole(folder):
    return sorted(p.name for p in folder.rglob("*.mp4") if not is_placeholder(p))


def test_outline_has_names_sizes_and_lists(films):
    folder = media.outline(str(films.root), _is_media)
    assert sorted(os.listdir(folder / "a")) == [f"{n}.mp4" for n in range(6)]
    assert all((folder / "a" / f"{n}.mp4").stat().st_size == 1000 for n in range(6))
    assert all((folder / "a" / f"{n}.mp4").stat().st_blocks == 0 for n in range(6))
    assert (folder / "list.csv").read_bytes() == b"path\n"
    assert _whole(folder) == []
    assert url_of(folder / "a" / "3.mp4") == f"{films.root}/a/3.mp4"


def test_at_hand_fetches_and_evicts_the_least_recently_used(films, monkeypatch):
    monkeypatch.setenv(media.SIZE_VARIABLE, "0.0000035")  # three files
    folder = media.outline(str(films.root), _is_media)
    times = {n: (folder / "a" / f"{n}.mp4").stat().st_mtime for n in range(6)}
    for number in (0, 1, 2, 0, 3):
        with media.at_hand(folder / "a" / f"{number}.mp4") as path:
            assert path.read_bytes() == _content(number)
    assert _whole(folder) == ["0.mp4", "2.mp4", "3.mp4"]
    media.outline(str(films.root), _is_media)  # keeps what is whole
    assert _whole(folder) == ["0.mp4", "2.mp4", "3.mp4"]
    assert {n: (folder / "a" / f"{n}.mp4").stat().st_mtime for n in range(6)} == times


def test_files_in_use_stay(films, monkeypatch):
    monkeypatch.setenv(media.SIZE_VARIABLE, "0.000001")
    folder = media.outline(str(films.root), _is_media)
    with media.at_hand(folder / "a" / "0.mp4") as first:
        for number in (1, 2):
            with media.at_hand(folder / "a" / f"{number}.mp4") as path:
                assert path.read_bytes() == _content(number)
        assert first.read_bytes() == _content(0)
    assert _whole(folder) == ["0.mp4", "2.mp4"]


def test_changed_and_gone_objects(films):
    folder = media.outline(str(films.root), _is_media)
    films.write("a/0.mp4", b"shorter")
    films.remove(["a/1.mp4"])
    with (
        pytest.raises(ChangedError, match="changed since it was listed"),
        media.at_hand(folder / "a" / "0.mp4"),
    ):
        pass
    with pytest.raises(MissingError), media.at_hand(folder / "a" / "1.mp4"):
        pass
    media.outline(str(films.root), _is_media)
    assert not (folder / "a" / "1.mp4").exists()
    with media.at_hand(folder / "a" / "0.mp4") as path:
        assert path.read_bytes() == b"shorter"


def test_one_file_and_local_paths(films, tmp_path):
    path = media.outline(f"{films.root}/a/4.mp4", _is_media)
    assert is_placeholder(path)
    with media.at_hand(f"{films.root}/a/4.mp4") as at_hand:
        assert at_hand == path and path.read_bytes() == _content(4)
    assert media.outline(str(tmp_path), _is_media) == tmp_path
    with media.at_hand(tmp_path / "x") as local:
        assert local == tmp_path / "x"
    with pytest.raises(MissingError):
        media.outline(f"{films.root}/none", _is_media)


def _read_all(folder, rounds, failures):
    for _ in range(rounds):
        for number in range(6):
            with media.at_hand(folder / "a" / f"{number}.mp4") as path:
                if path.read_bytes() != _content(number):
                    failures.put(number)


def test_processes_share_a_cache_that_is_too_small(films, monkeypatch):
    monkeypatch.setenv(media.SIZE_VARIABLE, "0.000002")
    folder = media.outline(str(films.root), _is_media)
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    processes = [context.Process(target=_read_all, args=(folder, 5, failures)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert failures.empty()
    assert len(_whole(folder)) <= 4  # two in use by each at most


@pytest.mark.parametrize("given", ["0", "-1", "much"])
def test_wrong_size(monkeypatch, given):
    monkeypatch.setenv(media.SIZE_VARIABLE, given)
    with pytest.raises(ValueError, match="expected gigabytes"):
        media.limit_bytes()
