# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import math
import random

import numpy as np
import pytest

from mmv_tf.data.captions import Caption
from mmv_tf.search import speech
from mmv_tf.search.speech import Passage, SpeechPart, SpeechWriter, best_passages
from mmv_tf.search.words import units, words

VOCABULARY = [f"w{i}" for i in range(30)]


def part_of(path, *films):
    """A file of films, each a list of (start, end, text), and where each film's rows are."""
    with SpeechWriter(path) as writer:
        rows = [writer.add([Caption(*cue) for cue in film]) for film in films]
    return SpeechPart(path), rows


def everything(name, rows):
    del name
    return np.ones(len(rows), bool)


def search(parts, text, alive=everything):
    return list(best_passages(parts, units(text), alive))


def said(part, passage):
    return [cue.text for cue in part.cues(passage.row, passage.rows)]


def naive(films, text):
    """(score, film, cue) of each passage whose own cue has a word, by BM25's formula."""
    documents = []
    for number, film in enumerate(films):
        for place, (_, end, own) in enumerate(film):
            after = film[place + 1 : place + 2]
            more = after[0][2] if after and after[0][0] - end <= 10 else ""
            documents.append((number, place, own.split(), more.split()))
    terms = dict.fromkeys(text.split())
    lengths = [len(own) + len(more) for *_, own, more in documents]
    mean = sum(lengths) / len(lengths)
    idf = {}
    for term in terms:
        n = sum(term in own + more for *_, own, more in documents)
        idf[term] = math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
    result = []
    for (film, place, own, more), length in zip(documents, lengths, strict=True):
        if not terms.keys() & set(own):
            continue
        score = 0.0
        for term in terms:
            f = (own + more).count(term)
            score += idf[term] * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * length / mean))
        result.append((score / sum(idf.values()), film, place))
    return sorted(result, key=lambda one: -one[0])


def random_films(seed):
    generator = random.Random(seed)
    films = []
    for _ in range(8):
        film, time = [], 0.0
        for _ in range(generator.randint(1, 30)):
            length = generator.randint(1, 12)
            text = " ".join(generator.choices(VOCABULARY, range(1, 31), k=length))
            film.append((time, time + 2, text))
            time += generator.choice([2, 2, 2, 30])
        films.append(film)
    return films


@pytest.mark.parametrize("seed", range(3))
def test_bm25_of_several_files_is_that_of_the_formula(tmp_path, seed):
    films = random_films(seed)
    parts, places = {}, {}
    for name, some in (("a", films[:3]), ("b", films[3:4]), ("c", films[4:])):
        parts[name], rows = part_of(tmp_path / f"{name}.sqlite", *some)
        for film, (first, count) in zip(some, rows, strict=True):
            for place in range(count):
                places[name, first + place] = (films.index(film), place)
    for query in ("w0 w5", "w29", "w1 w2 w3 w4 w28 w7", "w3 nobody"):
        found = search(parts, query)
        expected = naive(films, query)
        assert len(found) == len(expected) > 0
        assert [p.score for p in found] == pytest.approx([score for score, *_ in expected])
        by_place = {(film, place): score for score, film, place in expected}
        for passage in found:
            assert passage.score == pytest.approx(by_place[places[passage.part, passage.row]])


def test_words_across_two_cues_are_found(tmp_path):
    part, _ = part_of(
        tmp_path / "a.sqlite",
        [(0, 2, "The quick brown"), (2, 4, "fox jumps over"), (4, 6, "the lazy dog")],
        [(0, 2, "brown bread and a plain dinner"), (60, 62, "a fox far away in time")],
    )
    best, *others = search({"a": part}, "brown fox")
    assert said(part, best) == ["The quick brown", "fox jumps over"]
    assert best.score > others[0].score
    # Only the cue with the word is the passage.
    best, *others = search({"a": part}, "lazy")
    assert said(part, best) == ["the lazy dog"] and not others


def test_a_long_pause_ends_a_passage(tmp_path):
    part, _ = part_of(tmp_path / "a.sqlite", [(0, 2, "one"), (12.1, 13, "two"), (23, 24, "three")])
    assert [p.rows for p in search({"a": part}, "one two")] == [1, 1]
    assert search({"a": part}, "two three")[0] == Passage("a", 2, 2, pytest.approx(1.0, abs=0.7))


@pytest.mark.parametrize(
    ("cue", "query"),
    [
        ("我们在厨房里切洋葱", "切洋葱"),
        ("今日は台所で玉ねぎを切ります", "玉ねぎ"),
        ("วันนี้เราจะหั่นหัวหอม", "หัวหอม"),
        ("양파를 썰어요", "양파를"),
        ("Режем лук на кухне", "ЛУК"),
        ("प्याज काटना आसान है", "प्याज"),
        ("Crème brûlée für Gäste", "creme brulee gaste"),
        ("نقطع البصل", "البصل"),
        ("ΚΌΒΟΥΜΕ ΚΡΕΜΜΎΔΙΑ", "κρεμμυδια"),
        ("Straße", "STRASSE"),
    ],
)
def test_any_language(tmp_path, cue, query):
    others = ["nothing of that", "別の話です", "เรื่องอื่น", "другое дело"]
    film = [(20.0 * i, 20.0 * i + 2, text) for i, text in enumerate([*others, cue, *others])]
    part, _ = part_of(tmp_path / "a.sqlite", film)
    assert said(part, search({"a": part}, query)[0]) == [cue]


def test_characters_in_another_order_are_another_word(tmp_path):
    part, _ = part_of(tmp_path / "a.sqlite", [(0, 1, "上海"), (50, 51, "海上")])
    (only,) = search({"a": part}, "海上")
    assert said(part, only) == ["海上"]


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '""',
        'fox" OR "x',
        "fox*",
        "NEAR(fox dog)",
        "words:fox",
        "-fox",
        "(fox",
        "^fox",
        "fox AND",
        "'; drop table cues; --",
        "{fox dog}:x",
        "fox + dog",
        "\0fox",
        "fox\ud83d",
        "a" * 1000,
    ],
)
def test_queries_are_never_syntax(tmp_path, query):
    part, _ = part_of(tmp_path / "a.sqlite", [(0, 1, "the fox"), (50, 51, "and near or not")])
    found = search({"a": part}, query)
    assert ("the fox" in [said(part, p)[0] for p in found]) == ("fox" in query)
    assert all(set(words(said(part, p)[0])) & set(words(query)) for p in found)


def test_rows_of_removed_videos_are_not_found(tmp_path):
    part, rows = part_of(tmp_path / "a.sqlite", [(0, 1, "the fox")], [(0, 1, "a fox")])
    found = search({"a": part}, "fox", lambda name, ids: ids == rows[1][0])
    assert [said(part, p) for p in found] == [["a fox"]]


def test_copies_are_equal(tmp_path):
    films = random_films(9)
    part, rows = part_of(tmp_path / "a.sqlite", *films)
    with SpeechWriter(tmp_path / "b.sqlite") as writer:
        moved = [writer.copy(part, *at) for at in reversed(rows)]
    copied = SpeechPart(tmp_path / "b.sqlite")
    for (first, count), new in zip(reversed(rows), moved, strict=True):
        assert list(copied.stored(new, count)) == list(part.stored(first, count))
    assert (copied.passages, copied.words) == (part.passages, part.words)
    one, other = search({"a": part}, "w3 w20"), search({"a": copied}, "w3 w20")
    assert [p.score for p in one] == pytest.approx([p.score for p in other])


def test_only_the_rarest_words_propose_where_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(speech, "_MOST_SCORED", 5)
    film = [(20.0 * i, 20.0 * i + 1, "common word") for i in range(50)]
    film[30] = (600.0, 601.0, "a rare and common word")
    part, _ = part_of(tmp_path / "a.sqlite", film)
    assert said(part, search({"a": part}, "common rare")[0]) == ["a rare and common word"]
    assert len(search({"a": part}, "common rare")) == 1
    assert len(search({"a": part}, "common")) == 5
    assert len(search({"a": part}, "common word")) == 5


def test_some_videos_have_candidates_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(speech, "_MOST_SCORED", 5)
    film = [(20.0 * i, 20.0 * i + 1, "common word") for i in range(50)]
    part, rows = part_of(tmp_path / "a.sqlite", film, [(0, 1, "another common word")], film)
    found = best_passages({"a": part}, units("common"), everything, {"a": [(51, 52)]})
    assert [said(part, p) for p in found] == [["another common word"]]
    assert [*best_passages({"a": part}, units("common"), everything, {})] == []
    assert rows == [(1, 50), (51, 1), (52, 50)]


def test_hostile_captions(tmp_path):
    film = [
        (0.0, 1.0, "\x1b[31mred\x07 \u202eevil\x9b"),
        (1.0, 2.0, "a" * 10_000),
        (2.0, 3.0, "!?"),
    ]
    part, _ = part_of(tmp_path / "a.sqlite", film)
    (found,) = search({"a": part}, "evil")
    assert said(part, found) == ["[31mred evil"]
    assert search({"a": part}, "a" * 10_000)[0].row == 2
    assert [(cue.start, cue.end) for cue in part.cues(1, 3)] == [(0, 1), (1, 2), (2, 3)]


def test_an_empty_file_and_no_words(tmp_path):
    part, rows = part_of(tmp_path / "a.sqlite", [])
    assert rows == [(1, 0)] and search({"a": part}, "fox") == []
    part, _ = part_of(tmp_path / "b.sqlite", [(0, 1, "fox")])
    assert search({"b": part}, "...") == search({"b": part}, "dog") == search({}, "fox") == []


def test_a_damaged_file(tmp_path):
    path = tmp_path / "a.sqlite"
    part_of(path, [(0, 1, "fox " * 50)] * 200)
    data = bytearray(path.read_bytes())
    data[4096 : len(data) // 2] = bytes(len(data) // 2 - 4096)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged"):
        search({"a": SpeechPart(path)}, "fox")
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(ValueError, match="is damaged"):
        SpeechPart(path)
