# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Media in a store, in bounded space: each file is fetched when it is opened.

A folder of media is mirrored as placeholders, so that programs find and compare files as they do
local files. `at_hand` replaces a placeholder with the content while the file is in use; later, the
least recently used files become placeholders again, to make room.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO

from mmv_tf.util.safe_files import Count, check_form, parse_json
from mmv_tf.util.storage.clients import Entry
from mmv_tf.util.storage.errors import ChangedError, MissingError
from mmv_tf.util.storage.mirror import fetch_entries, local_names, place_of
from mmv_tf.util.storage.placeholders import is_like, is_placeholder, put_placeholder
from mmv_tf.util.storage.state import lock_file, state_file
from mmv_tf.util.storage.store import Store, open_store
from mmv_tf.util.storage.urls import STATE, Location, cache_folder, local_path, mirror_path

SIZE_VARIABLE = "MMV_TF_STORAGE_CACHE_GB"
_DEFAULT_GB = 20.0  # ours: a thousand videos of a few minutes

_KIND = "media"
_FORM = {"path": str, "size": Count}


def outline(url: str, is_media: Callable[[str], bool]) -> pathlib.Path:
    """Return the local path to a file, or to a folder whose media are placeholders.

    Args:
      url: the file or folder; a local path is returned unchanged.
      is_media: takes a name relative to the folder, and returns whether it is media; other files
        are fetched.

    Raises:
      MissingError: there is neither such an object nor one below it.
      StorageError: the store can't be listed or read.
      OSError: the mirror is not writable.
    """
    place = place_of(url)
    if place is None:
        return pathlib.Path(local_path(url))
    store, target = open_store(place), mirror_path(place)
    entries = store.list()
    if entries:
        _remove_gone(target, place, entries)
    else:
        entry = store.stat() if place.key else None
        if entry is None:
            raise MissingError(str(place))
        name, place = place.name, place.parent
        # Captions and the like, beside it.
        stem = f"{os.path.splitext(name)[0]}."
        listed = open_store(place).list().items()
        beside = {n: e for n, e in listed if n.startswith(stem) and not is_media(n)}
        entries = {name: entry, **beside}
    media = {name for name in entries if is_media(name)}
    fetch_entries(place, {name: one for name, one in entries.items() if name not in media})
    for name in media:
        _outline(mirror_path(place.within(name)), entries[name])
    return target


def outlined(path: pathlib.Path) -> None:
    """Put a placeholder for one object in the mirror, if the object exists and no file is there.

    Raises:
      StorageError: the store can't be asked.
    """
    place = None if path.exists() else place_of(path)
    if place is not None and (entry := open_store(place).stat()) is not None:
        _outline(mirror_path(place), entry)


@contextlib.contextmanager
def at_hand(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yield the local path to a file, which is fetched if necessary and stays during the block.

    Args:
      path: a URL or a path in the mirror; any other path is yielded unchanged.

    Raises:
      MissingError: there is no such object.
      ChangedError: it changed since its folder was listed.
      StorageError: it can't be fetched.
      OSError: the mirror is not writable.
    """
    place = place_of(path)
    target = pathlib.Path(local_path(os.fspath(path))) if place is None else mirror_path(place)
    if place is None or (_is_whole(target) and not state_file(target, _KIND).exists()):
        yield target  # Local, fetched to stay, or written by a program.
        return
    with _held(target, open_store(place)):
        yield target


def limit_bytes() -> float:
    """Return the maximum bytes of media to keep, from $MMV_TF_STORAGE_CACHE_GB (10^9 bytes each).

    Raises:
      ValueError: it is not a number above 0.
    """
    given = os.environ.get(SIZE_VARIABLE)
    try:
        gigabytes = _DEFAULT_GB if given is None else float(given)
    except ValueError:
        gigabytes = math.nan
    if not gigabytes > 0:
        raise ValueError(f"{SIZE_VARIABLE}={given}; expected gigabytes, above 0.")
    return gigabytes * 1e9


@contextlib.contextmanager
def _held(target: pathlib.Path, store: Store) -> Iterator[None]:
    """Keep a file complete during the block; a placeholder is fetched."""
    path = state_file(target, _KIND)
    while True:
        with lock_file(path, fcntl.LOCK_SH):
            if _is_whole(target):
                os.utime(path)
                yield
                return
        with lock_file(path, fcntl.LOCK_EX) as lock:
            if not _is_whole(target):
                _fetch(target, store, lock)


def _fetch(target: pathlib.Path, store: Store, lock: IO[bytes]) -> None:
    """Replace a placeholder with the object; `lock` is held."""
    entry = store.stat()
    if entry is None:
        raise MissingError(str(store.root))
    if is_placeholder(target) and not is_like(target, entry):
        raise ChangedError(str(store.root))
    with lock_file(cache_folder() / STATE / "room", fcntl.LOCK_EX):
        _make_room(limit_bytes() - entry.size)
        # Others that make room count it from now on.
        inside = str(target.relative_to(cache_folder()))
        lock.truncate(0)
        lock.write(json.dumps({"path": inside, "size": entry.size}).encode())
        lock.flush()
    try:
        store.download("", target, entry)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _make_room(0)
        store.download("", target, entry)


def _make_room(most: float) -> None:
    """Turn the least recently used media into placeholders, except those in use.

    Args:
      most: number of bytes that may stay.
    """
    used = []
    for path in (cache_folder() / STATE / _KIND).glob("*/*"):
        with contextlib.suppress(OSError, ValueError):
            known = parse_json(path.read_bytes())
            check_form(known, _FORM)
            used.append((path.stat().st_mtime, known["size"], path, known["path"]))
    total = sum(size for _, size, _, _ in used)
    for _, size, path, inside in sorted(used):
        if total <= most:
            return
        target = cache_folder() / inside
        # A state that was tampered with must not name another file.
        if state_file(target, _KIND) == path and _drop(target):
            total -= size


def _drop(target: pathlib.Path) -> bool:
    """Turn a file into a placeholder and return True, unless it is in use."""
    path = state_file(target, _KIND)
    try:
        with lock_file(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if _is_whole(target):
                status = target.stat()
                put_placeholder(target, status.st_size, status.st_mtime)
            path.unlink()
    except BlockingIOError:
        return False
    return True


def _outline(target: pathlib.Path, entry: Entry) -> None:
    """Put a placeholder where no file matches the object."""
    if is_like(target, entry):
        return
    with lock_file(state_file(target, _KIND), fcntl.LOCK_EX):
        put_placeholder(target, entry.size, entry.modified or 0)
        state_file(target, _KIND).unlink()


def _remove_gone(folder: pathlib.Path, root: Location, entries: Mapping[str, Entry]) -> None:
    """Remove placeholders and fetched media whose objects are gone."""
    there = {mirror_path(root.within(name)) for name in entries}
    for name in local_names(folder):
        target = folder / name
        if target not in there and (is_placeholder(target) or state_file(target, _KIND).exists()):
            with lock_file(state_file(target, _KIND), fcntl.LOCK_EX):
                target.unlink(missing_ok=True)
                state_file(target, _KIND).unlink()


def _is_whole(target: pathlib.Path) -> bool:
    return target.is_file() and not is_placeholder(target)
