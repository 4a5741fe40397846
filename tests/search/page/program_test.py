# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The page of the real program."""

import functools
import http.server
import threading

import pytest

from mmv_tf.search.files import video_id
from mmv_tf.search.store import Writer, open_index
from tests.search.page.conftest import MOMENTS, Site, picture, serve_program


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("tmp")


@pytest.fixture(scope="module")
def site(library, tmp_path_factory, temporary, page):
    own = library.copy(tmp_path_factory.mktemp("program"))
    Writer(own.index, open_index(own.index).manifest).commit(roots={"": str(own.videos)})
    with serve_program(own.index, temporary, "--max_upload_mb=1", "--limit=2") as address:
        yield Site(address, page)
        page.open("about:blank")


def test_a_search_and_a_file_that_is_not_stored(site, temporary):
    site.open()
    assert site.search("a red square") == "2 moments, best first"
    site.page.wait("[...document.querySelectorAll('.moment img')].every(i => i.naturalWidth)")
    site.give("drop", "a.png", "image/png", picture())
    site.page.wait("[...document.querySelectorAll('.chip')].length == 2")
    site.page.wait(MOMENTS)
    # The decoding processes' socket is there.
    assert not any(path.is_file() for path in temporary.rglob("*")), "nothing was written"
    site.click(".moment .play")
    site.page.wait("document.querySelector('.stage video')?.readyState >= 2")


def test_pages_of_other_sites_see_nothing(site, tmp_path):
    """A browser shows in them nothing of what it shows in the page itself."""
    video = f"{site.address}api/v1/videos/{video_id('long.mp4')}"
    (tmp_path / "other.html").write_text(
        f"""<img id=thumbnail src="{video}/thumbnail?t=5">
        <video id=film src="{video}/media"></video>
        <script>
        window.seen = {{}};
        const see = (id, good) => {{
          const element = document.getElementById(id);
          element.addEventListener(good, () => seen[id] = 'shown');
          element.addEventListener('error', () => seen[id] = 'refused');
        }};
        see('thumbnail', 'load');
        see('film', 'loadedmetadata');
        </script>"""
    )
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        site.page.open(f"http://localhost:{other.server_port}/other.html")
        seen = site.page.wait("Object.keys(window.seen ?? {}).length == 2 && window.seen")
        other.shutdown()
    assert seen == {"thumbnail": "refused", "film": "refused"}
    site.open()
    assert site.page.run(f"fetch('{video}/thumbnail?t=5').then(answer => answer.status)") == 200


def test_nothing_comes_from_elsewhere(site):
    site.open("?q=a+red+square")
    sources = site.page.run("performance.getEntriesByType('resource').map(e => e.name)")
    assert sources
    assert [one for one in sources if not one.startswith((site.address, "data:", "blob:"))] == []
