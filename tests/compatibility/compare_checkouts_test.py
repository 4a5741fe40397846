# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What tools/compare_checkouts.py calls equal."""

from __future__ import annotations

import json

import numpy as np

from tools import compare_checkouts


def test_a_difference_in_one_bit_is_told(capsys):
    first = {"a": np.array([1.0, np.nan], np.float32), "b": 3}
    second = {"a": np.array([1.0 + 2.0**-23, np.nan], np.float32), "b": 3}
    assert compare_checkouts.report("thing", first, dict(first))
    assert not compare_checkouts.report("thing", first, second)
    assert not compare_checkouts.report("thing", first, {"b": 3})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "equal    thing (2 values)"
    assert printed[1].startswith("differs  thing: 1 of 2 values, by 1.19e-07 at most; 0 in one")
    assert printed[2].endswith("1 in one only: a")


def test_times_and_places_are_left_out(tmp_path):
    content = {"R@1": 0.5, "took_seconds": 3.1, "of": ["/tmp/mmv_tf_abc/data", {"path": "/x"}]}
    (tmp_path / "results.json").write_text(json.dumps(content))
    values = compare_checkouts.read_json("*.json")(tmp_path)
    assert values == {"results.json/R@1": 0.5, "results.json/of/0": "data"}
