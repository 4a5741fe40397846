# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.util.spacing import evenly_spaced


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [
        (0, 3, []),
        (1, 3, [0]),
        (3, 3, [0, 1, 2]),
        (3, 9, [0, 1, 2]),
        (9, 3, [0, 4, 8]),
        (10, 4, [0, 3, 6, 9]),
        (8, 6, [0, 1, 3, 4, 6, 7]),
        (100, 2, [0, 99]),
        (5, 1, [0]),
    ],
)
def test_indices_are_evenly_spaced_with_both_ends(count, most, expected):
    assert evenly_spaced(count, most).tolist() == expected


def test_no_index_comes_twice():
    for count in range(1, 40):
        for most in range(1, 45):
            chosen = evenly_spaced(count, most).tolist()
            assert sorted(set(chosen)) == chosen
            assert len(chosen) == min(count, most)
