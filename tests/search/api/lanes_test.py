# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import asyncio
import threading

import pytest

from mmv_tf.search.api.errors import ApiError
from mmv_tf.search.api.lanes import Lane


def test_calls_beyond_the_queue_are_refused_and_others_not():
    async def run():
        lane, other = Lane("searches", 1, 2), Lane("lists", 1, 0)
        go = threading.Event()
        waiting = [asyncio.create_task(lane.run(go.wait, 10)) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(ApiError, match="Too many searches at once") as error:
            await lane.run(len, "x")
        assert error.value.status == 503
        assert await other.run(len, "four") == 4
        # A client that goes leaves its call counted until it ends.
        waiting[0].cancel()
        await asyncio.sleep(0.05)
        with pytest.raises(ApiError):
            await lane.run(len, "x")
        go.set()
        assert await asyncio.gather(*waiting[1:]) == [True, True]
        assert await lane.run(len, "four") == 4
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 / 0)
        lane.close()
        other.close()

    asyncio.run(run())
