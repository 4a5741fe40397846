# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Limits that fit each other, the memory that requests share, and the metrics."""

import pytest

from mmv_tf.serving.errors import RequestError
from mmv_tf.serving.memory import MemoryBudget
from mmv_tf.serving.metrics import Metrics
from mmv_tf.serving.settings import ServerSettings


def test_the_world_is_served_with_a_key_only():
    assert ServerSettings("x", host="::1").is_loopback
    assert ServerSettings("x", host="localhost").is_loopback
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ValueError, match="API key"):
            ServerSettings("x", host=host)
        ServerSettings("x", host=host, api_key="0123456789abcdef")


def test_impossible_settings_are_refused():
    for settings, message in (
        (dict(api_key="short"), "too short"),
        (dict(max_queue=0), "max_queue is 0"),
        (dict(executors=-1), "executors is -1"),
        (dict(batch_wait=-1.0), "negative"),
        (dict(rest_port=70_000), "ports"),
        (dict(memory_bytes=1), "exceeds memory_bytes"),
    ):
        with pytest.raises(ValueError, match=message):
            ServerSettings("x", **settings)


def test_requests_share_their_memory():
    budget = MemoryBudget(100)
    with budget.reserve() as first, budget.reserve() as second:
        first.set(60)
        second.set(40)
        with pytest.raises(RequestError) as error:
            second.set(41)
        assert error.value.status == 503
        first.set(10)
        second.set(90)
        assert budget.used == 100
    assert budget.used == 0


def test_metrics_are_in_prometheus_form():
    metrics = Metrics()
    metrics.watch("answer", "The answer.", lambda: 42)
    metrics.request("rest", "text", 200, 0.003)
    metrics.batch("text", 3, 0.002)
    text = metrics.render().decode()
    assert 'mmv_requests_total{protocol="rest",signature="text",status="200"} 1.0' in text
    assert 'mmv_batch_rows_sum{signature="text"} 3.0' in text
    assert "mmv_answer 42.0" in text
