# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from mmv_tf.data.captions.clocks import parse_clock, reading_of

PATH = pathlib.Path("a.srt")


def read(*times):
    """Return all times of cues "start end", in seconds."""
    cues = [(i, *map(parse_clock, cue.split())) for i, cue in enumerate(times)]
    reading = reading_of(PATH, cues)
    return [reading(time) for _, *pair in cues for time in pair]


def test_parse_clock():
    assert parse_clock(" 1:02:03.5 ").decimal() == 3723.5
    assert parse_clock("123:00:00").decimal() == 442_800.0
    assert parse_clock("02:03,25").decimal() == 123.25
    for text in ("", "1", "1:60", "1:2:3:4", "0:0.", "-0:01", "0:01.5s", "0:01:500"):
        with pytest.raises(ValueError, match="^" + text):
            parse_clock(text)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["0:08,500 0:09,250"], [8.5, 9.25]),
        (["0:08,50 0:09,25", "0:10,00 0:11,90"], [8.5, 9.25, 10.0, 11.9]),
        (["0:08,5 0:09,25"], [8.5, 9.25]),
        (["0:08,5 0:09,050"], [8.5, 9.05]),
        (["0:08 0:09,050"], [8.0, 9.05]),
        (["0:08,0 0:09,250"], [8.0, 9.25]),
        (["0:07,900 0:08,5", "0:08,20 0:09,125"], [7.9, 8.005, 8.02, 9.125]),
        (["0:08,5 0:08,125"], [8.005, 8.125]),
        (["0:08,125 0:08,5"], [8.125, 8.5]),
        (["0:08,125 0:09,5"], None),
        (["0:08,125 0:09,25", "0:10,30 0:11,500"], None),
    ],
)
def test_fractions(times, expected):
    if expected is None:
        with pytest.raises(ValueError, match=r"a.srt, line 0: .*may mean 0.\d+ s or 0.0\d+ s"):
            read(*times)
    else:
        assert read(*times) == pytest.approx(expected)


def test_many_fractions_without_a_leading_zero():
    cues = [f"{m}:08,{125 + m} {m}:09,{225 + m}" for m in range(20)]
    assert read(*cues, "30:08,5 30:09,25")[-2:] == pytest.approx([1808.005, 1809.025])
