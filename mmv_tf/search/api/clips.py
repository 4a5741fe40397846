# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips for downloads: cut by child processes into unnamed files.

Such a file vanishes when the last process that has it open ends, so that nothing is left on disk
even if the server is killed.
"""

from __future__ import annotations

import collections
import errno
import os
import pathlib
import tempfile
import threading
from typing import IO

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from mmv_tf.data.media import MediaError
from mmv_tf.search.api.errors import FULL, UNAVAILABLE, UNPROCESSABLE, ApiError
from mmv_tf.search.api.library import logger
from mmv_tf.search.cutting import Clip, cut_in_child
from mmv_tf.search.decoder import Decoder

# Ours: number of clips kept for further requests, because a player requests a clip in parts.
_KEPT, _KEPT_BYTES = 16, 1 << 30


class Clips:
    """Cuts clips and keeps the most recent; thread-safe.

    Args:
      decoder: cuts in child processes.
    """

    def __init__(self, decoder: Decoder):
        self._decoder = decoder
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[object, tuple[IO[bytes], Clip]] = (
            collections.OrderedDict()
        )

    def open(
        self, path: pathlib.Path, name: str, start: float, end: float, mode: str
    ) -> tuple[int, Clip]:
        """Return a descriptor of a clip's file, which the caller must close, and the clip's times.

        Args:
          path, name: path to the video, and its name in messages.
          start, end, mode: see `cutting.cut`.

        Raises:
          ApiError: the clip can't be cut, or the disk is full.
        """
        key = str(path), path.stat().st_mtime_ns, start, end, mode
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                file, clip = self._kept[key]
                return os.dup(file.fileno()), clip
        file, clip = self._cut(path, name, start, end, mode)
        with self._lock:
            self._kept[key] = file, clip
            descriptor = os.dup(file.fileno())
            while len(self._kept) > 1 and (len(self._kept) > _KEPT or self._bytes() > _KEPT_BYTES):
                self._kept.popitem(last=False)[1][0].close()
        return descriptor, clip

    def close(self) -> None:
        """Remove all clips."""
        with self._lock:
            for file, _ in self._kept.values():
                file.close()
            self._kept.clear()

    def _bytes(self) -> int:
        return sum(os.fstat(file.fileno()).st_size for file, _ in self._kept.values())

    def _cut(
        self, path: pathlib.Path, name: str, start: float, end: float, mode: str
    ) -> tuple[IO[bytes], Clip]:
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115 (kept)
        except OSError as error:
            raise _disk_error(error) from None
        output = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        try:
            return file, cut_in_child(self._decoder, str(path), start, end, output, mode)
        except (MediaError, ValueError) as error:
            file.close()
            raise ApiError(UNPROCESSABLE, str(error).replace(str(path), name)) from None
        except OSError as error:
            file.close()
            raise _disk_error(error) from None
        except BaseException:
            file.close()
            raise


class ClipResponse(FileResponse):
    """A response with a clip, whole or in parts, which closes its descriptor when done.

    Args:
      descriptor: descriptor of the clip's file.
      filename: name for the download.
      headers: additional headers.
    """

    def __init__(self, descriptor: int, filename: str, headers: dict[str, str]):
        self._descriptor = descriptor
        super().__init__(
            f"/proc/self/fd/{descriptor}",
            headers=headers,
            media_type="video/mp4",
            filename=filename,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


def _disk_error(error: OSError) -> ApiError:
    logger.error("%s", error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ApiError(FULL, "The server's disk is full; try again later, or cut less.")
    return ApiError(UNAVAILABLE, "The clip can't be cut now; see the server's log.")
