# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.util.shares import Share


@pytest.mark.parametrize("count", [1, 3, 10])
def test_each_item_is_in_one_share(count):
    shares = [Share(number, count) for number in range(1, count + 1)]
    for index in range(20):
        assert sum(share.holds_index(index) for share in shares) == 1
    sizes = [sum(share.holds_index(index) for index in range(20)) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_text():
    assert Share.parse("2/4") == Share(2, 4)
    assert str(Share(2, 4)) == "2/4"
    for text in ("0/4", "5/4", "1", "a/b", "-1/2", "1/0", "1/2/3", "٣/٤"):
        with pytest.raises(ValueError, match="expected i/n"):
            Share.parse(text)
