# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import fractions
import itertools

import pytest

from mmv_tf.search.edit_lists.timecode import Rate

NTSC = {24: (24_000, 1001), 30: (30_000, 1001), 48: (48_000, 1001), 60: (60_000, 1001)}


def rate(*value):
    return Rate(fractions.Fraction(*value))


def labels(nominal, dropped):
    """All timecodes of 21 minutes, naively: those that are dropped are left out."""
    for minute, second, frame in itertools.product(range(21), range(60), range(nominal)):
        if not (second == 0 and frame < dropped and minute % 10):
            yield f"00:{minute:02d}:{second:02d}{';' if dropped else ':'}{frame:02d}"


@pytest.mark.parametrize(
    ("value", "nominal", "dropped"),
    [
        (NTSC[24], 24, 0), ((24, 1), 24, 0), ((25, 1), 25, 0), (NTSC[30], 30, 2), ((30, 1), 30, 0),
        ((50, 1), 50, 0), (NTSC[60], 60, 4), ((60, 1), 60, 0), (NTSC[48], 48, 0),
    ],
)  # fmt: skip
def test_each_frame_has_its_timecode(value, nominal, dropped):
    own = rate(*value)
    assert own.drops == bool(dropped)
    for frame, expected in enumerate(labels(nominal, dropped)):
        assert own.timecode(frame) == expected
        if frame % 97 == 0 or expected.endswith(("00", "02", "04")):
            assert own.frame(expected) == frame


def test_known_timecodes():
    assert rate(*NTSC[30]).timecode(107_892) == "01:00:00;00"
    assert rate(*NTSC[30]).timecode(1800) == "00:01:00;02"
    assert rate(*NTSC[60]).timecode(215_784) == "01:00:00;00"
    assert rate(*NTSC[24]).timecode(86_400) == "01:00:00:00"
    assert rate(25).timecode(25 * 3600 * 24 + 1) == "00:00:00:01", "a day later"


def test_drop_frames_keep_up_with_the_clock():
    own = rate(*NTSC[30])
    for hour in range(1, 24):
        frame = own.frame(f"{hour:02d}:00:00;00")
        assert float(own.seconds(frame)) == pytest.approx(3600 * hour, abs=hour * 0.004)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25", (25, 1)), (" 29.97 ", NTSC[30]), ("30000/1001", NTSC[30]), ("23.976", NTSC[24]),
        ("23.98", NTSC[24]), ("24", (24, 1)), ("59.94", NTSC[60]), ("60 / 1", (60, 1)),
    ],
)  # fmt: skip
def test_written_rates(text, value):
    assert Rate.parse(text) == rate(*value)


@pytest.mark.parametrize("text", ["", "0", "-25", "25/0", "26", "nan", "1e9", "25fps", "9" * 99])
def test_wrong_rates(text):
    with pytest.raises(ValueError, match=r"expected one of 23\.976, 24, 25"):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("frame_rate", "value"),
    [(29.97, NTSC[30]), (14.3, NTSC[24]), (240.0, (60, 1)), (25.02, (25, 1)), (59.9401, NTSC[60])],
)
def test_the_nearest_rate(frame_rate, value):
    assert Rate.nearest(frame_rate) == rate(*value)


@pytest.mark.parametrize("text", ["", "1:2:3:4", "00:60:00:00", "00:00:60:00", "00:00:00:25", "x"])
def test_wrong_timecodes(text):
    with pytest.raises(ValueError, match="is not a timecode"):
        rate(25).frame(text)
