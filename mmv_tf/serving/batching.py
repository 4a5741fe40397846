# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Dynamic batching: requests that wait at the same time share a call to the model.

TensorFlow's own batching operation is not used: it fails a whole batch if the graph rejects one
request, and can't queue clips of different lengths together.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mmv_tf.serving.errors import TIMEOUT, UNAVAILABLE, RequestError, from_tensorflow
from mmv_tf.serving.metrics import Metrics
from mmv_tf.serving.settings import ServerSettings

Arrays = Mapping[str, np.ndarray]
# Requests with the same key may share a call: signature, and each input's name and row shape.
Key = tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]


@dataclasses.dataclass
class _Waiting:
    """A request in the queue."""

    inputs: Arrays
    rows: int
    size: int
    arrived: float
    deadline: float
    future: asyncio.Future[dict[str, np.ndarray]]


class Batcher:
    """A bounded queue in front of a function that takes batches, for one event loop.

    Each of `executors` threads, when free, takes the oldest request and all that may share its
    call, up to the batch limits. If the graph rejects a batch, its halves run separately, down to
    the faulty request, so that no other request fails.

    Args:
      run: (signature, inputs) -> outputs, called in threads.
      settings: the limits.
      metrics: counts the batches.
    """

    def __init__(
        self,
        run: Callable[[str, Arrays], dict[str, np.ndarray]],
        settings: ServerSettings,
        metrics: Metrics,
    ):
        self._run = run
        self._settings = settings
        self._metrics = metrics
        self._queues: dict[Key, collections.deque[_Waiting]] = {}
        self._count = 0
        self._changed = asyncio.Condition()
        self._threads = concurrent.futures.ThreadPoolExecutor(settings.executors, "network")
        self._workers: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return self._count

    def start(self) -> None:
        """Start accepting requests; call this inside the event loop."""
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._settings.executors)]

    async def stop(self) -> None:
        """Stop the threads; requests that are still waiting get 503."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for queue in self._queues.values():
            for item in queue:
                if not item.future.done():
                    item.future.set_exception(RequestError(UNAVAILABLE, "The server is stopping."))
        self._queues.clear()
        self._threads.shutdown(wait=True)

    async def submit(
        self, signature: str, inputs: Arrays, rows: int, size: int, deadline: float
    ) -> dict[str, np.ndarray]:
        """Wait for the model's answer.

        Args:
          signature: the function to call.
          inputs: checked arrays [rows, ...] by name.
          rows: number of rows.
          size: bytes to count for the inputs.
          deadline: deadline on `time.monotonic`'s clock.

        Raises:
          RequestError: 503, immediately, if the queue is full; 504 after the deadline; or the
            model's error.
        """
        if self._count >= self._settings.max_queue:
            raise RequestError(
                UNAVAILABLE, f"{self._count} requests are already waiting; try again later."
            )
        shapes = tuple((name, value.shape[1:]) for name, value in sorted(inputs.items()))
        future = asyncio.get_running_loop().create_future()
        item = _Waiting(inputs, rows, size, time.monotonic(), deadline, future)
        self._queues.setdefault((signature, shapes), collections.deque()).append(item)
        self._count += 1
        async with self._changed:
            self._changed.notify()
        try:
            return await asyncio.wait_for(future, max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise RequestError(TIMEOUT, "The request waited too long for the model.") from None
        finally:
            # An error's traceback refers to this frame: it would keep the inputs, and itself,
            # alive.
            del item, future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._count > 0)
            if self._settings.batching and self._settings.batch_wait:
                await self._wait_for_company()
            taken = self._take()
            if taken is None:
                continue
            signature, batch = taken
            started = time.monotonic()
            answers = await loop.run_in_executor(self._threads, self._call, signature, batch)
            self._metrics.batch(signature, sum(i.rows for i in batch), time.monotonic() - started)
            for item, answer in zip(batch, answers, strict=True):
                if item.future.done():  # its client disconnected, or its deadline has passed
                    continue
                if isinstance(answer, RequestError):
                    item.future.set_exception(answer)
                else:
                    item.future.set_result(answer)

    async def _wait_for_company(self) -> None:
        """Wait until the oldest request has waited `batch_wait`; under load it already has."""
        oldest = min((queue[0].arrived for queue in self._queues.values()), default=0.0)
        delay = oldest + self._settings.batch_wait - time.monotonic()
        if delay > 0:
            await asyncio.sleep(delay)

    def _take(self) -> tuple[str, list[_Waiting]] | None:
        """Remove the oldest request, and those that may share its call, from the queue."""
        if not self._queues:
            return None
        key = min(self._queues, key=lambda key: self._queues[key][0].arrived)
        queue = self._queues[key]
        batch: list[_Waiting] = []
        rows = size = 0
        now = time.monotonic()
        while queue:
            item = queue[0]
            if item.future.done() or item.deadline <= now:
                queue.popleft()
                self._count -= 1
                continue
            full = (
                rows + item.rows > self._settings.max_batch_rows
                or size + item.size > self._settings.max_batch_bytes
                or not self._settings.batching
            )
            if batch and full:
                break
            batch.append(queue.popleft())
            self._count -= 1
            rows, size = rows + item.rows, size + item.size
        if not queue:
            del self._queues[key]
        return (key[0], batch) if batch else None

    def _call(
        self, signature: str, batch: Sequence[_Waiting]
    ) -> list[dict[str, np.ndarray] | RequestError]:
        """Return an answer for each request; runs in a thread."""
        try:
            joined = _join([item.inputs for item in batch])
            outputs = self._run_slices(signature, joined, sum(item.rows for item in batch))
        except Exception as error:
            if len(batch) == 1:
                return [from_tensorflow(error)]
            middle = len(batch) // 2
            return self._call(signature, batch[:middle]) + self._call(signature, batch[middle:])
        answers: list[dict[str, np.ndarray] | RequestError] = []
        start = 0
        for item in batch:
            stop = start + item.rows
            answers.append({name: value[start:stop] for name, value in outputs.items()})
            start = stop
        return answers

    def _run_slices(self, signature: str, inputs: Arrays, rows: int) -> dict[str, np.ndarray]:
        """Run the model on pieces within the batch limits."""
        most = self._settings.max_batch_rows
        if rows <= most:
            return self._run(signature, inputs)
        pieces = [
            self._run(signature, {name: value[at : at + most] for name, value in inputs.items()})
            for at in range(0, rows, most)
        ]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _join(inputs: Sequence[Arrays]) -> Arrays:
    if len(inputs) == 1:
        return inputs[0]
    return {name: np.concatenate([each[name] for each in inputs]) for name in inputs[0]}
