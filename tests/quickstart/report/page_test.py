# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The page: complete, escaped, readable on a phone; its clips play."""

import html.parser
import json

import pytest

from mmv_tf.quickstart import report
from mmv_tf.quickstart.report.results import Run
from tests import media_samples
from tests.quickstart.report.made_runs import RECORD, SECONDS, make_run
from tests.search import chromium

HOSTILE = '<script>alert("x")</script> & "quotes"'


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A folder with a film and its report, and the page's text."""
    film = media_samples.write_film(tmp_path / "my film.mp4", seconds=SECONDS)
    run = make_run(captions=[HOSTILE if n == 2 else f"narration {n}" for n in range(16)])
    monkeypatch.setattr(Run, "read", lambda work: run)
    results = report.write(tmp_path, film, RECORD)
    return tmp_path, results, (tmp_path / "report.html").read_text(encoding="utf-8")


class _Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_is_whole_escaped_and_described(written):
    work, results, page = written
    assert json.loads((work / "results.json").read_text()) == json.loads(json.dumps(results))
    assert results["training"]["held_out"]["text_to_video/mean_rank"] == [(50, 4.0), (100, 2.5)]
    parser = _Tags()
    parser.feed(page)
    tags = [tag for tag, _ in parser.found]
    assert tags.count("script") == 1 and HOSTILE not in page
    pictures = [values for tag, values in parser.found if tag == "img"]
    assert all(values["alt"].startswith("Frame at 0:") for values in pictures)
    assert all(values["src"].startswith("data:image/jpeg;base64,") for values in pictures)
    for tag, values in parser.found:
        assert tag != "svg" or values["aria-label"]
    # 8 test sentences, of which 5 find their own moment first.
    assert page.count("✓ correct moment ranked first") == 5 and "5 of 8" in page
    assert page.count("</details>") == 1
    assert "http" not in page, "the page needs nothing from elsewhere"
    assert "50 % [25, 75]" in report.summary(results)


def test_clips_play_and_nothing_is_wider_than_a_phone(written, tmp_path_factory):
    work, _, _ = written
    if chromium.executable() is None:
        pytest.skip(f"none of {', '.join(chromium.NAMES)} is installed")
    with chromium.browser(tmp_path_factory.mktemp("browser") / "profile") as page:
        page.resize(390, 800, phone=True)
        page.open((work / "report.html").as_uri())
        assert page.run("document.documentElement.scrollWidth") <= 390
        grounds = []
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            page.send("Emulation.setEmulatedMedia", features=features)
            grounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
        assert grounds == ["rgb(255, 255, 255)", "rgb(20, 24, 29)"]

        page.run("document.querySelectorAll('a.moment')[0].click()")
        assert page.run("document.getElementById('player').open")
        assert page.run("document.querySelector('video').src").endswith(
            "/my%20film.mp4#t=3.00,4.50"
        )
        assert page.run("document.querySelector('.title').textContent") == f"0:03 – {HOSTILE}"
        page.wait("document.querySelector('video').currentTime > 3.1")
        assert page.run("document.querySelector('.missing').hidden")

        (work / "my film.mp4").rename(work / "moved.mp4")
        page.run("document.getElementById('player').close()")
        page.run("document.querySelectorAll('a.moment')[1].click()")
        page.wait("!document.querySelector('.missing').hidden")
        page.upload("#player input", work / "moved.mp4")
        page.wait("document.querySelector('video').currentTime > 0.1")
        assert page.run("document.querySelector('.missing').hidden")
        assert not page.dialogs
