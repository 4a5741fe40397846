# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.inference.windows import Windows


def windows(**changes):
    values = {
        "num_frames": 8,
        "frame_rate": 2.0,
        "size": 32,
        "square_crop": True,
        "step_frames": 4,
        "sample_rate": 16_000,
    }
    return Windows(**{**values, **changes})


@pytest.mark.parametrize(
    ("duration", "starts"),
    [
        (0.3, [0]),
        (4.0, [0]),
        (3.9999, [0]),
        (6.0, [0, 4]),
        (6.9, [0, 4, 5]),
        (12.0, [0, 4, 8, 12, 16]),
    ],
)
def test_starts(duration, starts):
    assert windows().starts(duration) == starts


def test_every_moment_is_seen():
    for step in (1, 3, 8):
        cut = windows(step_frames=step)
        for duration in (4.0, 4.7, 9.99, 31.4):
            seen = {start + frame for start in cut.starts(duration) for frame in range(8)}
            assert seen == set(range(int(duration * 2)))


@pytest.mark.parametrize("step", [0, 9])
def test_steps_that_leave_gaps_are_refused(step):
    with pytest.raises(ValueError, match="no frame is skipped"):
        windows(step_frames=step)


def test_lengths():
    assert windows().seconds == 4.0
    assert windows().samples == 64_000
