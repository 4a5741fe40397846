# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Locks on folders in a store: one program at a time writes.

A store has no locks that end with a process. A program writes an object, its claim, and holds the
folder if no other claim is alive; it rewrites the claim every few seconds. A claim is dead if
its process was on this machine and has ended, or if it has not been rewritten for `DEAD_SECONDS` by
the store's clock. The clocks of machines, which may differ, are never compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import random
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from mmv_tf.util.safe_files import parse_json
from mmv_tf.util.storage.errors import MissingError, StorageError
from mmv_tf.util.storage.store import Entry, Store

logger = logging.getLogger(__name__)

# Ours: seconds between rewrites of a claim, and seconds without a rewrite until it is dead.
REFRESH_SECONDS = 20.0
DEAD_SECONDS = 120.0
_POLL_SECONDS = 2.0
# Ours: two programs that start at the same moment may both back off a few times.
_ATTEMPTS = 5
_MOST_BYTES = 4096


class Claim:
    """A held folder."""

    def __init__(self, store: Store, name: str, where: str):
        self._store = store
        self._name = name
        self._where = where

    def check(self) -> None:
        """Check that the folder is still held.

        Raises:
          ValueError: another program took it, because this one was silent for `DEAD_SECONDS`.
          StorageError: the store can't be reached.
        """
        if self._store.stat(self._name) is None:
            raise ValueError(
                f"{self._where}: this program was paused or disconnected for over "
                f"{DEAD_SECONDS:.0f} s, and another one has taken its place; check which of them "
                "should continue."
            )


@contextlib.contextmanager
def held(store: Store, where: str, doing: str) -> Iterator[Claim]:
    """Hold a folder in a store during the block.

    Args:
      store: a folder used only for claims.
      where: the held folder, for messages.
      doing: the holder's work, for messages, such as "training there".

    Raises:
      ValueError: another program holds it.
      StorageError: the store is not writable.
    """
    name = f"{uuid.uuid4().hex}.json"
    who = {"holder": f"{os.getpid()} on {platform.node()}", "process": _process()}
    content = json.dumps(who).encode()
    _take(store, name, content, where, doing)
    ended = threading.Event()

    def refresh() -> None:
        while not ended.wait(REFRESH_SECONDS):
            # An outage ends the run elsewhere; a claim that another program removed stays removed.
            with contextlib.suppress(StorageError):
                if store.stat(name) is not None:
                    store.write(name, content)

    thread = threading.Thread(target=refresh, name="claim", daemon=True)
    thread.start()
    try:
        yield Claim(store, name, where)
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(StorageError):  # it expires anyway
            store.remove([name])


def _take(store: Store, name: str, content: bytes, where: str, doing: str) -> None:
    """Write a claim when no other is alive.

    It is written before looking for others: of two programs, at least one sees the other.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, _POLL_SECONDS))  # noqa: S311
        now = store.write(name, content).modified
        others = {other: entry for other, entry in store.list().items() if other != name}
        alive = {other: entry for other, entry in others.items() if not _has_ended(store, other)}
        store.remove(set(others) - set(alive))
        if not alive:
            return
        store.remove([name])
        for other, entry in alive.items():
            _wait_for_end(store, other, entry, now, where, doing)
    raise ValueError(f"{where}: other programs started at the same time ({doing}); start only one.")


def _wait_for_end(
    store: Store, name: str, entry: Entry, now: float | None, where: str, doing: str
) -> None:
    """Return when a claim is gone or dead.

    Args:
      store, where, doing: see `held`.
      name, entry: name and entry of the claim.
      now: the store's time.

    Raises:
      ValueError: the claim was rewritten.
    """
    started = time.monotonic()
    holder = _content(store, name).get("holder", "unknown")
    silent = max(0.0, now - entry.modified) if now and entry.modified else 0.0
    waiting = False
    while (found := store.stat(name)) is not None:
        if found.modified != entry.modified or not found.modified:
            raise ValueError(
                f"{where}: another program (process {holder}) is {doing}; wait until it is done."
            )
        left = DEAD_SECONDS - silent - (time.monotonic() - started)
        if left <= 0:
            store.remove([name])
            return
        if not waiting:
            logger.warning(
                "%s: process %s was %s %.0f s ago; waiting up to %.0f s to see if it still is.",
                where,
                holder,
                doing,
                silent,
                left,
            )
        waiting = True
        time.sleep(min(_POLL_SECONDS, left))


def _has_ended(store: Store, name: str) -> bool:
    """Return whether a claim's process was on this machine and has ended."""
    process, own = _content(store, name).get("process"), _process()
    if not isinstance(process, dict) or own is None:
        return False
    same = all(process.get(key) == own[key] for key in ("boot", "namespace"))
    number = process.get("number")
    return same and type(number) is int and _started(number) != process.get("started")


def _content(store: Store, name: str) -> dict[str, Any]:
    """Return a claim's content; empty if it is gone or not a claim."""
    try:
        found = parse_json(store.read(name)[:_MOST_BYTES])
    except (MissingError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _process() -> dict[str, Any] | None:
    """Return what distinguishes this process from all others; None if the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        # Containers of one machine number their processes separately.
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return None
    number = os.getpid()
    return {
        "boot": boot,
        "namespace": namespace,
        "number": number,
        "started": _started(number),
    }


def _started(number: int) -> int | None:
    """Return when a process on this machine began, in ticks; None if it has ended."""
    try:
        with open(f"/proc/{number}/stat", "rb") as file:
            status = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # The first field here is the manual's third. "Z" is a process that has ended.
    return None if status[0] == b"Z" else int(status[19])
