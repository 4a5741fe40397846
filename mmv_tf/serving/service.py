# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What both protocols share: the network, its state, and the way of a request through it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import numpy as np

from mmv_tf.serving.batching import Batcher
from mmv_tf.serving.errors import NOT_FOUND, UNAUTHORIZED, UNAVAILABLE, RequestError
from mmv_tf.serving.memory import MemoryBudget
from mmv_tf.serving.metrics import Metrics
from mmv_tf.serving.servable import Servable, Signature
from mmv_tf.serving.settings import ServerSettings
from mmv_tf.serving.uploads import Uploads
from mmv_tf.serving.validation import check_inputs, held_bytes

_T = TypeVar("_T")
# Requests above this are read in a thread, so that others are answered meanwhile; ours.
_SMALL_BYTES = 64 << 10
# TensorFlow Serving's names of what a version is at.
LOADING, AVAILABLE, UNLOADING = "LOADING", "AVAILABLE", "UNLOADING"


class Service:
    """A network under a name. For one event loop.

    Args:
      settings: how it is run.

    Attributes:
      state: LOADING, AVAILABLE or UNLOADING; predictions are made in the second.
      metrics: what was counted.
      memory: what requests hold.
      uploads: the bodies that are arriving over HTTP.
    """

    def __init__(self, settings: ServerSettings):
        self.settings = settings
        self.state = LOADING
        self.metrics = Metrics()
        self.memory = MemoryBudget(settings.memory_bytes)
        self.uploads = Uploads(settings.body_timeout)
        self._servable: Servable | None = None
        self._batcher: Batcher | None = None
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # One large request is unfolded at a time: what that takes is not in the budget.
        self._reading = asyncio.Lock()
        self.metrics.watch("requests_active", "Requests at work.", lambda: self._active)
        self.metrics.watch("requests_waiting", "Requests in the queue.", lambda: self.waiting)
        self.metrics.watch("request_bytes", "What requests hold.", lambda: self.memory.used)

    @property
    def servable(self) -> Servable:
        """The network.

        Raises:
          RequestError: 503 while it loads.
        """
        if self._servable is None:
            raise RequestError(UNAVAILABLE, "The network is still loading.")
        return self._servable

    @property
    def version(self) -> int:
        """Of the network; 0 while it loads."""
        return self._servable.version if self._servable else 0

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._batcher.waiting if self._batcher else 0

    async def load(self) -> None:
        """Load the network and run its warm-up requests.

        Raises:
          ValueError: if there is none.
        """

        def load() -> Servable:
            servable = Servable(self.settings.model_base_path)
            servable.warm_up()
            return servable

        self._servable = servable = await asyncio.to_thread(load)
        self._batcher = Batcher(servable.run, self.settings, self.metrics)
        self._batcher.start()
        self.state = AVAILABLE

    async def stop(self) -> None:
        """Take no more requests, wait for those at work, and ends."""
        self.state = UNLOADING
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self.settings.stop_timeout)
        if self._batcher is not None:
            await self._batcher.stop()

    def check_key(self, given: str | None) -> None:
        """Raise a `RequestError` 401 unless the API key is right, or none is asked for."""
        wanted = self.settings.api_key
        if wanted is None:
            return
        # In constant time, and of bytes: strings with other letters can't be compared so.
        if given is None or not hmac.compare_digest(given.encode(), wanted.encode()):
            raise RequestError(
                UNAUTHORIZED, "This server asks for an API key: Authorization: Bearer KEY."
            )

    def check_model(self, name: str, version: int | None = None, label: str | None = None) -> None:
        """Raise a `RequestError` 404 unless this is the network that is served."""
        if name != self.settings.model_name:
            raise RequestError(
                NOT_FOUND,
                f"There is no model {name!r} here; it is called {self.settings.model_name!r}.",
            )
        if label:
            raise RequestError(NOT_FOUND, "Versions have no labels here; leave the label out.")
        if version is not None and self._servable is not None and version != self.version:
            raise RequestError(
                NOT_FOUND, f"There is no version {version} here; version {self.version} is served."
            )

    def refuses(self) -> str | None:
        """The reason, if a request that came now would not be taken."""
        if self.state != AVAILABLE:
            return f"The network is not available: {self.state.lower()}."
        if self._active >= self.settings.max_active or self.waiting >= self.settings.max_queue:
            return f"{self._active} requests are at work already; try again later."
        if self.memory.used >= self.memory.total:
            return "The requests at work fill the server's memory; try again later."
        return None

    def check_free(self) -> None:
        """Raise a `RequestError` 503 if a request that came now would not be taken."""
        reason = self.refuses()
        if reason is not None:
            raise RequestError(UNAVAILABLE, reason)

    @contextlib.asynccontextmanager
    async def admitted(self) -> AsyncIterator[float]:
        """Count a request as being at work; give its deadline.

        Raises:
          RequestError: 503 at once if there are too many, or none are taken.
        """
        self.check_free()
        self._active += 1
        self._idle.clear()
        try:
            yield time.monotonic() + self.settings.request_timeout
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()

    async def read(self, size: int, read: Callable[[], _T]) -> _T:
        """Run a function that unfolds or folds up `size` bytes."""
        if size <= _SMALL_BYTES:
            return read()
        async with self._reading:
            return await asyncio.to_thread(read)

    async def predict(
        self, signature: Signature, inputs: dict[str, np.ndarray], deadline: float
    ) -> dict[str, np.ndarray]:
        """Check tensors and have the network run on them.

        Raises:
          RequestError: if they are wrong, the queue is full, or time is up.
        """
        batcher: Any = self._batcher
        rows, size = await self.read(
            held_bytes(inputs), lambda: check_inputs(signature, inputs, self.settings)
        )
        return await batcher.submit(signature.name, inputs, rows, size, deadline)
