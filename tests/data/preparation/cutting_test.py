# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import collections
import pathlib

import pytest

from mmv_tf.data import preparation
from mmv_tf.data.captions import Caption
from mmv_tf.data.preparation import cutting, splits
from mmv_tf.data.preparation.sources import IMAGE, ListedClip, Source


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (Caption(12.0, 13.0, "x"), (11_500, 13_500)),  # Widened on both sides.
        (Caption(10.1, 10.6, "x"), (10_000, 12_000)),  # At a border: on one side.
        (Caption(19.5, 20.0, "x"), (18_000, 20_000)),
        (Caption(12.0, 16.0, "x"), (11_900, 16_100)),  # Long enough: only the context.
        (Caption(10.0, 20.0, "x"), (10_000, 20_000)),
    ],
)
def test_caption_spans(caption, expected):
    settings = preparation.Settings(min_clip_seconds=2.0, context_seconds=0.1)
    block = splits.Block(0, 10.0, 20.0, "train")
    spans = cutting.caption_spans(block, [caption], settings, collections.Counter())
    assert [(span.start_ms, span.end_ms) for span in spans] == [expected]


def test_captions_that_give_no_clip_are_counted():
    dropped = collections.Counter()
    block = splits.Block(0, 0.0, 1.0, "train")
    captions = [Caption(0.1, 0.2, "x"), Caption(0.3, 0.4, "y")]
    settings = preparation.Settings(min_clip_seconds=1.0)
    (span,) = cutting.caption_spans(block, captions, settings, dropped)
    assert span.own == tuple(captions)
    assert dropped == {"clips_of_equal_span": 1}
    settings = preparation.Settings(min_clip_seconds=1.1)
    assert cutting.caption_spans(block, captions, settings, dropped) == []
    assert dropped["clips_too_short"] == 2


def listed(clips, duration, **kwargs):
    dropped = collections.Counter()
    source = Source("m", pathlib.Path("m.mp4"), clips=clips, **kwargs)
    return cutting.listed_spans(source, duration, dropped), dropped


def test_listed_clips_are_cut_off_at_the_end():
    clips = (
        ListedClip(1.0, 2.0, labels=("a",), texts=("one  two",)),
        ListedClip(4.0, 9.0),
        ListedClip(6.0, 7.0),
        ListedClip(2.5),
        ListedClip(1.0, 2.0, labels=("b", "a"), texts=("three",)),
    )
    spans, dropped = listed(clips, 5.0005)
    assert [(s.start_ms, s.end_ms) for s in spans] == [(1000, 2000), (4000, 5000), (2500, 5000)]
    assert spans[0].labels == ("a", "b")
    assert [caption.text for caption in spans[0].own] == ["one two", "three"]
    assert dropped == {
        "clips_past_the_end": 1,
        "clips_of_equal_span": 1,
        "clip_seconds_past_the_end": 4,
    }


def test_a_trimmed_file_is_the_clip():
    clip = (ListedClip(30.0, 40.0, may_be_trimmed=True),)
    assert [(s.start_ms, s.end_ms) for s in listed(clip, 10.4)[0]] == [(0, 10_400)]
    assert [(s.start_ms, s.end_ms) for s in listed(clip, 200.0)[0]] == [(30_000, 40_000)]
    # A whole video that ends early is not a trimmed one.
    assert [(s.start_ms, s.end_ms) for s in listed(clip, 36.0)[0]] == [(30_000, 36_000)]
    whole = listed(None, 2.0)[0]
    assert [(s.start_ms, s.end_ms) for s in whole] == [(0, 2000)]
    assert listed(None, 0.0)[0] == []


def test_an_image_has_no_length_and_its_own_id():
    (span,) = listed(None, 0.0, kind=IMAGE)[0]
    assert (span.start_ms, span.end_ms, span.example_id) == (0, 0, "m")
