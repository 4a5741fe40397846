# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, served by the real program."""

import contextlib
import dataclasses
import functools
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from mmv_tf.pretrained import create_model
from mmv_tf.search import Embedder, update_index
from mmv_tf.search.files import video_id
from mmv_tf.search.store import Writer, open_index
from tests import media_samples, programs, small_world
from tests.search import chromium
from tests.search.conftest import EVIL_NAME, HERE

pytestmark = pytest.mark.skipif(
    chromium.executable() is None, reason=f"none of {', '.join(chromium.NAMES)} is installed"
)
pytest.importorskip("nicegui", reason="the extra 'search' is not installed")

MOMENTS = "document.querySelectorAll('.moment').length"
STATUS = "document.querySelector('.status')?.innerText"
READY = "document.querySelector('.sentence input') && window.socket?.connected !== false"


@dataclasses.dataclass(frozen=True)
class Site:
    """The page, its server's files and a browser."""

    address: str
    videos: pathlib.Path
    index: pathlib.Path
    temporary: pathlib.Path  # Where the server would put what it stores.
    page: chromium.Page

    def open(self):
        self.page.resize(1100, 900)
        self.page.open(self.address)
        self.page.wait(READY)

    def search(self, sentence):
        """Types a sentence, as a user does; waits for the answer."""
        self.page.run("document.querySelector('.sentence input').focus()")
        self.page.run("document.querySelector('.sentence input').select()")
        self.page.write(sentence)
        self.page.run(
            """window.said = [];
            new MutationObserver(() => said.push(document.querySelector('.status').innerText))
              .observe(document.querySelector('.status'),
                       {childList: true, characterData: true, subtree: true});"""
        )
        self.page.press("Enter")
        return self.page.wait("!['', 'Searching…', undefined].includes(said.at(-1)) && said.at(-1)")


@contextlib.contextmanager
def serve(index, videos, root, *flags):
    """The page of an index, in a browser."""
    temporary = root / "tmp"
    temporary.mkdir()
    # NiceGUI behaves otherwise where it sees that variable.
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    command = [sys.executable, "-m", "binaries.search", "serve", f"--index={index}"]
    process = subprocess.Popen(
        [*command, "--http_port=0", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=programs.ROOT,
        env={**environment, "TMPDIR": str(temporary)},
    )
    try:
        # The browser starts while the network is loaded.
        with chromium.browser(root / "profile") as page:
            printed = []
            for line in process.stdout:
                printed.append(line)
                if "Search page: " in line:
                    break
            else:
                raise RuntimeError("".join(printed))
            yield Site(printed[-1].split()[-1], videos, index, temporary, page)
            assert page.dialogs == [], "no script of a name, caption or upload ever ran"
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert rest.strip() == "Stopped."


@pytest.fixture(scope="module")
def site(library, tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    own = library.copy(root)
    Writer(own.index, open_index(own.index).manifest).commit(roots={"": str(own.videos)})
    with serve(own.index, own.videos, root, "--max_upload_mb=1") as site:
        yield site


def test_searching_by_keyboard_plays_at_the_right_second(site):
    site.open()
    page = site.page
    assert "3 videos" in page.run("document.querySelector('.about').innerText")
    page.press("/", "/")
    page.write("a red square")
    page.press("Enter")
    count = page.wait(MOMENTS)
    assert page.run(STATUS) == f"{count} moments, best first."
    # The third moment, whatever it is.
    for _ in range(3):
        page.press("ArrowDown")
    label = page.run("document.activeElement.getAttribute('aria-label')")
    start = page.run("document.activeElement.querySelector('.times').innerText").split(" ")[0]
    minutes, seconds = start.split(":")
    page.press("Enter")
    page.wait("document.querySelector('video')?.readyState >= 2")
    assert page.run("document.querySelector('video').error") is None
    page.run("document.querySelector('video').pause()")
    played = page.run("document.querySelector('video').currentTime")
    wanted = 60 * int(minutes) + float(seconds)
    assert wanted - 0.05 <= played < wanted + 2.0
    assert page.run("document.querySelector('.stage .name').innerText").split(" · ")[0] in label
    # A click in the middle of the time line plays the middle.
    box = page.run(
        "(() => { const b = document.querySelector('.stage .curve').getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    address = page.run("document.querySelector('video').src")
    for kind in ("mousePressed", "mouseReleased"):
        page.send(
            "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1
        )
    page.wait(f"document.querySelector('video')?.src != '{address}'")
    page.wait("document.querySelector('video').readyState >= 1")
    middle = page.run("document.querySelector('video').duration") / 2
    page.wait(f"document.querySelector('video').currentTime >= {middle} - 0.3")
    page.press("Escape")
    page.wait("document.querySelector('video').paused")


def test_the_right_frame_is_shown(site):
    """The film's picture says which frame it is, so a player that starts elsewhere is found out."""
    site.open()
    page = site.page
    site.search("a red square")
    index = page.run(
        "[...document.querySelectorAll('.moment')].findIndex("
        "m => m.querySelector('.name').innerText == 'long.mp4')"
    )
    page.run(f"document.querySelectorAll('.moment')[{index}].click()")
    page.wait("document.querySelector('video')?.readyState >= 2")
    greys = page.run(
        """(async () => {
          const video = document.querySelector('video');
          video.pause();
          const time = video.currentTime;
          await new Promise((done) => { video.onseeked = done; video.currentTime = time + 1e-4; });
          const canvas = document.createElement('canvas');
          canvas.width = video.videoWidth; canvas.height = video.videoHeight;
          const context = canvas.getContext('2d');
          context.drawImage(video, 0, 0);
          const grey = (x) => context.getImageData(x, canvas.height - 8, 1, 1).data[0];
          return [time, grey(canvas.width / 4), grey(canvas.width * 3 / 4)];
        })()"""
    )
    number = round((greys[1] - 10) / 20) * 10 + round((greys[2] - 10) / 20)
    assert abs(number - int(greys[0] * 24) % 120) <= 1


def test_thumbnails_narration_and_time_lines(site):
    site.open()
    page = site.page
    site.search("a red square")
    page.wait(
        "[...document.querySelectorAll('.moment img')].slice(0, 2).every(i => i.naturalWidth)"
    )
    assert page.run("document.querySelectorAll('.moment svg polyline').length") == page.run(MOMENTS)
    texts = page.run("[...document.querySelectorAll('.said')].map(e => e.textContent)")
    assert any(text.startswith("<img src=x onerror=alert(2)> the red square") for text in texts)


def test_names_and_captions_are_texts(site):
    site.open()
    site.search("a red square")
    names = site.page.run("[...document.querySelectorAll('.moment .name')].map(e => e.textContent)")
    assert EVIL_NAME in names
    assert site.page.run("document.querySelectorAll('[onerror]').length") == 0
    # Played, the name is in the stage too.
    at = names.index(EVIL_NAME)
    site.page.run(f"document.querySelectorAll('.moment')[{at}].click()")
    site.page.wait("!!document.querySelector('.stage .name')")
    assert site.page.run("document.querySelectorAll('[onerror]').length") == 0
    assert site.page.dialogs == []


def test_pages_of_other_sites_see_nothing(site, tmp_path):
    """A browser shows in them nothing of what it shows in the page itself."""
    key = video_id("long.mp4")
    (tmp_path / "other.html").write_text(
        f"""<img id=thumbnail src="{site.address}thumbnail/{key}?t=5">
        <video id=film src="{site.address}media/{key}"></video>
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
    assert site.page.run(f"fetch('/thumbnail/{key}?t=5').then(answer => answer.status)") == 200


def test_uploads_are_searched_for_and_not_stored(site, tmp_path):
    site.open()
    page = site.page
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "<b>picture.png")
    media_samples.write_wav(tmp_path / "tone.wav", media_samples.tone(1.0, 48_000, 0.0))
    clip = media_samples.write_film(tmp_path / "a.mp4", 0.8, codec="libx264", size=(96, 64))
    files = {
        "image: <b>picture.png": tmp_path / "<b>picture.png",
        "audio file: tone.wav": tmp_path / "tone.wav",
        "clip: a.mp4": clip,
    }
    for label, path in files.items():
        assert path.stat().st_size < 1 << 20
        page.upload(".upload input[type=file]", path)
        page.wait(f"document.querySelector('.chip')?.innerText.includes({label!r})")
        page.wait(MOMENTS)
    best = page.run("document.querySelector('.moment .times').innerText")
    assert best.endswith("· 1.00"), "the clip finds the films that begin alike"
    # Taken away again, there is nothing to search for.
    page.run("document.querySelector('.chip .q-chip__icon--remove').click()")
    page.wait("!document.querySelector('.chip') || !document.querySelector('.chip').offsetParent")
    page.run("document.querySelector('.go').click()")
    page.wait(f"{STATUS}.startsWith('Write what happens')")
    # The decoding processes' socket is there.
    assert not any(path.is_file() for path in site.temporary.rglob("*")), "nothing was written"


def test_wrong_files_are_refused(site, tmp_path):
    site.open()
    page = site.page
    (tmp_path / "notes.mp4").write_text("this is no film")
    page.upload(".upload input[type=file]", tmp_path / "notes.mp4")
    page.wait(f"{STATUS} == 'notes.mp4: is not a readable image, audio or video file; "
              "give another file.'")  # fmt: skip
    (tmp_path / "large.png").write_bytes(b"x" * (3 << 20))
    page.upload(".upload input[type=file]", tmp_path / "large.png")
    page.wait(f"{STATUS}.includes('larger than 1 MB')")
    # The browser's check can be gone round; the server's can not.
    status = page.run(
        f"fetch('/_nicegui/client/x/upload/1', {{method: 'POST', body: 'x'.repeat({3 << 20})}})"
        ".then(r => r.status)"
    )
    assert status == 413
    # All goes on.
    assert "moments" in site.search("a red square")


def test_empty_results(site):
    site.open()
    assert "knows none of the words" in site.search("xylophone")
    assert site.page.run(MOMENTS) == 0
    assert site.search(" ").startswith("Write what happens")


def test_a_phone(site):
    site.open()
    site.page.resize(390, 844, phone=True)
    site.search("a red square")
    site.page.wait(MOMENTS)
    assert site.page.run("document.documentElement.scrollWidth") == 390
    widths = site.page.run(
        "[...document.querySelectorAll('.moment, .go, .sentence')].map(e => e.offsetWidth)"
    )
    assert all(0 < width <= 390 for width in widths)
    assert site.page.run("getComputedStyle(document.body).fontSize") == "16px"


def test_nothing_comes_from_elsewhere(site):
    site.open()
    site.search("a red square")
    sources = site.page.run("performance.getEntriesByType('resource').map(e => e.name)")
    assert sources
    allowed = (site.address, "data:", "blob:", site.address.replace("http", "ws"))
    assert [source for source in sources if not source.startswith(allowed)] == []


def test_an_index_that_vanishes_while_the_page_is_open(site):
    site.open()
    page = site.page
    site.search("a red square")
    media = page.run("document.querySelector('.moment img').src")
    shutil.move(site.index, site.index.with_name("away"))
    try:
        assert site.search("a square") == "The index was deleted."
        assert "binaries.search index" in page.run("document.querySelector('.hint').innerText")
        assert page.run(f"fetch({media!r} + '1').then(r => r.status)") == 404
        page.open(site.address)
        page.wait("document.querySelector('.about')?.innerText.startsWith('There is no index yet')")
    finally:
        shutil.move(site.index.with_name("away"), site.index)
    assert "moments" in site.search("a red square")


@pytest.mark.slow
def test_what_the_network_cannot_take_is_not_offered(library, tmp_path):
    config = small_world.model_config()
    del config.audio
    model = tmp_path / "wordless.keras"
    create_model(config).save(model)
    index = tmp_path / "index"
    update_index(library.videos, index, Embedder.load(model), options=HERE)
    with serve(index, library.videos, tmp_path) as site:
        site.open()
        shown = "[...document.querySelectorAll('.sentence, .q-btn-toggle, .upload')].filter(e => "
        shown += "e.offsetParent).map(e => e.className.split(' ').at(-1))"
        assert site.page.run(shown) == ["upload"]
        assert "an image or a clip, up to 64 MB" in site.page.run(
            "document.querySelector('.upload').innerText"
        )
        about = site.page.run("document.querySelector('.about').innerText")
        assert "3 videos" in about and "to write" not in about


@pytest.mark.skipif("MMV_TF_SEARCH_PICTURE" not in os.environ, reason="only when asked for")
def test_picture_for_the_docs(tmp_path):
    """Makes docs/search.png of the quickstart's index.

    MMV_TF_SEARCH_PICTURE=docs/search.png MMV_TF_SEARCH_INDEX=runs/quickstart/search_index
    """
    index = pathlib.Path(os.environ["MMV_TF_SEARCH_INDEX"]).resolve()
    with serve(index, index, tmp_path) as site:
        site.open()
        site.page.resize(1200, 1050)
        site.search("squirrels on a tree")
        site.page.wait("!!document.querySelector('.moment')")
        site.page.run("document.querySelector('.moment').click()")
        site.page.wait("document.querySelector('video')?.readyState >= 2")
        pictures = "[...document.querySelectorAll('.moment img')].slice(0, 8)"
        site.page.wait(f"{pictures}.every(i => i.naturalWidth)")
        site.page.picture(tmp_path / "page.png")
    # In 256 colours it is a third as large.
    picture = Image.open(tmp_path / "page.png").convert("RGB").quantize(256)
    picture.save(os.environ["MMV_TF_SEARCH_PICTURE"], optimize=True)
