# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Functions of the page's modules, in a browser."""

import json

import numpy as np
import pytest

from tests.search.api.conftest import serve
from tests.search.page.conftest import Site, serve_here


@pytest.fixture(scope="module")
def site(library, tmp_path_factory, page):
    api = serve(library.copy(tmp_path_factory.mktemp("modules")))
    with serve_here(api.app) as address:
        site = Site(address, page)
        site.open()
        yield site
        page.open("about:blank")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "?q=a+dog",
        "?q=a+dog&q=%3Cb%3E+%26+%2B&like=0123-0-1000&label=bark%3A0.7&within=speech",
        "?q=x&folder=a%2Fb&file=c&min_seconds=60&max_seconds=90.5&after=2026-01-31&before=2026-02-28",
        "?view=videos&state=skipped&page=7",
        "?q=a&upload=image&group=film&page=2",
    ],
)
def test_an_address_is_kept(site, address):
    assert site.module("state.js", f"m.format(m.parse({json.dumps(address)}))") == address


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("?q=+&q=a", "?q=a"),
        ("?label=bark", "?label=bark%3A0.5"),
        ("?label=a%3Ab", "?label=a%3Ab%3A0.5"),
        ("?label=a%3A7", "?label=a%3A7%3A0.5"),
        ("?min_seconds=many&page=-3&view=x&state=y&group=z", ""),
        ("?page=1e99", ""),
        ("?unknown=1", ""),
    ],
)
def test_a_strange_address_is_mended(site, address, kept):
    assert site.module("state.js", f"m.format(m.parse({json.dumps(address)}))") == kept


def test_a_request(site):
    address = "?q=a&like=b-0-1&label=c%3A0.25&within=audio&file=d&group=film"
    assert site.module("state.js", f"m.request(m.parse({json.dumps(address)}))") == {
        "queries": [{"text": "a"}, {"moment": "b-0-1"}],
        "curves": True,
        "within": "audio",
        "labels": ["c:0.25"],
        "filters": {"file": "d"},
        "group": "film",
    }
    assert site.module("state.js", "m.request(m.parse('?file=d'))") is None
    assert site.module("state.js", "m.request(m.parse('?upload=image'))") is None
    upload = "[{id: 'u', kind: 'image', name: 'n'}]"
    asked = site.module("state.js", f"m.request(m.parse('?upload=image', {upload}))")
    assert asked["queries"] == [{"upload": "u"}]


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("clock(0)", "0:00.0"),
        ("clock(59.96)", "1:00.0"),
        ("clock(3723.45)", "1:02:03.5"),
        ("length(596.458)", "9:56"),
        ("bytes(999)", "999 B"),
        ("bytes(1500)", "1.5 kB"),
        ("bytes(67108864)", "67 MB"),
        ("counted(1, 'video')", "1 video"),
        ("counted(12345, 'window')", "12,345 windows"),
        ("split('a/b/c.mp4')", ["c.mp4", "a/b"]),
        ("listed(['text', 'image', 'video', 'audio'])", "an image, a clip or a sound"),
        ("listed(['video'])", "a clip"),
        ("date('nothing')", ""),
        ("date('2026-01-31T12:00:00Z')", "31 Jan 2026"),
    ],
)
def test_numbers_and_names(site, call, shown):
    assert site.module("format.js", f"m.{call}") == shown


def test_curves_share_a_scale(site):
    rng = np.random.default_rng(0)
    curves = [
        {"times": [1.0, 2.0, 4.0], "scores": [round(float(s), 3) for s in scores]}
        for scores in rng.normal(size=(3, 3))
    ]
    scores = np.array([curve["scores"] for curve in curves])
    moments = json.dumps([{"curve": curve} for curve in [*curves, None]])
    scale = site.module("curves.js", f"m.scaleOf({moments})")
    assert scale == {"low": scores.min(), "high": scores.max()}
    for curve in curves:
        drawn = site.module("curves.js", f"m.points({json.dumps(curve)}, 8, {json.dumps(scale)})")
        x, y = np.array([pair.split(",") for pair in drawn.split()], float).T
        np.testing.assert_allclose(x, np.array(curve["times"]) / 8 * 400, atol=0.06)
        share = (np.array(curve["scores"]) - scores.min()) / np.ptp(scores)
        np.testing.assert_allclose(y, 46 - 43 * share, atol=0.06)
    flat = site.module("curves.js", "m.scaleOf([{curve: {times: [1], scores: [0.2]}}])")
    assert flat == {"low": pytest.approx(-0.3), "high": pytest.approx(0.7)}
    assert site.module("curves.js", "m.scaleOf([])") == {"low": 0, "high": 1}


def test_what_there_is_to_search_in(site):
    for within, offered in (
        (["video"], ["video"]),
        (["video", "audio"], ["video", "audio"]),
        (["audio", "video", "speech", "all"], ["all", "video", "audio", "speech"]),
    ):
        assert site.module("asking.js", f"m.choices({json.dumps(within)})") == offered


def test_strings_are_never_html(site):
    evil = json.dumps("<img src=x onerror=alert(3)>")
    made = f"m.make('p.a.b', {{title: {evil}}}, {evil}, m.make('b', {{}}, {evil}))"
    assert site.module("dom.js", f"{made}.textContent") == 2 * json.loads(evil)
    assert site.module("dom.js", f"{made}.querySelectorAll('img').length") == 0
    refused = site.page.run(
        "(() => { try { document.body.innerHTML = 'x'; return false } catch { return true } })()"
    )
    assert refused, "the policy lets no string become HTML"
