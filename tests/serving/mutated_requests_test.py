# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Requests gone wrong, from four clients at once."""

import concurrent.futures

import pytest

from benchmarks.server_process import ServerProcess
from tests.serving import mutations


@pytest.mark.parametrize("count", [30, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_requests_get_the_right_status_and_no_memory(published, count):
    def send(mutation):
        status, body = mutations.send(server.rest, mutation)
        right = status in mutation.statuses
        return None if right else f"{mutation.kind}: {status} {body[:200]!r}"

    # A server of its own: the common one ends slow bodies after 2 s, which a busy machine has.
    with ServerProcess(published) as server:
        idle = server.memory()
        server.reset_peak()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            wrong = [said for said in pool.map(send, mutations.mutations(1, count)) if said]
        assert not wrong, wrong[:10]
        assert server.alive()
        assert server.memory("VmHWM") - idle < 512
