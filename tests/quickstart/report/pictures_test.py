# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images of the report for the docs, and the page of all test sentences, generated on request.

MMV_TF_QUICKSTART_PICTURES=docs MMV_TF_QUICKSTART_RUN=runs/quickstart

docs/quickstart.png shows all test sentences whose own moment ranks first; the page shows all test
sentences.
"""

import io
import json
import os
import pathlib

import pytest
from PIL import Image

from mmv_tf.quickstart.report.moments import BEST, narrations
from mmv_tf.quickstart.report.results import Run
from mmv_tf.quickstart.report.statements import clock
from tests.search import chromium

pytestmark = pytest.mark.skipif(
    "MMV_TF_QUICKSTART_PICTURES" not in os.environ, reason="only on request"
)
WIDTH = 900
# Keeps only the rows of the chosen sentences, in the order of the film.
SHOW = """((chosen, columns) => {
  const rows = new Map([...document.querySelectorAll('.query:has(.verdict)')].map(
    row => [row.querySelector('q').textContent, row]));
  document.body.replaceChildren(...chosen.map(sentence => rows.get(sentence)));
  document.body.style.padding = '1rem';
  document.documentElement.style.overflow = 'hidden';
  document.querySelectorAll('.strip').forEach(
    strip => strip.style.gridTemplateColumns = `repeat(${columns}, 1fr)`);
  document.querySelectorAll('.play').forEach(mark => mark.textContent = mark.textContent.slice(2));
})"""
HEAD = """# All test sentences of the quickstart

[The quickstart](quickstart.md)'s model was not trained on these {count} clips and their
narrations. For each narration it ranks all {count} clips. The narration's own clip comes first for
{first} of them (by chance, 1), and is among the first {best} for {near} (by chance, {best}).
[The image on the first page](index.md) shows exactly those {first}; this page shows all, in the
order of the film. If another clip comes first, it may still match the sentence.

| | time | sentence | rank of its clip | first clip, if it is another |
|---|---|---|---|---|
"""
TAIL = """
The same with images: the four best clips, and the correct clip, framed in green.

![Frames of the clips found for each test sentence](quickstart_sentences.jpg)

Film: *Big Buck Bunny*, © 2008 Blender Foundation, www.bigbuckbunny.org,
[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/).
"""


def written_page(queries) -> str:
    count = len(queries)
    first = [query for query in queries if query.rank == 1]
    near = sum(query.rank <= BEST for query in queries)
    lines = [HEAD.format(count=count, first=len(first), best=BEST, near=near)]
    for query in queries:
        right = next(moment for moment in query.moments if moment.is_right)
        mark, instead = ("✓", "") if query.rank == 1 else ("✗", query.moments[0].caption)
        lines.append(
            f"| {mark} | {clock(right.start)} | {query.sentence} | {query.rank} | {instead} |\n"
        )
    return "".join([*lines, TAIL])


def test_pictures_and_the_page_for_the_docs(tmp_path):
    folder = pathlib.Path(os.environ["MMV_TF_QUICKSTART_PICTURES"]).resolve()
    work = pathlib.Path(os.environ["MMV_TF_QUICKSTART_RUN"]).resolve()
    queries = narrations(Run.read(work))
    (folder / "quickstart_sentences.md").write_text(written_page(queries), encoding="utf-8")
    first = [query.sentence for query in queries if query.rank == 1]
    everything = [query.sentence for query in queries]
    with chromium.browser(tmp_path / "profile") as page:
        page.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "light"}],
        )
        for name, chosen, columns in (
            ("quickstart.png", first, BEST),
            ("quickstart_sentences.jpg", everything, BEST + 1),
        ):
            page.resize(WIDTH, 600)
            page.open((work / "report.html").as_uri())
            page.run(f"{SHOW}({json.dumps(chosen)}, {columns})")
            page.resize(WIDTH, page.run("document.documentElement.scrollHeight"))
            page.picture(tmp_path / "page.png")
            picture = Image.open(io.BytesIO((tmp_path / "page.png").read_bytes())).convert("RGB")
            if name.endswith(".png"):
                # With 256 colors, the file is a third of the size.
                picture.quantize(256).save(folder / name, optimize=True)
            else:
                picture.save(folder / name, quality=65, optimize=True, progressive=True)
