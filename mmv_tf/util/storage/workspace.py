# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags that accept store URLs, while programs see local paths.

A program declares such flags with `storage_flags`, beside their definitions. `entered` then fetches
what they name, sets the flags to the local paths, and uploads the results when the program is done.
A program that fails uploads nothing.

Nothing for stores is imported while all values are local paths.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence

from absl import flags

from mmv_tf.util.storage.urls import (
    STATE,
    TALLY_VARIABLE,
    Location,
    cache_folder,
    is_remote,
    local_path,
    mirror_path,
    name_of,
    url_of,
)

# Parts of a training run's folder that only training reads.
_NOT_OF_MODELS = ("checkpoints", "lock", "mlflow.db", "mlruns", "tensorboard", "wandb")
_ARGUMENTS = "arguments"  # in place of a flag's name
_DATA = "data"
_CLAIMS = ".claims"


@dataclasses.dataclass(frozen=True)
class Role:
    """The use that a program makes of a flag's value.

    Attributes:
      kind: "input", a file or folder that is read; "model", the same, but of a training run;
        "media", a folder or file of media, each downloaded when it is opened; "list", a file with
        paths of media in its folder, unless --data names their folder; "place", a file or folder
        that is only named; "output", a file that is written; "updated", a folder that is read and
        written; or "local", a path for which a URL is a mistake.
      is_media: for "media" and "list": returns whether a file is media, by its name.
      last: for "updated": files to upload after all others; see `mirror.push_folder`.
      only: for "updated": returns whether the program reads and writes a file in the folder; by
        default, it uses all files.
      doing: for "updated": the program's work, for messages; another program that does it to the
        same folder at the same time is refused. None allows several.
    """

    kind: str
    is_media: Callable[[str], bool] | None = None
    last: tuple[str, ...] = ()
    only: Callable[[str], bool] | None = None
    doing: str | None = None


_roles: dict[str, Role] = {}
_uploads: list[Callable[[], None]] = []  # of the program that runs, at its end


def storage_flags(
    *,
    inputs: Sequence[str] = (),
    models: Sequence[str] = (),
    media: Sequence[str] = (),
    lists: Sequence[str] = (),
    places: Sequence[str] = (),
    is_media: Callable[[str], bool] | None = None,
    outputs: Sequence[str] = (),
    updated: Sequence[str] = (),
    local: Sequence[str] = (),
    last: Sequence[str] = ("manifest.json",),
    only: Callable[[str], bool] | None = None,
    doing: str | None = None,
    arguments: bool = False,
) -> None:
    """Declare flags whose values may be store URLs; see `Role`.

    Args:
      inputs, models, media, lists, places, outputs, updated, local: flag names.
      is_media: needed for `media` and `lists`.
      last, only, doing: see `Role`.
      arguments: also fetch the arguments that are not flags, as inputs.
    """
    _roles.update(dict.fromkeys(inputs, Role("input")))
    _roles.update(dict.fromkeys(models, Role("model")))
    _roles.update(dict.fromkeys(media, Role("media", is_media)))
    _roles.update(dict.fromkeys(lists, Role("list", is_media)))
    _roles.update(dict.fromkeys(places, Role("place")))
    _roles.update(dict.fromkeys(outputs, Role("output")))
    _roles.update(dict.fromkeys(local, Role("local")))
    _roles.update(dict.fromkeys(updated, Role("updated", last=tuple(last), only=only, doing=doing)))
    if arguments:
        _roles[_ARGUMENTS] = Role("input")


@contextlib.contextmanager
def entered(argv: list[str], values: flags.FlagValues = flags.FLAGS) -> Iterator[list[str]]:
    """Set flags and arguments to local paths during the block, and upload the outputs after it.

    Args:
      argv: the program's name and its arguments.
      values: the parsed flags.

    Yields:
      `argv` with local paths.

    Raises:
      ValueError: a value is neither a store URL nor a local path.
      StorageError: an input is missing, or an output can't be written.
    """
    _uploads.clear()
    has_data = _DATA in values and values[_DATA].value is not None

    def local(role: Role, text: str) -> str:
        if role.kind == "list" and has_data:
            role = Role("input")
        path, upload = _bring(role, text)
        if upload is not None:
            _uploads.append(upload)
        return path

    with contextlib.ExitStack() as stack:
        for name, role in _roles.items():
            if name not in values or values[name].value is None:
                continue
            flag = values[name]
            if role.doing is not None and is_remote(flag.value):
                stack.enter_context(_claimed(flag.value, role.doing))
            if isinstance(flag.value, str):
                flag.value = local(role, flag.value)
            else:
                flag.value = [local(role, one) for one in flag.value]
        if _ARGUMENTS in _roles:
            argv = [*argv[:1], *(local(_roles[_ARGUMENTS], one) for one in argv[1:])]
        yield argv
        for upload in _uploads:
            upload()


def also_upload(folder: str | os.PathLike[str]) -> None:
    """Upload another folder at the program's end, if it is in the mirror."""
    if url_of(folder) is not None:
        from mmv_tf.util.storage.mirror import push_folder

        _uploads.append(functools.partial(push_folder, folder))


def updated_folder(folder: str | os.PathLike[str], last: Sequence[str] = ()) -> str:
    """Return the path to a folder that the program reads and writes besides those of its flags.

    If it is in the mirror, it is fetched now and uploaded at the program's end.

    Args:
      folder: a local path.
      last: see `Role`.

    Raises:
      StorageError: it can't be fetched or written.
    """
    url = url_of(folder)
    if url is None:
        return os.fspath(folder)
    path, upload = _updated(url, Role("updated", last=tuple(last)))
    _uploads.append(upload)
    return path


def media_folder(path: str, is_media: Callable[[str], bool]) -> str:
    """Return the local path to a media folder or file; see `media.outline`."""
    return _bring(Role("media", is_media), path)[0]


def brought(path: str | os.PathLike[str], model: bool = False) -> str:
    """Return the local path to a file or a folder to read, fetched if it is in a store.

    Args:
      path: a URL or a path in the mirror; any other path is returned unchanged.
      model: of a training run's folder, fetch only what a model needs.

    Raises:
      MissingError: there is neither such an object nor one below it.
      StorageError: it can't be fetched.
    """
    return _input(os.fspath(path), _is_of_model if model else None)


def companion(path: str | os.PathLike[str]) -> str | None:
    """Return the local path to a file that may be beside another one, or None if it is not there.

    Args:
      path: its path, fetched if it is in the mirror.

    Raises:
      StorageError: it can't be fetched.
    """
    if url_of(path) is not None:
        from mmv_tf.util.storage.errors import MissingError

        with contextlib.suppress(MissingError):
            return brought(path)
    return os.fspath(path) if os.path.exists(path) else None


def _bring(role: Role, text: str) -> tuple[str, Callable[[], None] | None]:
    """Return the local path for a flag's value, and what to do after the program."""
    if not is_remote(text):
        return local_path(text), None
    if role.kind == "local":
        raise ValueError(f"{name_of(text)}: expected a local path; this can't be in a store.")
    if role.kind == "place":
        return str(mirror_path(text)), None
    if role.kind == "media":
        from mmv_tf.util.storage.media import outline

        return str(outline(text, role.is_media or (lambda name: True))), None
    if role.kind == "list":
        from mmv_tf.util.storage.media import outline

        path = mirror_path(text)
        outline(str(Location.parse(text).parent), role.is_media or (lambda name: True))
        return str(path), None
    if role.kind == "input":
        return _input(text, None), None
    if role.kind == "model":
        return _input(text, _is_of_model), None
    return _output(text) if role.kind == "output" else _updated(text, role)


def _is_of_model(name: str) -> bool:
    return name.partition("/")[0] not in _NOT_OF_MODELS


def _input(text: str, only: Callable[[str], bool] | None) -> str:
    """Fetch a file, or a folder."""
    from mmv_tf.util.storage.errors import MissingError
    from mmv_tf.util.storage.mirror import fetch, fetch_folder, place_of
    from mmv_tf.util.storage.store import open_store

    place = place_of(text)
    if place is None:
        return local_path(text)
    store = open_store(place)
    entry = store.stat() if place.key and not text.endswith("/") else None
    if entry is not None:
        return str(fetch(str(place), entry))
    try:
        return str(fetch_folder(str(place), only, required=True))
    except MissingError:
        target = mirror_path(place)
        if not target.exists():
            raise
        return str(target)  # Written by a program that has not uploaded it yet.


def _output(text: str) -> tuple[str, Callable[[], None]]:
    """Prepare the mirror for a file, and for those that a program writes beside it."""
    from mmv_tf.util.storage.mirror import push
    from mmv_tf.util.storage.store import open_store

    place = Location.parse(text)
    if not place.name:
        raise ValueError(f"{name_of(text)}: expected the name of a file.")
    open_store(place.parent).check_writable()
    path = mirror_path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    before = _beside(path)

    def upload() -> None:
        changed = [one for one, stamp in _beside(path).items() if before.get(one) != stamp]
        for one in sorted(changed, key=lambda one: one == path):
            push(one)

    return str(path), upload


def _beside(path: pathlib.Path) -> dict[pathlib.Path, tuple[int, int]]:
    """Return the files named like an output except for the suffix (its report), with stamps."""
    found = {}
    for one in path.parent.glob("*"):
        if one.name.startswith(f"{path.stem}.") and one.is_file():
            status = one.stat()
            found[one] = (status.st_mtime_ns, status.st_ino)
    return found


@contextlib.contextmanager
def _claimed(text: str, doing: str) -> Iterator[None]:
    """Let no other program update a folder in a store during the block."""
    from mmv_tf.util.storage import claims
    from mmv_tf.util.storage.store import open_store

    with claims.held(open_store(Location.parse(text).within(_CLAIMS)), name_of(text), doing):
        yield


def _updated(text: str, role: Role) -> tuple[str, Callable[[], None]]:
    """Fetch a folder that will be changed."""
    from mmv_tf.util.storage.mirror import fetch_folder, push_folder
    from mmv_tf.util.storage.store import open_store

    def is_of_program(name: str) -> bool:
        """Return whether a file belongs to the program and is more than a lock."""
        is_lock = name.rpartition("/")[2] == "lock" or name.endswith(".lock")
        is_lock |= name.startswith(f"{_CLAIMS}/")
        return not is_lock and (role.only is None or role.only(name))

    open_store(text).check_writable()
    folder = fetch_folder(text, is_of_program)
    with contextlib.suppress(OSError):
        folder.rmdir()  # Empty: to the program there is none.

    def upload() -> None:
        if folder.is_dir():
            push_folder(folder, role.last, is_of_program)

    return str(folder), upload


@contextlib.contextmanager
def tallied() -> Iterator[None]:
    """At the block's end, print one line to standard error if operations on stores were retried.

    Retries in child processes also count: they inherit the name of the counting file.
    """
    former = os.environ.get(TALLY_VARIABLE)
    path = cache_folder() / STATE / f"tally-{os.getpid()}"
    os.environ[TALLY_VARIABLE] = str(path)
    try:
        yield
    finally:
        if former is None:
            del os.environ[TALLY_VARIABLE]
        else:
            os.environ[TALLY_VARIABLE] = former
        if path.exists():
            from mmv_tf.util.storage.retries import read_tally

            print(read_tally(path), file=sys.stderr)
            path.unlink()
