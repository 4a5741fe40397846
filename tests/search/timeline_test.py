# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from mmv_tf.search.moments import curve_svg


def points(svg):
    text = re.search(r'points="([^"]*)"', svg)[1]
    return np.array([[float(v) for v in pair.split(",")] for pair in text.split()])


def spans(count):
    starts = np.arange(count, dtype=np.float32)
    return np.stack([starts, starts + 2], axis=1)


def test_the_curve_goes_up_with_the_score():
    svg = curve_svg(np.array([0.1, 0.9, -np.inf, 0.5]), spans(4), 5.0, 1.0, 3.0)
    x, y = points(svg).T
    np.testing.assert_allclose(x, [120, 240, 480])
    assert y[1] < y[2] < y[0]
    assert 'x="120.0"' in svg and 'width="240.0"' in svg


def test_a_long_video_keeps_its_peaks():
    values = np.zeros(10_000, np.float32)
    values[7_777] = 1
    found = points(curve_svg(values, spans(10_000), 10_001.0, 0, 1))
    assert len(found) == 300
    assert found[:, 1].min() == 4.0
    assert found[found[:, 1].argmin(), 0] == pytest.approx(600 * 7_778 / 10_001, abs=0.1)


@pytest.mark.parametrize("values", [[], [-np.inf], [0.5], [0.2, 0.2]])
def test_few_or_equal_values(values):
    svg = curve_svg(np.array(values, np.float32), spans(len(values)), 0.0, 0.0, 9.0)
    assert "nan" not in svg and "inf" not in svg
