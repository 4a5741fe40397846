# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
from PIL import Image

from mmv_tf.search import Query
from mmv_tf.search.api.searching import curve_points
from mmv_tf.search.confidence import Background
from mmv_tf.search.files import video_id
from mmv_tf.search.view import View
from tests import media_samples
from tests.search.conftest import EVIL_NAME

RED = {"queries": [{"text": "a red square"}]}


@pytest.fixture
def unfolded(monkeypatch):
    """Similar moments stay apart: which of the tiny network's are similar varies by processor."""
    monkeypatch.setattr("mmv_tf.search.moments.ALIKE", 1.1)


def test_a_sentence(api):
    found = api.post("/search", {**RED, "limit": 3})
    expected = api.searcher.search([Query("text", "a red square")], 3).moments
    assert [moment["video"]["name"] for moment in found["moments"]] == [m.video for m in expected]
    for shown, moment in zip(found["moments"], expected, strict=True):
        assert shown["start"] == pytest.approx(moment.start, abs=1e-3)
        assert shown["score"] == pytest.approx(moment.score, abs=1e-4)
        assert shown["id"].startswith(f"{video_id(moment.video)}-")
        assert shown["start"] <= shown["best"] < shown["end"]
        for name in ("thumbnail", "media"):
            assert api.client.get(shown[name]).status_code == 200
    assert not found["approximate"] and not found["nothing"]


def test_by_address(api):
    by_address = api.get("/search", q="a red square", limit=3)
    assert by_address == api.post("/search", {**RED, "limit": 3})


def test_captions_come_cue_by_cue(api):
    found = api.post("/search", {**RED, "limit": 50, "filters": {"file": "LONG"}})
    by_start = {m["start"]: m["captions"] for m in found["moments"]}
    for moment in found["moments"]:
        assert moment["video"]["name"] == "long.mp4"
        for caption in moment["captions"]:
            assert caption["start"] < moment["end"] and caption["end"] > moment["start"]
    texts = {caption["text"] for captions in by_start.values() for caption in captions}
    assert "it falls down" in texts


def test_paging_gives_each_moment_once(api):
    whole = api.post("/search", {**RED, "limit": 50})["moments"]
    assert len(whole) > 3
    pages, more, offset = [], True, 0
    while more:
        answer = api.post("/search", {**RED, "limit": 2, "offset": offset})
        pages += answer["moments"]
        more, offset = answer["more"], offset + 2
    assert pages == whole


@pytest.mark.usefixtures("unfolded")
def test_films_are_grouped(api):
    whole = api.post("/search", {**RED, "limit": 50})["moments"]
    grouped = api.post("/search", {**RED, "limit": 2, "group": "film"})
    films = list(dict.fromkeys(moment["video"]["id"] for moment in grouped["moments"]))
    assert films == list(dict.fromkeys(moment["video"]["id"] for moment in whole))[:2]
    assert grouped["more"]
    last = api.post("/search", {**RED, "limit": 2, "offset": 2, "group": "film"})
    assert {m["video"]["id"] for m in last["moments"]}.isdisjoint(films) and not last["more"]
    for film in films:
        one = [moment for moment in grouped["moments"] if moment["video"]["id"] == film]
        assert one == [moment for moment in whole if moment["video"]["id"] == film][: len(one)]


@pytest.mark.usefixtures("unfolded")
def test_filters(api):
    def names(**filters):
        found = api.post("/search", {**RED, "limit": 50, "filters": filters})
        return {moment["video"]["name"] for moment in found["moments"]}

    every = {"long.mp4", EVIL_NAME, "sub/silent.mkv"}
    assert names() == every
    assert names(folder="sub") == names(folder="sub/") == {"sub/silent.mkv"}
    assert names(folder="su") == set()
    assert names(file="ONERROR") == {EVIL_NAME}
    assert names(min_seconds=10) == {"long.mp4"}
    assert names(max_seconds=10.5) == every - {"long.mp4"}
    assert names(after="2100-01-01") == set() == names(before="1999-12-31")
    assert names(after="1999-12-31", before="2100-01-01T00:00:00Z") == every


def test_a_least_confidence(api, monkeypatch):
    red = {**RED, "within": "video", "limit": 50}
    scores = [moment["score"] for moment in api.post("/search", red)["moments"]]
    tops = Background(np.sort(np.array(scores, np.float32)))
    monkeypatch.setattr(View, "background", lambda *arguments: tops)
    whole = api.post("/search", red)
    assert not whole["nothing"]
    assert {moment["confidence"]["word"] for moment in whole["moments"]} > {"unlikely"}
    kept = api.post("/search", {**red, "min_score": 0.5})["moments"]
    assert 0 < len(kept) < len(scores)
    assert kept == [m for m in whole["moments"] if m["confidence"]["value"] >= 0.5]
    tops = Background(np.full(9, 1.1, np.float32))
    unlikely = api.post("/search", red)
    assert unlikely["nothing"] and unlikely["moments"][0]["confidence"]["value"] == 0
    none = api.post("/search", {**red, "min_score": 0.5})
    assert none["moments"] == [] and none["nothing"]
    message = api.error(400, "POST", "/search", json={**RED, "min_score": 2})
    assert "expected a confidence from 0 to 1" in message


def test_more_like_a_moment_leaves_it_out(api):
    key = f"{video_id('long.mp4')}-3200-4000"
    found = api.post("/search", {"queries": [{"moment": key}], "limit": 50})["moments"]
    assert found
    for moment in found:
        if moment["video"]["name"] == "long.mp4":
            assert moment["end"] <= 3.2 or moment["start"] >= 4.0


def test_an_upload(api):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    headers = {"x-filename": "caf%C3%A9.png"}
    made = api.client.post("/api/v1/uploads", content=file.getvalue(), headers=headers)
    assert made.status_code == 201
    upload = made.json()
    assert (upload["kind"], upload["name"]) == ("image", "café.png")
    asked = {"queries": [{"upload": upload["id"], "weight": 2}, {"text": "red"}], "limit": 2}
    found = api.post("/search", asked)["moments"]
    queries = [Query("image", file.getvalue(), 2.0), Query("text", "red")]
    expected = api.searcher.search(queries, 2).moments
    assert found[0]["score"] == pytest.approx(expected[0].score, abs=1e-4)


def test_what_is_heard(api):
    found = api.post("/search", {**RED, "within": "audio", "limit": 50})["moments"]
    assert "sub/silent.mkv" not in {moment["video"]["name"] for moment in found}


def test_curves(api):
    (moment,) = api.post("/search", {**RED, "within": "video", "limit": 1, "curves": True})[
        "moments"
    ]
    curve = moment["curve"]
    assert len(curve["times"]) == len(curve["scores"]) > 0
    assert max(curve["scores"]) == pytest.approx(moment["score"], abs=1e-4)
    assert "curve" not in api.post("/search", {**RED, "limit": 1})["moments"][0]


def test_long_curves_keep_their_peaks():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=5000).astype(np.float32)
    scores[100:120] = -np.inf
    scores[4321] = 9.0
    spans = np.stack([np.arange(5000), np.arange(5000) + 2.0], axis=1).astype(np.float32)
    curve = curve_points(scores, spans)
    assert len(curve["times"]) == 300
    assert curve["times"][np.argmax(curve["scores"])] == 4322.0
    assert curve["times"] == sorted(curve["times"])


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "no query"),
        ([], 400, "expected an object"),
        ({"queries": {}}, 400, "queries is {}; expected a list"),
        ({"queries": [{}]}, 400, "one of text, upload and moment"),
        ({"queries": [{"text": "a", "moment": "b"}]}, 400, "one of text"),
        ({"queries": [{"text": 3}]}, 400, "expected a string"),
        ({"queries": [{"text": ""}]}, 400, "1 to 1000 characters"),
        ({"queries": [{"text": "a" * 1001}]}, 400, "1 to 1000 characters"),
        ({"queries": [{"text": "xylophone"}], "within": "video"}, 422, "xylophone"),
        ({"queries": [{"text": "red", "weight": 0}]}, 400, "other than 0"),
        ({"queries": [{"text": "red", "weight": "1"}]}, 400, "weight"),
        ({"queries": [{"txt": "red"}]}, 400, "did you mean 'text'"),
        ({"queries": [{"text": "red"}] * 17}, 400, "at most 16"),
        ({"queries": [{"upload": "none"}]}, 404, "no longer exists"),
        ({"queries": [{"moment": "../../etc/passwd"}]}, 400, "not the id of a moment"),
        ({"queries": [{"moment": f"{'0' * 20}-0-10"}]}, 404, "no video"),
        ({**RED, "within": "smell"}, 400, "within is 'smell'"),
        ({**RED, "labels": ["dog"]}, 400, "this index: the index has no labels"),
        ({**RED, "labels": ["dog"] * 17}, 400, "at most 16"),
        ({**RED, "limit": 0}, 400, "1 to 100"),
        ({**RED, "limit": 101}, 400, "1 to 100"),
        ({**RED, "limit": True}, 400, "limit"),
        ({**RED, "offset": -1}, 400, "offset"),
        ({**RED, "offset": 10**9}, 400, "at most 1000"),
        ({**RED, "group": "folder"}, 400, "group"),
        ({**RED, "curves": 1}, 400, "true or false"),
        ({**RED, "filters": {"after": "yesterday"}}, 400, "expected a date"),
        ({**RED, "filters": {"after": 3}}, 400, "filters.after"),
        ({**RED, "filters": {"folders": "x"}}, 400, "did you mean 'folder'"),
        ({**RED, "filters": []}, 400, "filters"),
    ],
)  # fmt: skip
def test_wrong_searches(api, body, status, message):
    assert message in api.error(status, "POST", "/search", json=body)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"limit": ' + b"9" * 400 + b"}", "application/json", 400),
        (b'{"min_score": NaN}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"", "", 415),
        (b"q=red", "application/x-www-form-urlencoded", 415),
        (b" " * (1 << 20) + b"{}", "application/json", 413),
    ],
)
def test_wrong_bodies(api, content, kind, status):
    headers = {"content-type": kind}
    assert api.error(status, "POST", "/search", content=content, headers=headers)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "q is missing"),
        ({"q": "red", "limit": "ten"}, "whole number"),
        ({"q": "red", "limit": "-1"}, "whole number"),
        ({"q": "red", "limit": "9" * 30}, "whole number"),
        ({"q": "red", "min_score": "nan"}, "expected a number"),
        ({"q": "red", "group": "x"}, "expected film"),
        ({"q": ["red", "blue"]}, "given twice"),
        ({"q": "r" * 3000}, "at most 2000"),
        ({"q": "r\0d"}, "and no NUL"),
    ],
)
def test_wrong_addresses(api, parameters, message):
    assert message in api.error(400, "GET", "/search", params=parameters)


def test_wrong_uploads(api, tmp_path):
    assert "empty" in api.error(400, "POST", "/uploads", content=b"")
    assert "not a readable" in api.error(422, "POST", "/uploads", content=b"no film" * 100)
    large = b"x" * ((1 << 20) + 1)
    assert "larger than" in api.error(413, "POST", "/uploads", content=large)
    film = media_samples.write_film(tmp_path / "a.mp4", 0.2, audio=None)
    cut = film.read_bytes()[:300]
    headers = {"x-filename": "../../%0aevil\x7f.mp4"}
    message = api.error(422, "POST", "/uploads", content=cut, headers=headers)
    assert message.startswith("../../ evil")


def test_an_index_that_vanishes(own_api):
    api = own_api()
    api.post("/search", RED)
    for path in api.library.index.glob("manifest*"):
        path.unlink()
    for method, path, body in (
        ("GET", "/index", {}),
        ("GET", "/videos", {}),
        ("POST", "/search", {"json": RED}),
    ):
        assert "no index" in api.error(503, method, path, **body)


def test_another_model_than_the_index_is_of(own_api, caplog):
    api = own_api()
    api.searcher._embedder = None
    api.searcher._model = str(api.library.root / "gone.keras")
    assert "server's log" in api.error(503, "POST", "/search", json=RED)
    assert "gone.keras" in caplog.text


def test_a_part_of_the_index_that_is_damaged(own_api, monkeypatch, caplog):
    api = own_api()

    def fail(*arguments, **named):
        raise ValueError(f"{api.library.index}/segments/x/speech.sqlite is damaged")

    monkeypatch.setattr(api.searcher, "search", fail)
    assert "server's log" in api.error(503, "POST", "/search", json=RED)
    assert "speech.sqlite is damaged" in caplog.text
