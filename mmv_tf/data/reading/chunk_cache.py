# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A cache of chunks on the local disk, bounded in size and shared by all processes on a machine."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

_SUFFIX = ".chunk"
_LOCK, _USAGE, _UNFINISHED = "lock", "usage", "unfinished"
# Ours: the fraction of the size that eviction keeps, so that it rarely scans the files.
_LEFT = 0.9
# Ours: a process that holds a lock for longer is paused; its chunk is fetched without the lock.
_LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.02


class ChunkCache:
    """Files of chunks; the least recently used ones are evicted to make room for new ones.

    A file gets its name only once it is complete. If two processes need the same chunk, the second
    waits until the first has downloaded it, or has ended. If the disk cannot be used, is full or
    does not support locks, one warning is logged, and chunks are downloaded each time they are
    needed.

    Args:
      directory: the cache folder; created with the first chunk.
      max_bytes: maximum total size of all chunks; 0 stores none. A larger chunk is not stored.
    """

    def __init__(self, directory: pathlib.Path, max_bytes: int):
        self.directory = directory
        self._max_bytes = max_bytes
        self._usable = max_bytes > 0
        self._warning = threading.Lock()

    def get(self, name: str, fetch: Callable[[], bytes], is_good: Callable[[bytes], bool]) -> bytes:
        """Return a chunk, from the cache if possible.

        Args:
          name: the chunk's name, the same in all processes.
          fetch: function that returns the content, or raises.
          is_good: function that returns whether cached content is intact; if not, it is fetched
            again.
        """
        path = self._path(name)
        found = self._read(path)
        if found is not None and is_good(found):
            return found
        with self._locked(path.parent / _LOCK) as locked:
            # Another process may have fetched it in the meantime.
            found = self._read(path) if locked else None
            if found is None or not is_good(found):
                found = fetch()
                if locked:
                    self._store(path, found)
            return found

    def _path(self, name: str) -> pathlib.Path:
        digest = hashlib.sha256(name.encode()).hexdigest()
        # Each chunk uses one of 256 locks: waits for other chunks are rare, and no files pile up.
        return self.directory / digest[:2] / (digest[2:] + _SUFFIX)

    def _read(self, path: pathlib.Path) -> bytes | None:
        if not self._usable:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):  # Evicted since then, or the disk is read-only.
            os.utime(path)
        return content

    def _store(self, path: pathlib.Path, content: bytes) -> None:
        """Write a chunk under its name after making room for it."""
        size = len(content)
        if size > self._max_bytes:
            return
        unfinished = self.directory / _UNFINISHED
        with self._locked(self.directory / _LOCK) as locked:
            if not locked:
                return
            try:
                used = self._used() + size
                if used > self._max_bytes:
                    used = self._evict(min(self._max_bytes - size, _LEFT * self._max_bytes)) + size
                # Counted before writing: if the process is killed in between, the count is too
                # high.
                (self.directory / _USAGE).write_text(str(used), encoding="ascii")
                unfinished.write_bytes(content)
                os.replace(unfinished, path)
            except OSError as error:
                with contextlib.suppress(OSError):
                    unfinished.unlink()
                self._give_up(error)

    def _used(self) -> int:
        """Return the size of all chunks, or slightly more; count them if nobody has done so yet."""
        try:
            return int((self.directory / _USAGE).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return sum(size for _, size, _ in self._files())

    def _evict(self, target: float) -> int:
        """Remove the least recently used chunks beyond `target` bytes; return the size left."""
        files = sorted(self._files())
        left = sum(size for _, size, _ in files)
        for _, size, path in files:
            if left <= target:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            left -= size
        return left

    def _files(self) -> Iterator[tuple[int, int, str]]:
        """Yield the last time of use, the size and the path of every chunk."""
        for folder in os.scandir(self.directory):
            if not folder.is_dir():
                continue
            for entry in os.scandir(folder):
                with contextlib.suppress(FileNotFoundError):
                    if entry.name.endswith(_SUFFIX):
                        status = entry.stat()
                        yield status.st_mtime_ns, status.st_size, entry.path

    @contextlib.contextmanager
    def _locked(self, path: pathlib.Path) -> Iterator[bool]:
        """Hold a lock that is released when the process ends.

        Yields:
          False if the cache is unusable, or another process holds the lock for too long.
        """
        file = self._lock_file(path)
        try:
            yield file is not None
        finally:
            if file is not None:
                os.close(file)

    def _lock_file(self, path: pathlib.Path) -> int | None:
        if not self._usable:
            return None
        file = None
        deadline = time.monotonic() + _LOCK_SECONDS
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            while not _try_lock(file):
                if time.monotonic() > deadline:
                    os.close(file)
                    return None
                time.sleep(_POLL_SECONDS)
        except OSError as error:
            if file is not None:
                os.close(file)
            self._give_up(error)
            return None
        return file

    def _give_up(self, error: OSError) -> None:
        with self._warning:
            if self._usable:
                logger.warning(
                    "The cache in %s can't be used (%s); shards are read from the store each time. "
                    "Free some disk space, or set data.cache_dir or data.cache_gb.",
                    self.directory,
                    error.strerror or error,
                )
            self._usable = False


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
