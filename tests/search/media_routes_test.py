# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import io

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mmv_tf.search import Searcher
from mmv_tf.search.files import video_id
from mmv_tf.search.media_routes import narration, routes
from tests.search.conftest import EVIL_NAME


class Here:
    """Decodes in this process."""

    def call(self, function, name, *arguments):
        return function(*arguments)


@pytest.fixture
def own(library, tmp_path):
    """A copy of the library whose index is made to be of the copied videos, and a client."""
    library = library.copy(tmp_path)
    from mmv_tf.search.store import Writer, open_index

    Writer(library.index, open_index(library.index).manifest).commit(
        roots={"": str(library.videos)}
    )
    return library, TestClient(Starlette(routes=routes(Searcher(library.index), Here())))


def test_a_video_whole_and_in_parts(own):
    library, client = own
    data = (library.videos / EVIL_NAME).read_bytes()
    address = f"/media/{video_id(EVIL_NAME)}"
    whole = client.get(address)
    assert (whole.content, whole.headers["content-type"]) == (data, "video/mp4")
    part = client.get(address, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    assert client.get(address, headers={"range": "bytes=99999999-"}).status_code == 416


def test_a_thumbnail(own):
    _, client = own
    response = client.get(f"/thumbnail/{video_id('long.mp4')}?t=5")
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (270, 180)
    for time in ("99999", "-3", "0.04"):
        address = f"/thumbnail/{video_id('long.mp4')}?t={time}"
        assert client.get(address).status_code == 200
    for time in ("x", "nan", "inf"):
        address = f"/thumbnail/{video_id('long.mp4')}?t={time}"
        assert client.get(address).status_code in (200, 404)


@pytest.mark.parametrize("kind", ["media", "thumbnail"])
def test_no_path_is_an_address(own, kind):
    library, client = own
    (library.root / "secret.mp4").write_bytes(b"secret")
    names = [
        "../secret.mp4",
        "..%2fsecret.mp4",
        "%2e%2e/secret.mp4",
        "..%5csecret.mp4",
        str(library.root / "secret.mp4"),
        "%2fetc%2fpasswd",
        "long.mp4",
        "damaged.mp4",
        video_id("damaged.mp4"),
        video_id("../secret.mp4"),
        "",
    ]
    for name in names:
        response = client.get(f"/{kind}/{name}")
        assert response.status_code == 404, name
        assert b"secret" not in response.content


def test_links_made_after_indexing_lead_nowhere(own):
    library, client = own
    secret = library.root / "secret.mp4"
    secret.write_bytes(b"secret")
    film = library.videos / "long.mp4"
    film.unlink()
    film.symlink_to(secret)
    for kind in ("media", "thumbnail"):
        assert client.get(f"/{kind}/{video_id('long.mp4')}").status_code == 404
    (library.videos / "sub").rename(library.root / "moved")
    (library.videos / "sub").symlink_to(library.root / "moved")
    assert client.get(f"/media/{video_id('sub/silent.mkv')}").status_code == 404


def test_the_index_or_a_file_is_gone(own):
    library, client = own
    (library.videos / "long.mp4").unlink()
    assert client.get(f"/media/{video_id('long.mp4')}").status_code == 404
    for path in library.index.glob("manifest*"):
        path.unlink()
    assert client.get(f"/media/{video_id(EVIL_NAME)}").status_code == 404


def test_narration(own):
    library, _ = own
    found = Searcher(library.index).video(video_id("long.mp4"))
    assert narration(*found, 7.0, 8.0) == "it falls down"
    assert narration(*found, 5.0, 8.0).startswith("<img src=x onerror=alert(2)> the red square it")
    (library.videos / "long.vtt").write_text("broken")
    assert narration(*found, 7.0, 8.0) == ""
    (library.videos / "long.vtt").unlink()
    (library.videos / "long.vtt").symlink_to("/etc/passwd")
    assert narration(*found, 7.0, 8.0) == ""
