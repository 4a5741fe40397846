# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Charts show the numbers of the run where their axes say so."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from mmv_tf.quickstart.report import charts
from tests.quickstart.report.made_runs import make_run


def value_at(chart, line, index):
    """The values of a point, read off the axes."""
    x, y = (float(number) for number in line.points.split()[index].split(","))

    def read(place, ticks):
        (first, last) = ticks[0], ticks[-1]
        share = (place - first.place) / (last.place - first.place)
        return float(first.label) + share * (float(last.label) - float(first.label))

    return read(x, chart.x_ticks), read(y, chart.y_ticks)


def test_points_are_where_the_axes_say():
    run = make_run()
    losses = charts.loss_chart(run)
    total = losses.lines[0]
    assert value_at(losses, total, 0) == pytest.approx((10, 4.0), abs=0.2)
    assert value_at(losses, total, 1) == pytest.approx((100, 2.0), abs=0.2)
    assert "total: from 4.00 to 2.00" in losses.description
    ranks = charts.rank_chart(run)
    assert [line.label for line in ranks.lines] == ["sentence → clip", "chance, 4.5"]
    assert value_at(ranks, ranks.lines[0], 1) == pytest.approx((100, 2.5), abs=0.2)
    assert value_at(ranks, ranks.lines[1], 0) == pytest.approx((0, 4.5), abs=0.05)


def test_a_run_without_held_out_ranks_has_no_such_chart():
    assert charts.rank_chart(make_run(scalars={"train/loss": [(1, 2.0)]})) is None


@pytest.mark.parametrize(
    ("most", "last", "count"),
    [(9.2, 10, 6), (300, 300, 4), (0.07, 0.08, 5), (26, 30, 4), (0, 1, 6)],
)
def test_ticks_are_round_and_reach_the_most(most, last, count):
    ticks = charts.round_steps(most)
    assert ticks[0] == 0 and ticks[-1] == pytest.approx(last) and len(ticks) == count
    assert ticks[-1] >= most


def test_values_that_are_not_finite_are_left_out():
    chart = charts.line_chart(
        "t", "x", "y", [("a", "ink", [(1, 1.0), (2, float("nan")), (3, 2.0)])]
    )
    assert len(chart.lines[0].points.split()) == 2 and "nan" not in chart.lines[0].points


def test_the_heat_map_is_brightest_where_similarity_is_greatest():
    heat = charts.heat_map(make_run(order=range(8)))
    picture = Image.open(io.BytesIO(base64.b64decode(heat.picture.partition(",")[2])))
    brightness = np.asarray(picture.convert("L")).astype(int)
    assert brightness.shape == (16, 16)
    np.testing.assert_array_equal(brightness.argmax(axis=1), np.arange(16))
    side = charts.HEAT_SIDE / 16
    assert heat.frames == [(side * start, 2 * side) for start in (2, 6, 10, 14)]
    assert heat.ticks[0].label == "0:00" and heat.ticks[-1].label == "0:22"
