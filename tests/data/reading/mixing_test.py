# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from mmv_tf.data.reading import mixing


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (0.1, 0.2, 0.7), (5, 1, 1, 1), (2,)])
def test_every_stretch_has_its_share_and_counts_tell_where_each_source_is(weights):
    number = 500
    chosen = [int(c) for c in itertools.islice(mixing.choices(0, weights), number)]
    share = np.array(weights) / sum(weights)
    counts = np.zeros(len(weights), int)
    for n, source in enumerate(chosen):
        np.testing.assert_array_equal(mixing.counts_before(n, weights), counts)
        assert np.abs(counts - share * n).max() <= len(weights) / 2
        counts[source] += 1
    later = [int(c) for c in itertools.islice(mixing.choices(123, weights), 50)]
    assert later == chosen[123:173]


def test_far_along_the_two_counts_still_agree():
    start, weights = 10**12 + 7, (0.3, 0.3, 0.4)
    chosen = [int(c) for c in itertools.islice(mixing.choices(start, weights), 40)]
    before, after = (mixing.counts_before(start + n, weights) for n in (0, 40))
    np.testing.assert_array_equal(np.bincount(chosen, minlength=3), np.subtract(after, before))


def test_a_share_of_less_than_an_example_is_refused():
    with pytest.raises(ValueError, match="at least one from each"):
        mixing.mix_batches([None, None], (100, 1), 8)
