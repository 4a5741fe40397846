# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import datetime
import types

import pytest

from mmv_tf.search.api.errors import ApiError
from mmv_tf.search.api.filters import Filters


def file(name="a/b/Film.mp4", time="2026-05-04T12:00:00"):
    mtime = datetime.datetime.fromisoformat(time).timestamp()
    return types.SimpleNamespace(name=name, mtime_ns=int(mtime * 1e9))


@pytest.mark.parametrize(
    ("values", "passes"),
    [
        ({}, True),
        ({"folder": None, "after": None}, True),
        ({"folder": "a"}, True),
        ({"folder": "a/b/"}, True),
        ({"folder": "a/"}, True),
        ({"folder": "b"}, False),
        ({"folder": "a/bb"}, False),
        ({"file": "fILM"}, True),
        ({"file": "b/film"}, True),
        ({"file": "movie"}, False),
        ({"min_seconds": 60}, True),
        ({"min_seconds": 60.1}, False),
        ({"max_seconds": 59}, False),
        ({"after": "2026-05-04"}, True),
        ({"after": "2026-05-05"}, False),
        ({"before": "2026-05-04"}, True),  # that day included
        ({"before": "2026-05-03"}, False),
        ({"before": "2026-05-04T11:59:59"}, False),
        ({"after": "2026-05-04T12:00:00"}, True),
        ({"folder": "a", "file": "movie"}, False),
    ],
)
def test_filters(values, passes):
    assert Filters.parse(values).allows(file(), 60.0) == passes


def test_files_of_unknown_length():
    assert Filters(file="film").allows(file(), None)
    assert not Filters(min_seconds=0).allows(file(), None)


def test_names_of_any_bytes():
    odd = file(b"caf\xe9.mp4".decode("utf-8", "surrogateescape"))
    assert Filters(file=r"caf\xe9").allows(odd, 1.0)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-02-30", "9" * 400, "0000-01-01"]
)
def test_dates_that_are_none(text):
    with pytest.raises(ApiError, match="expected a date"):
        Filters.parse({"after": text})
