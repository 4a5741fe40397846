# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from projects.label_efficiency.labels import draw_labeled

LABELS = np.repeat([0, 1, 2], [100, 50, 3])


@pytest.mark.parametrize(
    ("share", "counts"),
    [(0.01, [1, 1, 1]), (0.1, [10, 5, 1]), (0.5, [50, 25, 2]), (1, [100, 50, 3])],
)
def test_each_class_has_its_share_and_at_least_one(share, counts):
    chosen = draw_labeled(LABELS, share, 0)
    assert np.bincount(LABELS[chosen]).tolist() == counts
    assert (np.diff(chosen) > 0).all()


def test_draws_are_nested_and_depend_on_the_seed():
    drawn = [set(draw_labeled(LABELS, share, 3)) for share in (0.02, 0.05, 0.3, 1.0)]
    assert all(small <= large for small, large in itertools.pairwise(drawn))
    assert drawn[2] != set(draw_labeled(LABELS, 0.3, 4))
    assert drawn[2] == set(draw_labeled(LABELS, 0.3, 3))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_outside_of_its_range_is_refused(share):
    with pytest.raises(ValueError, match=r"must be above 0 and at most 1"):
        draw_labeled(LABELS, share, 0)
