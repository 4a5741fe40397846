# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import io

import pytest
from PIL import Image

from mmv_tf.search.files import video_id
from tests.search.conftest import EVIL_NAME

VIDEOS = "/api/v1/videos"


def test_a_video_whole_and_in_parts(api):
    data = (api.library.videos / EVIL_NAME).read_bytes()
    address = f"{VIDEOS}/{video_id(EVIL_NAME)}/media"
    whole = api.client.get(address)
    assert (whole.content, whole.headers["content-type"]) == (data, "video/mp4")
    part = api.client.get(address, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    assert api.client.get(address, headers={"range": "bytes=99999999-"}).status_code == 416


def test_a_thumbnail(api):
    address = f"{VIDEOS}/{video_id('long.mp4')}/thumbnail"
    response = api.client.get(f"{address}?t=5")
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (270, 180)
    for time in ("99999", "-3", "0.04"):
        assert api.client.get(f"{address}?t={time}").status_code == 200
    for time in ("x", "nan", "inf"):
        assert api.client.get(f"{address}?t={time}").status_code == 400


@pytest.mark.parametrize("kind", ["media", "thumbnail"])
def test_what_is_not_indexed_is_not_there(api, kind):
    for name in ("damaged.mp4", "../secret.mp4"):
        assert api.client.get(f"{VIDEOS}/{video_id(name)}/{kind}").status_code == 404


def test_links_made_after_indexing_lead_nowhere(own_api):
    api = own_api()
    library = api.library
    secret = library.root / "secret.mp4"
    secret.write_bytes(b"secret")
    film = library.videos / "long.mp4"
    film.unlink()
    film.symlink_to(secret)
    for kind in ("media", "thumbnail"):
        answer = api.client.get(f"{VIDEOS}/{video_id('long.mp4')}/{kind}")
        assert answer.status_code == 404 and b"secret" not in answer.content
    (library.videos / "sub").rename(library.root / "moved")
    (library.videos / "sub").symlink_to(library.root / "moved")
    assert api.client.get(f"{VIDEOS}/{video_id('sub/silent.mkv')}/media").status_code == 404


def test_the_index_or_a_file_is_gone(own_api):
    api = own_api()
    (api.library.videos / "long.mp4").unlink()
    assert api.client.get(f"{VIDEOS}/{video_id('long.mp4')}/media").status_code == 404
    for path in api.library.index.glob("manifest*"):
        path.unlink()
    assert api.client.get(f"{VIDEOS}/{video_id(EVIL_NAME)}/media").status_code == 404
