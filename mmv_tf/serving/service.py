# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The part common to both protocols: the model, its state, and request handling."""

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
# Larger requests are parsed in a thread, so that others are answered in the meantime; ours.
_SMALL_BYTES = 64 << 10
# TensorFlow Serving's names for the states of a version.
LOADING, AVAILABLE, UNLOADING = "LOADING", "AVAILABLE", "UNLOADING"


class Service:
    """A named model, for one event loop.

    Args:
      settings: the server's settings.

    Attributes:
      state: LOADING, AVAILABLE or UNLOADING; only AVAILABLE allows predictions.
      metrics: the metrics.
      memory: bytes that requests hold.
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
        # One large request is parsed at a time, because parsing memory is not in the budget.
        self._reading = asyncio.Lock()
        self.metrics.watch("requests_active", "Active requests.", lambda: self._active)
        self.metrics.watch("requests_waiting", "Requests in the queue.", lambda: self.waiting)
        self.metrics.watch("request_bytes", "Bytes held by requests.", lambda: self.memory.used)

    @property
    def servable(self) -> Servable:
        """The model.

        Raises:
          RequestError: 503 while it loads.
        """
        if self._servable is None:
            raise RequestError(UNAVAILABLE, "The model is still loading.")
        return self._servable

    @property
    def version(self) -> int:
        """The model's version; 0 while it loads."""
        return self._servable.version if self._servable else 0

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return self._batcher.waiting if self._batcher else 0

    async def load(self) -> None:
        """Load the model and run its warm-up requests.

        Raises:
          ValueError: there is no model, or it can't be loaded.
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
        """Refuse new requests, wait for the active ones, and end."""
        self.state = UNLOADING
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self.settings.stop_timeout)
        if self._batcher is not None:
            await self._batcher.stop()

    def check_key(self, given: str | None) -> None:
        """Raise a `RequestError` 401 unless the API key is correct or none is needed."""
        wanted = self.settings.api_key
        if wanted is None:
            return
        # In constant time, and on bytes: strings with non-ASCII letters can't be compared this way.
        if given is None or not hmac.compare_digest(given.encode(), wanted.encode()):
            raise RequestError(
                UNAUTHORIZED, "This server requires an API key: Authorization: Bearer KEY."
            )

    def check_model(self, name: str, version: int | None = None, label: str | None = None) -> None:
        """Raise a `RequestError` 404 unless this is the served model."""
        if name != self.settings.model_name:
            raise RequestError(
                NOT_FOUND,
                f"There is no model {name!r} here; this is model {self.settings.model_name!r}.",
            )
        if label:
            raise RequestError(NOT_FOUND, "Version labels are not supported here; omit the label.")
        if version is not None and self._servable is not None and version != self.version:
            raise RequestError(
                NOT_FOUND, f"There is no version {version} here; version {self.version} is served."
            )

    def refuses(self) -> str | None:
        """Return why a new request would be refused, or None."""
        if self.state != AVAILABLE:
            return f"The model is not available: {self.state.lower()}."
        if self._active >= self.settings.max_active or self.waiting >= self.settings.max_queue:
            return f"{self._active} requests are already active; try again later."
        if self.memory.used >= self.memory.total:
            return "Active requests use up the server's memory; try again later."
        return None

    def check_free(self) -> None:
        """Raise a `RequestError` 503 if a new request would be refused."""
        reason = self.refuses()
        if reason is not None:
            raise RequestError(UNAVAILABLE, reason)

    @contextlib.asynccontextmanager
    async def admitted(self) -> AsyncIterator[float]:
        """Count a request as active and yield its deadline.

        Raises:
          RequestError: 503, immediately, if there are too many requests or none are accepted.
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
        """Run a function that parses or formats `size` bytes."""
        if size <= _SMALL_BYTES:
            return read()
        async with self._reading:
            return await asyncio.to_thread(read)

    async def predict(
        self, signature: Signature, inputs: dict[str, np.ndarray], deadline: float
    ) -> dict[str, np.ndarray]:
        """Check tensors and run the model on them.

        Raises:
          RequestError: they are invalid, the queue is full, or the time is up.
        """
        batcher: Any = self._batcher
        rows, size = await self.read(
            held_bytes(inputs), lambda: check_inputs(signature, inputs, self.settings)
        )
        return await batcher.submit(signature.name, inputs, rows, size, deadline)
