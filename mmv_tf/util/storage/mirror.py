# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Local copies of a store's objects: fetches what is needed, uploads what is finished."""

from __future__ import annotations

import concurrent.futures
import fnmatch
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Mapping

from mmv_tf.util.files import MARK
from mmv_tf.util.storage.clients import PARALLEL, Entry
from mmv_tf.util.storage.errors import ChangedError, MissingError
from mmv_tf.util.storage.placeholders import is_placeholder
from mmv_tf.util.storage.state import State, state_file
from mmv_tf.util.storage.store import open_store
from mmv_tf.util.storage.urls import Location, is_remote, local_path, mirror_path, url_of

# Ours: number of times that an object is refetched if it changes while being fetched.
_ATTEMPTS = 3

Only = Callable[[str], bool]


def place_of(path: str | os.PathLike[str]) -> Location | None:
    """Return the store location of a URL or a mirrored path, or None for other paths."""
    text = os.fspath(path)
    url = text if is_remote(text) else url_of(local_path(text))
    return None if url is None else Location.parse(url)


def entry(path: str | os.PathLike[str]) -> Entry | None:
    """Return the size and time of a file, in its store if it is mirrored; None if it is missing.

    Raises:
      StorageError: the store can't be reached.
    """
    place = place_of(path)
    if place is not None:
        return open_store(place).stat()
    try:
        status = os.stat(local_path(os.fspath(path)))
    except FileNotFoundError:
        return None
    return Entry(status.st_size, str(status.st_mtime_ns), status.st_mtime)


def fetch(
    path: str | os.PathLike[str], listed: Entry | None = None, sha256: str | None = None
) -> pathlib.Path:
    """Return the local path to a file, which is fetched if the store's version differs.

    Args:
      path: a URL, or a path in the mirror; any other path is returned unchanged.
      listed: the object as listed a moment ago; None to look it up.
      sha256: expected SHA-256 of the content, hexadecimal.

    Raises:
      MissingError: there is no such object.
      StorageError: it can't be fetched, or has another hash.
      OSError: the mirror is not writable.
    """
    place = place_of(path)
    if place is None:
        return pathlib.Path(local_path(os.fspath(path)))
    target, store = mirror_path(place), open_store(place)
    for attempt in range(_ATTEMPTS):
        now = listed if listed is not None and attempt == 0 else store.stat()
        if now is None:
            raise MissingError(str(place))
        with State.shared(target) as state:
            if state.fits(now):
                return target
        with State.exclusive(target) as state:
            if state.fits(now):
                return target
            state.forget()
            try:
                store.download("", target, now, sha256)
            except ChangedError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                continue
            state.record(now)
            return target
    raise AssertionError("unreachable")


def fetch_folder(
    path: str | os.PathLike[str], only: Only | None = None, required: bool = False
) -> pathlib.Path:
    """Return the local path to a folder after fetching new files and removing deleted ones.

    Files that were never in the store stay, because a killed program may have written them.

    Args:
      path: a URL, or a path in the mirror; any other path is returned unchanged.
      only: takes a name relative to the folder, and returns whether to fetch it; by default, all
        are fetched.
      required: whether the folder must contain an object.

    Raises:
      MissingError: it contains none, although `required`.
      StorageError: the folder can't be listed or fetched.
      OSError: the mirror is not writable.
    """
    place = place_of(path)
    if place is None:
        return pathlib.Path(local_path(os.fspath(path)))
    folder, entries = mirror_path(place), open_store(place).list()
    if required and not entries:
        raise MissingError(str(place))
    wanted = {name: one for name, one in entries.items() if only is None or only(name)}
    for name in local_names(folder):
        if _key(folder / name, place) not in entries and (only is None or only(name)):
            with State.exclusive(folder / name) as state:
                if state.as_fetched():
                    (folder / name).unlink(missing_ok=True)
                    state.forget()
    fetch_entries(place, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch_entries(root: Location, entries: Mapping[str, Entry]) -> None:
    """Fetch objects by their names below `root`, several at a time; see `fetch`."""
    _at_once(lambda name: fetch(str(root.within(name)), entries[name]), entries)


def push(path: str | os.PathLike[str]) -> Entry | None:
    """Upload a mirrored file unless the store has it; other paths are ignored.

    Returns:
      Its entry in the store, or None for a path that is not mirrored.

    Raises:
      StorageError: it can't be uploaded.
      OSError: it can't be read.
    """
    place = place_of(path)
    if place is None:
        return None
    target, store = mirror_path(place), open_store(place)
    if is_placeholder(target):
        return store.stat()
    with State.exclusive(target) as state:
        known = state.entry()
        if known is not None and state.as_fetched() and store.stat() == known:
            return known
        state.forget()
        return state.record(store.upload(target))


def push_folder(
    path: str | os.PathLike[str],
    last: Iterable[str] = ("manifest.json",),
    only: Only | None = None,
) -> None:
    """Make a folder in the store equal to the mirrored folder; other paths are ignored.

    New and changed files are uploaded first, then the files that `last` names, in its order; then
    objects are removed whose files were here and are gone, but not those that other machines wrote
    in the meantime. A reader that begins with the last file finds all others.

    Args:
      path: the folder.
      last: name patterns, such as "manifest-*.json", relative to the folder or, without a
        slash, for any folder in it.
      only: takes a relative name, and returns whether to upload or remove it.

    Raises:
      StorageError: the store is not writable.
      OSError: a file can't be read.
    """
    place = place_of(path)
    if place is None:
        return
    folder, store = mirror_path(place), open_store(place)
    present = store.list()
    names = {name for name in local_names(folder) if only is None or only(name)}
    order = list(last)

    def rank(name: str) -> int:
        forms = (name, name.rpartition("/")[2])
        matches = [
            i for i, one in enumerate(order, 1) if any(fnmatch.fnmatch(f, one) for f in forms)
        ]
        return max(matches, default=0)

    for step in range(len(order) + 1):
        _at_once(lambda name: push(folder / name), sorted(n for n in names if rank(n) == step))
    keys = {_key(folder / name, place) for name in names}
    store.remove(
        name
        for name in present
        if name not in keys and (only is None or only(name)) and _was_here(place.within(name))
    )


def forget(path: str | os.PathLike[str]) -> None:
    """Remove the mirror's copy of a file or a folder; the store keeps its copy."""
    place = place_of(path)
    if place is None:
        return
    target = mirror_path(place)
    if target.is_dir():
        for name in local_names(target):
            state_file(target / name).unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
    else:
        target.unlink(missing_ok=True)
        state_file(target).unlink(missing_ok=True)


def _was_here(place: Location) -> bool:
    with State.exclusive(mirror_path(place)) as state:
        known = state.entry() is not None
        state.forget()
    return known


def _key(path: pathlib.Path, root: Location) -> str:
    """Return a mirrored file's name in the store, relative to `root`."""
    return Location.parse(url_of(path) or "").key[len(root.key.rstrip("/")) :].removeprefix("/")


def local_names(folder: pathlib.Path) -> list[str]:
    """Return the paths of all complete files in a folder and its subfolders, relative to it."""
    names = []
    for parent, folders, found in os.walk(folder):
        folders[:] = sorted(name for name in folders if MARK not in name)
        inside = pathlib.Path(parent).relative_to(folder)
        names += [str(inside / name) for name in sorted(found) if MARK not in name]
    return names


def _at_once(work: Callable[[str], object], names: Iterable[str]) -> None:
    """Call `work` with each name, several at a time; the first error stops the rest."""
    threads = concurrent.futures.ThreadPoolExecutor(PARALLEL)
    try:
        for done in concurrent.futures.as_completed([threads.submit(work, n) for n in names]):
            done.result()
    finally:
        threads.shutdown(cancel_futures=True)
