# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import asyncio

import pytest

from mmv_tf.serving import uploads as uploads_lib
from mmv_tf.serving.errors import RequestError
from mmv_tf.serving.memory import MemoryBudget
from mmv_tf.serving.uploads import Uploads


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(uploads_lib, "_PATIENCE", 0.1)


async def upload(uploads, seconds):
    """The status that an upload of so many seconds gets."""
    try:
        async with uploads.arriving():
            await asyncio.sleep(seconds)
    except RequestError as error:
        return error.status
    return 200


def test_an_upload_ends_in_time():
    uploads = Uploads(0.05)
    assert asyncio.run(upload(uploads, 0)) == 200
    assert asyncio.run(upload(uploads, 5)) == 408


def test_quick_uploads_wait_for_each_other():
    async def run():
        uploads = Uploads(10, most=2)
        return await asyncio.gather(*(upload(uploads, 0.001) for _ in range(50)))

    assert asyncio.run(run()) == [200] * 50


def test_where_places_are_short_the_slowest_is_cut():
    async def run():
        uploads = Uploads(10, most=2)
        slow = [asyncio.create_task(upload(uploads, 5)) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert await upload(uploads, 0) == 200
        assert await slow[0] == 503
        assert not slow[1].done(), "one place was enough"
        slow[1].cancel()

    asyncio.run(run())


def test_too_many_that_come_at_once_are_refused():
    async def run():
        uploads = Uploads(10, most=1)
        return await asyncio.wait_for(
            asyncio.gather(*(upload(uploads, 1) for _ in range(20))), timeout=8
        )

    statuses = asyncio.run(run())
    assert set(statuses) <= {200, 503} and statuses.count(503) >= 18


def test_where_memory_is_short_the_slowest_is_cut():
    budget = MemoryBudget(100)

    async def hold(uploads, size, seconds):
        with budget.reserve() as share:
            async with uploads.arriving() as own:
                await uploads.hold(share, size, own)
                await asyncio.sleep(seconds)

    async def run():
        uploads = Uploads(10)
        first = asyncio.create_task(hold(uploads, 60, 5))
        await asyncio.sleep(0.01)
        with pytest.raises(RequestError, match="use up the server's memory"):
            await hold(uploads, 60, 0)  # the first has not had its time yet
        await asyncio.sleep(0.15)
        await hold(uploads, 60, 0)
        with pytest.raises(RequestError, match="too slowly while others waited"):
            await first
        with pytest.raises(RequestError, match="use up the server's memory"):
            await hold(uploads, 101, 0)
        assert budget.used == 0

    asyncio.run(run())
