# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json
from xml.etree import ElementTree as etree

import pytest

from mmv_tf.search.files import video_id
from tests.search.conftest import EVIL_NAME

LONG = f"{video_id('long.mp4')}-5000-7000"
EVIL = f"{video_id(EVIL_NAME)}-0-1000"


def ask(api, format, **more):
    answer = api.client.post(
        "/api/v1/lists", json={"moments": [LONG, EVIL], "format": format, **more}
    )
    assert answer.status_code == 200, answer.text
    assert str(api.library.root) not in answer.text and "file:" not in answer.text
    assert f'filename="moments.{format}"' in answer.headers["content-disposition"]
    return answer


def test_all_formats(api):
    edl = ask(api, "edl", title="my cut")
    assert edl.text.startswith("TITLE: my cut\nFCM: NON-DROP FRAME")
    assert "00:00:05:00 00:00:07:00 00:00:00:00 00:00:02:00" in edl.text
    assert "it falls down" in edl.text
    assert len(list(etree.fromstring(ask(api, "fcpxml").content).iter("asset-clip"))) == 2
    rows = list(csv.DictReader(io.StringIO(ask(api, "csv").content.decode("utf-8-sig"))))
    assert [row["id"] for row in rows] == [LONG, EVIL]
    read = json.loads(ask(api, "json", frame_rate="29.97").content)
    assert read["frame_rate"] == "30000/1001"
    assert [moment["file"] for moment in read["moments"]] == ["long.mp4", EVIL_NAME]


def test_an_empty_list(api):
    assert api.post("/lists", {"moments": [], "format": "json"})["moments"] == []


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "lacks moments"),
        ({"moments": [LONG]}, 400, "lacks format"),
        ({"moments": LONG, "format": "edl"}, 400, "expected a list"),
        ({"moments": [3], "format": "edl"}, 400, "moments[0] is 3"),
        ({"moments": ["../etc"], "format": "edl"}, 400, "not the id of a moment"),
        ({"moments": [f"{'0' * 20}-0-100"], "format": "edl"}, 404, "no video"),
        ({"moments": [LONG], "format": "aaf"}, 400, "expected one of edl, fcpxml"),
        ({"moments": [LONG] * 1001, "format": "csv"}, 400, "at most 1000"),
        ({"moments": [LONG] * 1000, "format": "edl"}, 400, "at most 999"),
        ({"moments": [LONG], "format": "edl", "frame_rate": "17"}, 400, "frame rate"),
        ({"moments": [LONG], "format": "edl", "titel": "x"}, 400, "did you mean 'title'"),
    ],
)
def test_wrong_lists(api, body, status, message):
    assert message in api.error(status, "POST", "/lists", json=body)


def test_films_that_vanished(own_api):
    api = own_api()
    (api.library.videos / "long.mp4").write_bytes(b"no film" * 99)
    body = {"moments": [LONG], "format": "edl"}
    assert api.error(422, "POST", "/lists", json=body).startswith("long.mp4: can't be decoded")
    (api.library.videos / "long.mp4").unlink()
    assert "long.mp4 no longer exists" in api.error(404, "POST", "/lists", json=body)
