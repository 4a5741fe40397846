# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the page for the docs, made when asked for.

MMV_TF_SEARCH_PICTURES=docs MMV_TF_SEARCH_INDEX=runs/quickstart/search_index

They show the first sentence of the recall benchmark's part "report" whose moment is found first.
"""

import json
import os
import pathlib
import urllib.parse
import urllib.request

import pytest
from PIL import Image

from benchmarks.meant_moments import read_sentences
from tests import running
from tests.search.page.conftest import MOMENTS, Site, serve_program

pytestmark = pytest.mark.skipif(
    "MMV_TF_SEARCH_PICTURES" not in os.environ, reason="only when asked for"
)
SENTENCES = running.ROOT / "benchmarks" / "bbb_sentences.tsv"
VISIBLE = """[...document.querySelectorAll('img')]
    .filter(image => image.getBoundingClientRect().top < innerHeight)"""


def first_found(address):
    """The first sentence whose best moment overlaps the meant one by half of the shorter."""
    for meant in read_sentences(SENTENCES, "report"):
        query = urllib.parse.urlencode({"q": meant.sentence, "limit": 1})
        with urllib.request.urlopen(f"{address}api/v1/search?{query}") as answer:
            moment = json.load(answer)["moments"][0]
        shared = min(meant.end, moment["end"]) - max(meant.start, moment["start"])
        shorter = min(meant.end - meant.start, moment["end"] - moment["start"])
        if shared >= 0.5 * shorter:
            return meant.sentence
    raise AssertionError("no sentence's moment is found first")


def test_pictures_for_the_docs(page, tmp_path):
    folder = pathlib.Path(os.environ["MMV_TF_SEARCH_PICTURES"]).resolve()
    index = pathlib.Path(os.environ["MMV_TF_SEARCH_INDEX"]).resolve()
    with serve_program(index, tmp_path) as address:
        site = Site(address, page)
        path = "?" + urllib.parse.urlencode({"q": first_found(address)})

        def show(width, scheme):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            page.send("Emulation.setEmulatedMedia", features=[feature])
            site.open(path, width)
            page.wait(MOMENTS)

        def take(name):
            page.wait(f"{VISIBLE}.every(image => image.complete)")
            page.run("new Promise(done => setTimeout(done, 300))")
            page.picture(tmp_path / "page.png")
            # In 256 colors it is a third as large.
            picture = Image.open(tmp_path / "page.png").convert("RGB").quantize(256)
            picture.save(folder / name, optimize=True)

        show(1400, "light")
        take("search.png")
        show(390, "light")
        take("search_phone.png")
        show(1400, "dark")
        for at in (0, 1):
            page.run(f"document.querySelectorAll('.pick input')[{at}].click()")
        site.click(".moment .play")
        page.wait("document.querySelector('.stage video')?.readyState >= 2")
        page.run("document.querySelector('.stage video').pause()")
        take("search_dark.png")
        page.run("sessionStorage.clear()")
        page.open("about:blank")
