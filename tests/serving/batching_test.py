# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The queue and the batches, with a function in place of the network."""

import asyncio
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.serving.batching import Batcher
from mmv_tf.serving.errors import RequestError
from mmv_tf.serving.metrics import Metrics
from mmv_tf.serving.settings import ServerSettings


class Network:
    """Doubles what it gets, and refuses a batch in which there is a negative number."""

    def __init__(self, seconds: float = 0.0):
        self.batches: list[int] = []
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, signature, inputs):
        self.gate.wait(10)
        time.sleep(self.seconds)
        x = inputs["x"]
        self.batches.append(len(x))
        if (x < 0).any():
            raise tf.errors.InvalidArgumentError(None, None, "assertion failed: [x is negative]")
        if (x == 13).any():
            raise RuntimeError("a bug")
        return {"y": 2 * x}


def drive(network, scenario, **settings):
    """Runs an async function with a started batcher."""

    async def main():
        batcher = Batcher(network, ServerSettings("x", **settings), Metrics())
        batcher.start()
        try:
            return await asyncio.wait_for(scenario(batcher), 20)
        finally:
            network.gate.set()
            await batcher.stop()

    return asyncio.run(main())


def ask(batcher, values, seconds=10.0, signature="double"):
    x = np.array(values, np.float32)
    return batcher.submit(signature, {"x": x}, len(x), x.nbytes, time.monotonic() + seconds)


def test_waiting_requests_share_a_call_and_get_their_own_rows():
    network = Network()

    async def scenario(batcher):
        network.gate.clear()
        first = asyncio.create_task(ask(batcher, [1]))
        await asyncio.sleep(0.05)  # it has the only thread now
        others = [asyncio.create_task(ask(batcher, [n, n + 0.5])) for n in range(10)]
        await asyncio.sleep(0.05)
        network.gate.set()
        return await first, await asyncio.gather(*others)

    first, others = drive(network, scenario, executors=1, max_batch_rows=8)
    np.testing.assert_array_equal(first["y"], [2])
    for n, answer in enumerate(others):
        np.testing.assert_array_equal(answer["y"], [2 * n, 2 * n + 1])
    assert network.batches == [1, 8, 8, 4]


def test_without_batching_each_request_is_a_call():
    network = Network()

    async def scenario(batcher):
        await asyncio.gather(*(ask(batcher, [n, n]) for n in range(5)))

    drive(network, scenario, batching=False)
    assert network.batches == [2] * 5


def test_different_shapes_and_signatures_are_not_mixed():
    network = Network()

    async def scenario(batcher):
        network.gate.clear()
        asked = [ask(batcher, value) for value in ([[1]], [[1, 2]], [[3]], [[3, 4]])]
        asked.append(ask(batcher, [[5]], signature="other"))
        tasks = [asyncio.create_task(one) for one in asked]
        await asyncio.sleep(0.05)
        network.gate.set()
        return await asyncio.gather(*tasks)

    answers = drive(network, scenario, executors=1, batch_wait=0.02)
    assert [answer["y"].shape for answer in answers] == [(1, 1), (1, 2), (1, 1), (1, 2), (1, 1)]
    assert sorted(network.batches) == [1, 2, 2]


def test_a_bad_request_fails_alone():
    network = Network()

    async def scenario(batcher):
        values = [[n] for n in range(12)]
        values[3], values[8] = [-1], [13]
        return await asyncio.gather(*(ask(batcher, v) for v in values), return_exceptions=True)

    answers = drive(network, scenario, executors=1, batch_wait=0.05)
    assert network.batches[0] == 12
    for n, answer in enumerate(answers):
        if n == 3:
            assert isinstance(answer, RequestError) and answer.status == 400
            assert answer.message == "The model rejected the input: [x is negative]"
        elif n == 8:
            assert isinstance(answer, RequestError) and answer.status == 500
        else:
            np.testing.assert_array_equal(answer["y"], [2 * n])


def test_a_long_request_is_run_in_pieces():
    network = Network()

    async def scenario(batcher):
        return await ask(batcher, range(10))

    answer = drive(network, scenario, max_batch_rows=4)
    np.testing.assert_array_equal(answer["y"], 2 * np.arange(10))
    assert network.batches == [4, 4, 2]


def test_a_full_queue_refuses_at_once_and_a_late_request_is_not_run():
    network = Network()

    async def scenario(batcher):
        network.gate.clear()
        running = asyncio.create_task(ask(batcher, [0]))
        await asyncio.sleep(0.05)
        late = [asyncio.create_task(ask(batcher, [n], seconds=0.1)) for n in range(3)]
        await asyncio.sleep(0.02)
        started = time.monotonic()
        with pytest.raises(RequestError, match="already waiting") as refusal:
            await ask(batcher, [9])
        assert refusal.value.status == 503
        assert time.monotonic() - started < 0.05
        for task in late:
            with pytest.raises(RequestError) as refusal:
                await task
            assert refusal.value.status == 504
        network.gate.set()
        await running
        await ask(batcher, [5])

    drive(network, scenario, executors=1, max_queue=3)
    assert network.batches == [1, 1]


def test_stopping_answers_those_who_wait():
    network = Network()

    async def scenario(batcher):
        network.gate.clear()
        tasks = [asyncio.create_task(ask(batcher, [n])) for n in range(3)]
        await asyncio.sleep(0.05)
        tasks.append(asyncio.create_task(ask(batcher, [[7.0]])))
        await asyncio.sleep(0.05)
        threading.Timer(0.1, network.gate.set).start()
        await batcher.stop()
        return await asyncio.wait_for(tasks[-1], 1)

    with pytest.raises(RequestError, match="stopping"):
        drive(network, scenario, executors=1)
