# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import shutil

import numpy as np
import pytest
from PIL import Image

from mmv_tf.search import Query, Searcher, update_index
from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.queries import embed_query, kind_of_bytes, parse_span
from mmv_tf.search.similar import Similar
from mmv_tf.search.store import MissingIndex, open_index
from tests import media_samples
from tests.search.conftest import EVIL_NAME, HERE


@pytest.fixture(scope="module")
def searcher(library):
    found = Searcher(library.index)
    found._embedder = library.embedder
    return found


def best_score(library, asked):
    """The highest score of any window, naively."""
    index = open_index(library.index)
    total = sum(abs(weight) for _, _, weight in asked)
    best = -2.0
    for video in index.manifest.videos:
        if not video.has_audio and any(matrix.startswith("audio") for matrix, _, _ in asked):
            continue
        segment = index.segments[video.segment]
        for row in range(video.first, video.first + video.count):
            score = sum(
                weight * float(np.dot(segment.array(matrix)[row], vector))
                for matrix, vector, weight in asked
            )
            best = max(best, score / total)
    return best


def names(moments):
    """The names of moments' videos, and of those folded into them."""
    return {place.video for moment in moments for place in (moment, *moment.also)}


def test_a_sentence_finds_its_nearest_windows(library, searcher):
    answer = searcher.search([Query("text", "The red square falls!", within=VISION)], 3)
    vector = library.embedder.sentence("the red square falls")["vat"]
    expected = best_score(library, [("video.vat", vector, 1.0)])
    assert answer.moments[0].score == pytest.approx(expected, abs=1e-5)
    assert not answer.approximate
    scores = [moment.score for moment in answer.moments]
    assert scores == sorted(scores, reverse=True)


def test_a_clip_finds_itself(library, searcher):
    query = Query("video", f"{library.videos / 'long.mp4'}@3.2-4.0")
    (moment,) = searcher.search([query], 1).moments
    assert (moment.video, moment.best) == ("long.mp4", pytest.approx(3.2))
    assert moment.score == pytest.approx(1.0, abs=1e-4)


def test_a_sound_finds_itself_in_what_is_heard(library, searcher):
    query = Query("audio", f"{library.videos / 'long.mp4'}@0.4-1.2", within=SOUND)
    moment = searcher.search([query], 2).moments[0]
    # The tone is the same all the time, so that its moments are folded.
    assert any(place.start <= 0.8 <= place.end for place in (moment, *moment.also))
    assert moment.score == pytest.approx(1.0, abs=1e-3)


def test_a_sound_is_compared_with_vision_in_va(library, searcher):
    query = Query("audio", str(library.videos / "long.mp4") + "@0.4-1.2")
    asked = embed_query(query, library.embedder)
    assert asked.matrix == "video.va"
    answer = searcher.search([query], 1)
    expected = best_score(library, [("video.va", asked.vector, 1.0)])
    assert answer.moments[0].score == pytest.approx(expected, abs=1e-5)


def test_a_picture(library, searcher, tmp_path):
    _, jpeg = next(media_samples_frame(library.videos / "long.mp4", 5.0))
    (tmp_path / "frame.jpg").write_bytes(jpeg)
    by_file = searcher.search([Query("image", str(tmp_path / "frame.jpg"))], 2)
    by_bytes = searcher.search([Query("image", jpeg)], 2)
    assert by_file.moments == by_bytes.moments
    assert by_file.moments[0].score > 0.5


def media_samples_frame(path, time):
    from mmv_tf.data.media import iter_frames_at

    return iter_frames_at(path, [time], 64)


def test_several_queries_are_weighed(library, searcher):
    clip = f"{library.videos / 'long.mp4'}@3.2-4.0"
    queries = [
        Query("text", "red square", 2.0, VISION),
        Query("audio", clip, 1.0, SOUND),
        Query("video", clip, -0.5, VISION),
    ]
    asked = []
    for query in queries:
        found = embed_query(query, library.embedder)
        asked.append((found.matrix, found.vector, found.weight))
    answer = searcher.search(queries, 5)
    assert answer.moments[0].score == pytest.approx(best_score(library, asked), abs=1e-5)
    assert "sub/silent.mkv" not in names(answer.moments)
    queries = [Query("text", "red square", 1e-6, VISION), Query("video", clip)]
    only_clip = searcher.search(queries, 1)
    assert only_clip.moments[0].best == pytest.approx(3.2)


def test_the_curve_has_a_point_a_window(library, searcher):
    answer = searcher.search([Query("text", "red square", within=VISION)], 1)
    scores, spans = searcher.curve("long.mp4", answer.asked)
    count = next(v.count for v in searcher.open().manifest.videos if v.name == "long.mp4")
    assert scores.shape == (count,) and spans.shape == (count, 2)
    top = answer.moments[0]
    if top.video == "long.mp4":
        assert scores.max() == pytest.approx(top.score, abs=1e-6)


def test_a_copy_is_folded_into_its_original(searcher):
    """The silent film has the frames of the other one of three seconds."""
    moments = searcher.search([Query("text", "red square", within=VISION)], 1000).moments
    found = [{m.video, *(place.video for place in m.also)} for m in moments]
    assert {EVIL_NAME, "sub/silent.mkv"} in [one & {EVIL_NAME, "sub/silent.mkv"} for one in found]


def test_all_moments_come_once(library, searcher):
    moments = searcher.search([Query("text", "red square", within=VISION)], 1000).moments
    assert names(moments) == {"long.mp4", EVIL_NAME, "sub/silent.mkv"}
    places = [place for moment in moments for place in (moment, *moment.also)]
    for one in places:
        for other in places:
            if one is not other and one.video == other.video:
                assert one.end <= other.start or other.end <= one.start


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (("text", "xylophone of the"), "knows none of the words"),
        (("video", "nothing.mp4"), "no such file"),
        (("image", b"text"), "the file: can't be decoded"),
        (("audio", b"text"), "the file: can't be decoded"),
    ],
)
def test_messages(searcher, query, message):
    with pytest.raises(ValueError, match=message):
        searcher.search([Query(*query, within=VISION)])


def test_wrong_queries():
    for arguments in (("smell", "x"), ("text", " "), ("text", "a" * 2000)):
        with pytest.raises(ValueError, match=r"Expected a query of kind|1 to 1000"):
            Query(*arguments)
    for weight in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="weight"):
            Query("text", "a", weight)


def test_a_span_outside_of_the_file(library, searcher):
    with pytest.raises(ValueError, match=r"is 3\.00 s long"):
        searcher.search([Query("video", str(library.videos / EVIL_NAME) + "@7-9")])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.mp4", ("a.mp4", 0.0, None)),
        ("a@b.mp4@1.5-3", ("a@b.mp4", 1.5, 3.0)),
        ("a.mp4@0:01:02-1:02:03", ("a.mp4", 62.0, 3723.0)),
        ("a.mp4@5-", ("a.mp4", 5.0, None)),
        ("a.mp4@-5", ("a.mp4", 0.0, 5.0)),
    ],
)
def test_spans(value, expected):
    assert parse_span(value) == expected


@pytest.mark.parametrize("value", ["a.mp4@3-1", "a.mp4@x-y", "a@b.mp4", "a.mp4@5"])
def test_wrong_spans(value):
    with pytest.raises(ValueError, match="expected FILE@start-end"):
        parse_span(value)


def test_kinds_of_files(library, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    media_samples.write_wav(tmp_path / "a.wav", media_samples.tone(1.0, 16_000, 0.0))
    files = {tmp_path / "a.png": "image", tmp_path / "a.wav": "audio"}
    files[library.videos / "long.mp4"] = "video"
    for path, kind in files.items():
        assert kind_of_bytes(path.read_bytes(), path.name) == kind
    for data in (b"", b"plain text", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"):
        with pytest.raises(ValueError, match=r"^x is not a readable image"):
            kind_of_bytes(data, "x")


def test_an_index_that_grows_and_vanishes(library, tmp_path):
    searcher = Searcher(tmp_path / "index")
    searcher._embedder = library.embedder
    with pytest.raises(MissingIndex, match=r"mmv search index"):
        searcher.search([Query("text", "red")])
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(library.videos / EVIL_NAME, videos / "a.mp4")
    update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    assert names(searcher.search([Query("text", "red")]).moments) == {"a.mp4"}
    shutil.copy(library.videos / "sub" / "silent.mkv", videos / "b.mkv")
    update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    assert names(searcher.search([Query("text", "red")]).moments) == {"a.mp4", "b.mkv"}
    (videos / "a.mp4").unlink()
    update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    assert names(searcher.search([Query("text", "red")]).moments) == {"b.mkv"}
    assert not searcher.search([Query("text", "red", within=SOUND)]).moments
    shutil.rmtree(tmp_path / "index")
    with pytest.raises(MissingIndex):
        searcher.search([Query("text", "red")])


def test_an_index_without_any_video_left(library, tmp_path):
    searcher = Searcher(tmp_path / "index")
    searcher._embedder = library.embedder
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(library.videos / EVIL_NAME, videos / name)
    update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    for name in ("a.mp4", "b.mp4"):
        (videos / name).write_bytes(b"no film" * 100)
    update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    assert not searcher.open().manifest.videos
    jpeg = next(media_samples_frame(library.videos / "long.mp4", 5.0))[1]
    for query in (
        Query("text", "red"),
        Query("image", jpeg),
        Query("video", str(library.videos / "long.mp4") + "@3.2-4.0"),
    ):
        answer = searcher.search([query])
        assert answer.moments == () and not answer.nothing


def test_another_or_no_network_is_refused(library, tmp_path, tiny_model):
    with pytest.raises(ValueError, match="was not found; pass its path as"):
        Searcher(library.index, tmp_path / "gone.keras").embedder()
    tiny_model.layers[0].trainable_variables[0].assign_add(
        np.ones_like(tiny_model.layers[0].trainable_variables[0])
    )
    tiny_model.save(tmp_path / "other.keras")
    searcher = Searcher(library.index, tmp_path / "other.keras")
    with pytest.raises(ValueError, match="other than the one in"):
        searcher.search([Query("text", "red")])


def test_faiss_is_chosen_above_a_size(library, tmp_path, searcher):
    pytest.importorskip("faiss", reason="the extra 'search' is not installed")
    import dataclasses

    options = dataclasses.replace(HERE, faiss_above=20)
    report = update_index(library.videos, tmp_path, library.embedder, options=options)
    assert report.faiss.keys() == set(library.embedder.matrices)
    assert all(made["recall"] >= 0.95 for made in report.faiss.values())
    large = Searcher(tmp_path)
    large._embedder = library.embedder
    clip = f"{library.videos / 'long.mp4'}@3.2-4.0"
    for queries in (
        [Query("text", "red square")],
        [Query("audio", clip, within=SOUND)],
        [Query("text", "red square", 2.0), Query("video", clip, -1.0)],
    ):
        mine, exact = large.search(queries, 3), searcher.search(queries, 3)
        assert mine.approximate and not exact.approximate
        assert [m.video for m in mine.moments] == [m.video for m in exact.moments]
        for one, other in zip(mine.moments, exact.moments, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)
    assert (
        not Searcher(tmp_path, exact=True)
        ._current()
        .search(large.search([Query("text", "red")]).asked, 3, True)
        .approximate
    )


def test_vision_of_all_and_sound_of_those_with_sound(library, searcher):
    everywhere = searcher.search([Query("text", "red", within=VISION)], 100).moments
    heard = searcher.search([Query("text", "red", within=SOUND)], 100).moments
    assert "sub/silent.mkv" in names(everywhere)
    assert "sub/silent.mkv" not in names(heard)


def test_only_some_videos(searcher):
    chosen = searcher.search([Query("text", "red square")], 50, only=lambda v: not v.has_audio)
    assert names(chosen.moments) == {"sub/silent.mkv"}
    none = searcher.search([Query("text", "red square")], 50, only=lambda v: False)
    assert none.moments == ()
    everything = searcher.search([Query("text", "red square")], 50)
    assert searcher.search([Query("text", "red square")], 50, only=lambda v: True).moments == (
        everything.moments
    )


@pytest.mark.parametrize("within", [VISION, SOUND])
def test_more_like_a_moment(library, searcher, within):
    answer = searcher.search([Similar("long.mp4", 3.2, 4.0, within=within)], 3)
    video = next(v for v in searcher.open().manifest.videos if v.name == "long.mp4")
    segment = open_index(library.index).segments[video.segment]
    (part,) = answer.asked
    spans = segment.array("spans")
    rows = [
        row
        for row in range(video.first, video.first + video.count)
        if 3.2 <= spans[row].mean() <= 4.0
    ]
    mean = np.mean([segment.array(part.matrix)[row] for row in rows], axis=0, dtype=np.float32)
    np.testing.assert_allclose(part.vector, mean / np.linalg.norm(mean), atol=1e-6)
    assert answer.moments[0].score == pytest.approx(
        best_score(library, [(part.matrix, part.vector, 1.0)]), abs=1e-5
    )


def test_moments_that_can_not_be_asked_by(searcher):
    with pytest.raises(ValueError, match="no video 'gone"):
        searcher.search([Similar("gone.mp4", 0, 1)], 3)
    with pytest.raises(ValueError, match="moment is silent"):
        searcher.search([Similar("sub/silent.mkv", 0, 1, within=SOUND)], 3)
    with pytest.raises(ValueError, match="other than 0"):
        Similar("long.mp4", 0, 1, weight=0.0)
    with pytest.raises(ValueError, match="within is 'speech'"):
        Similar("long.mp4", 0, 1, within="speech")
