# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Arriving requests: when room is short, the slowest upload is cut off in favor of others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from mmv_tf.serving.errors import BODY_TIMEOUT, UNAVAILABLE, RequestError
from mmv_tf.serving.memory import Reservation

# Ours: seconds before an upload may be cut off, and seconds that an upload waits if there is no
# room; a body of 64 MiB takes a tenth of that locally.
_PATIENCE = 1.0


class Uploads:
    """Uploads that share the available room, for one event loop.

    Args:
      timeout: seconds for an upload.
      most: number of concurrent uploads; None if their bytes are counted instead, see `hold`.
    """

    def __init__(self, timeout: float, most: int | None = None):
        self._timeout = timeout
        self._places = None if most is None else asyncio.Semaphore(most)
        self._open: list[Upload] = []  # the oldest first

    @contextlib.asynccontextmanager
    async def arriving(self) -> AsyncIterator[Upload]:
        """Count an upload while its block reads it.

        Raises:
          RequestError: 408 if it takes too long, 503 if there is no room or it was cut off.
        """
        async with self._place():
            upload = Upload()
            self._open.append(upload)
            try:
                async with asyncio.timeout(self._timeout) as upload.clock:
                    yield upload
            except TimeoutError:
                raise self._too_slow(upload) from None
            finally:
                self._open.remove(upload)
                upload.gone.set()

    async def hold(self, share: Reservation, size: int, own: Upload | None = None) -> None:
        """Count a request's bytes; if memory is short, cut off uploads slower than its own.

        Raises:
          RequestError: 503 if that does not free enough.
        """
        while True:
            try:
                share.set(size)
                return
            except RequestError:
                slowest = self._end_slowest(own)
                if slowest is None:
                    raise
                await slowest.gone.wait()

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait for a free place, if the number of places is limited."""
        if self._places is None:
            yield
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + 2 * _PATIENCE
        while True:
            if self._places.locked():
                self._end_slowest()
            try:
                async with asyncio.timeout(min(_PATIENCE / 2, until - loop.time())):
                    await self._places.acquire()
                break
            except TimeoutError:
                if loop.time() >= until:
                    raise RequestError(
                        UNAVAILABLE,
                        f"{len(self._open)} requests are already arriving; try again later.",
                    ) from None
        try:
            yield
        finally:
            self._places.release()

    def _too_slow(self, upload: Upload) -> RequestError:
        if upload.cut:
            return RequestError(
                UNAVAILABLE, "The request arrived too slowly while others waited; try again later."
            )
        return RequestError(
            BODY_TIMEOUT, f"The body did not arrive within {self._timeout:g} seconds."
        )

    def _end_slowest(self, own: Upload | None = None) -> Upload | None:
        """End the upload that has taken longest, if it has had its minimum time."""
        slowest = next((upload for upload in self._open if not upload.cut), None)
        now = asyncio.get_running_loop().time()
        if slowest is None or slowest is own or now < slowest.started + _PATIENCE:
            return None
        slowest.end()
        return slowest


class Upload:
    """One request's upload.

    Attributes:
      started: start time on the event loop's clock.
      clock: timer that ends the upload.
      cut: whether the upload was ended in favor of others.
      gone: set when the upload has ended.
    """

    clock: asyncio.Timeout

    def __init__(self) -> None:
        self.started = asyncio.get_running_loop().time()
        self.cut = False
        self.gone = asyncio.Event()

    def end(self) -> None:
        """Cut the upload off: its block raises."""
        self.cut = True
        self.clock.reschedule(self.started)
