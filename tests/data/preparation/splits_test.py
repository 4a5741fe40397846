# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools
import random

import pytest

from mmv_tf.data.captions import Caption
from mmv_tf.data.preparation import splits

PATTERN = ("train", "train", "test")


def borders(blocks):
    return [block.end for block in blocks[:-1]]


def test_borders_move_to_the_middle_of_the_nearest_gap():
    captions = [Caption(0.5, 8.0, "a"), Caption(8.2, 12.0, "b"), Caption(12.1, 29.0, "c")]
    blocks = splits.time_blocks(30.0, 10.0, PATTERN, captions)
    # The gap at 8.1 is nearest to 10; none is within half a block of 20, so that border stays.
    assert borders(blocks) == [8.1, 20.0]
    assert [block.split for block in blocks] == ["train", "train", "test"]
    assert splits.held_captions(blocks[0], captions) == captions[:1]
    assert sum(len(splits.held_captions(block, captions)) for block in blocks) == 2


def test_border_in_a_long_pause_stays_away_from_captions():
    captions = [Caption(0.0, 9.8, "a"), Caption(30.0, 40.0, "b")]
    blocks = splits.time_blocks(40.0, 10.0, PATTERN, captions)
    assert borders(blocks) == [10.3, 20.0, 29.5]


def test_pattern_goes_on_from_an_earlier_film():
    blocks = splits.time_blocks(20.0, 10.0, PATTERN, first=2)
    assert [(block.index, block.split) for block in blocks] == [(0, "test"), (1, "train")]


def test_short_film_is_one_block():
    assert splits.time_blocks(3.00049, 24.0, PATTERN) == [splits.Block(0, 0.0, 3.0, "train")]


def test_blocks_cover_the_film_and_no_caption_is_in_two():
    generator = random.Random(0)
    for _ in range(50):
        duration = generator.uniform(1, 200)
        captions = []
        for _ in range(generator.randrange(40)):
            start = generator.uniform(0, duration)
            captions.append(Caption(start, start + generator.uniform(0.1, 9), str(start)))
        blocks = splits.time_blocks(duration, generator.uniform(2, 50), PATTERN, captions)
        assert blocks[0].start == 0.0
        assert duration - 0.001 <= blocks[-1].end <= duration
        assert all(a.end == b.start for a, b in itertools.pairwise(blocks))
        assert all(block.start < block.end for block in blocks)
        held = [caption for block in blocks for caption in splits.held_captions(block, captions)]
        assert len(held) == len(set(held))


@pytest.mark.parametrize(
    ("duration", "length", "pattern"),
    [(0.0, 1.0, PATTERN), (1.0, -1.0, PATTERN), (float("nan"), 1.0, PATTERN), (1.0, 1.0, ())],
)
def test_refuses(duration, length, pattern):
    with pytest.raises(ValueError, match=r"must be positive|split pattern"):
        splits.time_blocks(duration, length, pattern)
