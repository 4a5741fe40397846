# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import threading
import time

import pytest

from mmv_tf.util.read_ahead import read_ahead


@pytest.mark.parametrize("threads", [1, 3])
def test_items_come_in_order_and_only_a_few_are_read_ahead(threads):
    begun, lock = [], threading.Lock()

    def read(item):
        with lock:
            begun.append(item)
        time.sleep(0.01 * (item % 3))
        return item * 10

    used = []
    for result in read_ahead(read, range(12), threads):
        used.append(result)
        assert len(begun) <= len(used) + threads
    assert used == [item * 10 for item in range(12)]
    assert list(read_ahead(read, [], threads)) == []


def test_an_error_is_raised_at_its_item():
    results = read_ahead(lambda item: 1 // item, [1, 2, 0, 3], 2)
    assert [next(results), next(results)] == [1, 0]
    with pytest.raises(ZeroDivisionError):
        next(results)
