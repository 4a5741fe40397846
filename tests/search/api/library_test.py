# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import io

import pytest
from PIL import Image

from mmv_tf.search.files import video_id
from tests.search.conftest import EVIL_NAME


def test_the_index(api):
    about = api.get("/index")
    manifest = api.searcher.open().manifest
    assert (about["videos"], about["skipped"]) == (3, 1)
    assert about["windows"] == manifest.rows and about["generation"] == manifest.generation
    assert about["within"] == ["video", "audio", "speech", "all"]
    assert about["labels"] == []
    assert set(about["accepts"]) == {"text", "audio", "image", "video"}
    assert about["limits"]["upload_bytes"] == 1 << 20


def test_all_files_are_listed_and_what_failed_says_why(api):
    listed = api.get("/videos")
    names = [video["name"] for video in listed["videos"]]
    assert names == sorted(["long.mp4", EVIL_NAME, "sub/silent.mkv", "damaged.mp4"])
    assert (listed["total"], listed["folders"]) == (4, ["sub"])
    by_name = {video["name"]: video for video in listed["videos"]}
    damaged = by_name["damaged.mp4"]
    assert damaged["state"] == "skipped" and "can't be decoded" in damaged["reason"]
    assert str(api.library.root) not in str(listed)
    long = by_name["long.mp4"]
    assert long["seconds"] == pytest.approx(12, abs=0.1) and long["captions"]
    assert long["date"].endswith("Z") and long["windows"] > 1
    assert api.get(f"/videos/{long['id']}") == long


def test_a_part_of_the_list(api):
    listed = api.get("/videos", offset=1, limit=2)
    assert listed["total"] == 4
    assert listed["videos"] == api.get("/videos")["videos"][1:3]
    assert api.get("/videos", offset=99)["videos"] == []
    assert {v["name"] for v in api.get("/videos", state="skipped")["videos"]} == {"damaged.mp4"}
    assert api.get("/videos", folder="sub")["total"] == 1
    assert api.get("/videos", file="LONG")["total"] == 1
    assert api.get("/videos", min_seconds=10, state="indexed")["total"] == 1
    assert api.get("/videos", max_seconds=10)["total"] == 2
    assert api.get("/videos", after="2100-01-01")["total"] == 0
    assert api.get("/videos", before="2100-01-01")["total"] == 4
    api.error(400, "GET", "/videos", params={"after": "yesterday"})
    api.error(400, "GET", "/videos", params={"limit": 0})
    api.error(400, "GET", "/videos", params={"state": "lost"})


def test_a_video_and_a_picture_of_it(api):
    key = video_id("long.mp4")
    data = (api.library.videos / "long.mp4").read_bytes()
    address = f"/api/v1/videos/{key}/media"
    assert api.client.get(address).content == data
    part = api.client.get(address, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    picture = api.client.get(f"/api/v1/videos/{key}/thumbnail?t=5")
    assert Image.open(io.BytesIO(picture.content)).size == (270, 180)
    api.error(400, "GET", f"/videos/{key}/thumbnail?t=nan")


@pytest.mark.parametrize("kind", ["", "/media", "/thumbnail"])
def test_no_path_is_an_address(api, kind):
    (api.library.root / "secret.mp4").write_bytes(b"its content")
    names = [
        "../secret.mp4",
        "..%2fsecret.mp4",
        "%2e%2e/secret.mp4",
        "..%5csecret.mp4",
        f"%2f{api.library.root}/secret.mp4",
        "%2fetc%2fpasswd",
        "long.mp4",
        video_id("../secret.mp4"),
    ]
    for name in names:
        answer = api.client.get(f"/api/v1/videos/{name}{kind}")
        assert answer.status_code == 404, name
        assert b"its content" not in answer.content
        assert "error" in answer.json()


def test_films_that_vanished(own_api):
    api = own_api()
    (api.library.videos / "long.mp4").unlink()
    key = video_id("long.mp4")
    api.error(404, "GET", f"/videos/{key}/media")
    api.error(404, "GET", f"/videos/{key}/thumbnail")
    # The index still lists it, until it is updated.
    assert api.get(f"/videos/{key}")["name"] == "long.mp4"
