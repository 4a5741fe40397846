# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Downloads published weights into a local cache, once, and checks them on every use.

The cache is `$MMV_TF_CACHE`, by default `~/.cache/mmv_tf`, with a folder for each name:

    mmv_s3d/mmv_s3d.pkl              the file; it may be placed here by hand
    mmv_s3d/mmv_s3d.pkl.record.json  its sha256, see `records`
    mmv_s3d/mmv_s3d.pkl.part(.json)  an unfinished download, see `downloading`
    mmv_s3d/.lock                    one process at a time downloads

A module is a folder. kagglehub keeps it in its own cache, and `hub_mmv_s3d/module.record.json`
points there; or its archive is unpacked by hand into `hub_mmv_s3d/`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import sys
import textwrap
from collections.abc import Iterator
from typing import cast

from mmv_tf.pretrained import downloading, published, records
from mmv_tf.pretrained.published import Published
from mmv_tf.pretrained.web import FetchError
from mmv_tf.util import files

CACHE_VARIABLE = "MMV_TF_CACHE"
_BY_HAND = "placed by hand"
_LOCK = ".lock"
_MODULE_FILE = "saved_model.pb"
_MODULE_RECORD = "module.record.json"


def cache_folder(cache: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Return the download folder: `cache`, else `$MMV_TF_CACHE`, else `~/.cache/mmv_tf`."""
    chosen = cache if cache is not None else os.environ.get(CACHE_VARIABLE)
    return pathlib.Path(chosen or "~/.cache/mmv_tf").expanduser()


def fetch(
    name: str, cache: str | os.PathLike[str] | None = None, *, address: str | None = None
) -> pathlib.Path:
    """Return published weights as a local file, downloading them the first time.

    Later calls need no network. They check the file against the sha256 of the first download,
    hashing it only if its size or modification time has changed (about one second per gigabyte).

    Args:
      name: a name in `registry()`.
      cache: folder for downloads; see `cache_folder`.
      address: alternative URL to download the file from, such as a mirror; https, or http on
        localhost.

    Returns:
      The path to the file, or to a TF-Hub module's folder.

    Raises:
      ValueError: the name is unknown; as a `FetchError`, the weights can't be downloaded, are
        damaged, or differ from the first download. The message says what to do.

    Example:
    >>> path = fetch("mmv_s3d")  # doctest: +SKIP
    >>> model = import_haiku_checkpoint(path)  # doctest: +SKIP
    """
    entry = published.find_published(name)
    directory = cache_folder(cache) / entry.name
    with _explained(entry, directory):
        if entry.kaggle is None:
            return _fetch_file(entry, directory, address)
        if address is not None:
            raise FetchError(
                f"{name} is a module, which kagglehub downloads; omit the URL, or unpack "
                f"the module into {directory}."
            )
        return _fetch_module(entry, entry.kaggle, directory)


def local_path(
    source: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None
) -> pathlib.Path:
    """Return the local path to weights given by a path or by a name in `registry()`.

    An existing file or folder takes precedence over a published name.

    Args:
      source: a path or a name.
      cache: see `fetch`.

    Returns:
      A path. It may not exist, which the reader reports.

    Raises:
      ValueError: `source` is neither but resembles a published name; otherwise as for `fetch`.
    """
    path, name = pathlib.Path(source), os.fspath(source)
    if path.exists():
        return path
    if published.is_published(name):
        return fetch(name, cache)
    near = published.nearest_published(name)
    if near is not None:
        raise FetchError(
            f"{name!r} is neither a file nor a published model; did you mean {near!r}?"
        )
    return path


def _fetch_file(entry: Published, directory: pathlib.Path, address: str | None) -> pathlib.Path:
    file_name = cast(str, entry.file_name)
    path = directory / file_name
    record_path = directory / f"{file_name}.record.json"
    if not path.is_file():
        with _locked(directory, entry):
            if not path.is_file():  # another process may have fetched it in the meantime
                _download_file(entry, path, record_path, address or entry.address)
    _check_companions(entry, directory)
    record = records.read_record(record_path)
    if record is not None:
        records.check_files(record, record_path)
        return path
    size = path.stat().st_size
    if entry.size_bytes not in (None, size):
        raise FetchError(
            f"{path} has {size:,} bytes; expected {entry.size_bytes:,}, so it is truncated "
            "or a different file. Copy it again, or delete it."
        )
    # Without write access there is no record.
    with contextlib.suppress(OSError):
        records.write_record(records.make_record(_BY_HAND, directory, [file_name]), record_path)
    return path


def _download_file(
    entry: Published, path: pathlib.Path, record_path: pathlib.Path, address: str | None
) -> None:
    """Download under the lock, compare with the first download, and rename."""
    remedy = f"place the file by hand as {path}"
    if address is None:
        raise FetchError(f"{entry.name}: {entry.notes}; get a copy and {remedy}.")
    first = records.read_record(record_path)
    part = path.with_name(f"{path.name}.part")
    _announce(entry, address, str(path))
    downloading.download(downloading.Source(address, entry.name, remedy, entry.size_bytes), part)
    made = records.make_record(address, part.parent, [part.name])
    record = records.Record(address, made.root, {path.name: made.files[part.name]})
    if first is not None:
        try:
            records.check_same_content(record, first, record_path)
        except FetchError:
            downloading.remove_part(part)
            raise
    # The record first: a file without one would count as placed by hand.
    records.write_record(record, record_path)
    files.put_in_place(part, path)
    downloading.remove_part(part)


def _check_companions(entry: Published, directory: pathlib.Path) -> None:
    for companion in entry.companions:
        path = directory / companion.file_name
        if path.is_file() and companion.size_bytes not in (None, path.stat().st_size):
            raise FetchError(
                f"{path} has {path.stat().st_size:,} bytes; expected {companion.size_bytes:,}, so "
                "it is truncated or a different file. Copy it again."
            )


# --- Modules --------------------------------------------------------------------------------------


def _fetch_module(entry: Published, handle: str, directory: pathlib.Path) -> pathlib.Path:
    record_path = directory / _MODULE_RECORD
    known = _known_module(directory, record_path)
    if known is not None:
        return known
    with _locked(directory, entry):
        known = _known_module(directory, record_path)
        if known is not None:
            return known
        root = _download_module(entry, handle, directory)
        first = records.read_record(record_path)
        record = records.make_record(handle, root, _files_below(root))
        if first is not None:
            records.check_same_content(record, first, record_path)
        records.write_record(record, record_path)
        return root


def _known_module(directory: pathlib.Path, record_path: pathlib.Path) -> pathlib.Path | None:
    """Return the folder of a module that was fetched or placed before, or None."""
    record = records.read_record(record_path)
    if record is not None and os.path.isdir(record.root):
        if os.path.isfile(os.path.join(record.root, _MODULE_FILE)):
            records.check_files(record, record_path)
            return pathlib.Path(record.root)
    elif (directory / _MODULE_FILE).is_file():
        made = records.make_record(_BY_HAND, directory, _files_below(directory))
        if record is not None:
            records.check_same_content(made, record, record_path)
        # Without write access there is no record.
        with contextlib.suppress(OSError):
            records.write_record(made, record_path)
        return directory
    return None


def _download_module(entry: Published, handle: str, directory: pathlib.Path) -> pathlib.Path:
    remedy = f"unpack the archive of {entry.page} into {directory}"
    try:
        import kagglehub
    except ImportError as error:
        raise FetchError(
            f"{entry.name} is downloaded by kagglehub, which is not installed: pip install "
            f"'mmv_tf[kaggle]'; or {remedy}."
        ) from error
    _announce(entry, f"{entry.page}", "kagglehub's cache")
    try:
        root = pathlib.Path(kagglehub.model_download(handle))
    except Exception as error:  # kagglehub's own errors share no base class
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        raise FetchError(
            f"{entry.name}: kagglehub can't download {handle} ({reason}). Check the network and "
            f"rerun the same command; or {remedy}."
        ) from error
    if not (root / _MODULE_FILE).is_file():
        raise FetchError(
            f"{entry.name}: {root} has no {_MODULE_FILE}, so it is incomplete. Delete it "
            f"and rerun the same command; or {remedy}."
        )
    return root


def _files_below(root: pathlib.Path) -> list[str]:
    """Return a module's files, except those that this package stores beside them."""
    paths = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return [path for path in paths if path not in (_LOCK, _MODULE_RECORD)]


# --- Files ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(directory: pathlib.Path, entry: Published) -> Iterator[None]:
    """Hold a name's lock, which is freed if the process dies; print a note before waiting."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / _LOCK, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"{entry.name}: another process is downloading it; waiting.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _explained(entry: Published, directory: pathlib.Path) -> Iterator[None]:
    """Turn disk errors into a FetchError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "Free some space and rerun the same command, which resumes"
        else:
            hint = "Fix that and rerun the same command"
        raise FetchError(
            f"{entry.name}: {error.filename or directory}: {reason}. {hint}; or set "
            f"{CACHE_VARIABLE} to another folder."
        ) from error


def _announce(entry: Published, address: str, target: str) -> None:
    license_words = entry.license or f"see {entry.page}"
    _say(
        f"{entry.name}: downloading {address} to {target}. License of the weights: {license_words}."
    )


def _say(message: str) -> None:
    # Printed like progress, at any logging level: everybody should see the license.
    print(message, file=sys.stderr, flush=True)
