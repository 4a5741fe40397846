# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the report claims follows from p-values that respect blocks of time."""

import pytest

from mmv_tf.quickstart.report.statements import clock, p_value, verdicts


@pytest.mark.parametrize(
    ("blocks", "within", "expected"),
    [
        (0.2, 0.001, "no evidence that the correct scene is found (p = 0.2000)."),
        (0.01, 0.5, "is found (p = 0.0100), but not the correct clip within it (p = 0.5000)."),
        (0.01, 0.02, "is found (p = 0.0100), and so is the correct clip within it (p = 0.0200)."),
    ],
)
def test_a_verdict_needs_the_scene_before_the_clip(blocks, within, expected):
    # Free pairings would take neighboring clips for independent ones: they decide nothing.
    metrics = {"p_value": 0.0001, "p_value_blocks": blocks, "p_value_within_blocks": within}
    (verdict,) = verdicts({"retrieval": {"text -> video": metrics}})
    assert verdict.startswith("sentence → clip: ") and verdict.endswith(expected)


def test_too_few_blocks_give_no_verdict():
    (verdict,) = verdicts({"retrieval": {"video -> audio": {"p_value": 0.0001}}})
    assert "can't be tested" in verdict
    assert p_value({"p_value": 0.0001}, "p_value_blocks") == "-"


def test_times():
    assert [clock(seconds) for seconds in (0, 59.9, 60, 599)] == ["0:00", "0:59", "1:00", "9:59"]
