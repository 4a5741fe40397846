# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import copy
import itertools

import pytest

from mmv_tf.util.configuration import read_json
from projects.label_efficiency import report
from projects.label_efficiency.study import ARMS, FINE_TUNED, LINEAR, NETWORK, NOTHING
from tests.documentation import pages

RIGHT = {
    (LINEAR, NETWORK): "1110",
    (LINEAR, NOTHING): "1010",
    (FINE_TUNED, NETWORK): "1111",
    (FINE_TUNED, NOTHING): "0000",
}


def fake_results():
    """Two seeds of two folds of four files, of which the second fold's are all right."""
    folds = {"1": ["a", "b", "c", "d"], "2": ["e", "f", "g", "h"]}
    runs = [
        {
            "task": "esc10",
            "seed": seed,
            "division": division,
            "share": share,
            "labels": 10,
            "classifier": arm[0],
            "start": arm[1],
            "right": RIGHT[arm] if division == "1" else "1111",
            "seconds": 30.0,
        }
        for (seed, division), share, arm in itertools.product(
            ((0, "1"), (1, "2")), (0.01, 1.0), ARMS
        )
    ]
    return {
        "config": {"seeds": [0, 1], "shares": [0.01, 1.0]},
        "network": {"seconds": 60.0},
        "tasks": {
            "esc10": {
                "classes": ["x", "y"],
                "divisions_of": [["1"], ["2"]],
                "tested": {name: {"items": ids, "groups": ids} for name, ids in folds.items()},
            }
        },
        "runs": runs,
    }


def test_accuracies_and_gains_are_means_over_all_tested_files():
    row, _ = report.rows(fake_results(), "esc10")
    assert {arm: found[0] for arm, found in row.accuracy.items()} == {
        (LINEAR, NETWORK): 7 / 8,
        (LINEAR, NOTHING): 6 / 8,
        (FINE_TUNED, NETWORK): 1.0,
        (FINE_TUNED, NOTHING): 0.5,
    }
    assert row.gains[LINEAR][0] == pytest.approx(1 / 8)
    assert row.gains[FINE_TUNED][0] == 0.5
    # A gain is paired, so where no file changes it has no spread.
    assert row.accuracy[FINE_TUNED, NETWORK] == (1.0, 1.0, 1.0)
    assert row.gains[FINE_TUNED][1:] == (0.0, 1.0)


def test_what_lacks_a_seed_is_left_out():
    results = fake_results()
    del results["runs"][-1]
    first, last = report.rows(results, "esc10")
    assert list(first.accuracy) == list(ARMS)
    assert list(last.accuracy) == [arm for arm in ARMS if arm != (FINE_TUNED, NOTHING)]
    assert list(last.gains) == [LINEAR]
    line = report.markdown(results, "esc10").splitlines()[-1]
    assert [cell.strip() for cell in line.split("|")][6:9:2] == ["-", "-"]


def test_the_table_and_the_folds():
    results = fake_results()
    lines = report.markdown(results, "esc10").splitlines()
    assert lines[2].startswith("| 1 % | 10 | 87.5 (")
    assert lines[2].endswith("| +50.0 (+0.0 to +100.0) |")
    assert report.report(results).startswith("ESC-10 (chance 50.0 %):\n\n| labels |")
    assert report.by_division(results, "esc10", 1.0) == {"1": 0.0, "2": 1.0}
    assert report.minutes(results) == 1 + 16 / 2
    changed = copy.deepcopy(results)
    changed["runs"][0]["right"] = "0000"
    assert report.markdown(changed, "esc10") != report.markdown(results, "esc10")


def test_the_pages_tables_are_those_of_its_results():
    page = (pages.ROOT / "docs" / "measurements" / "label_efficiency.md").read_text(
        encoding="utf-8"
    )
    results = read_json(pages.ROOT / "docs" / "label_efficiency.json")
    for name in results["tasks"]:
        assert report.rows(results, name)
        assert report.markdown(results, name) in page
