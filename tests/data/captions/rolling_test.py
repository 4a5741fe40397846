# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmv_tf.data.captions import read_captions
from mmv_tf.data.captions.rolling import Shown, unrolled

YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:03.429 align:start position:0%
{blank}stir<00:00:00.960><c> the</c><00:00:01.520><c> soup</c>

00:00:03.429 --> 00:00:03.439 align:start position:0%
stir the soup
{blank}
00:00:03.439 --> 00:00:05.749 align:start position:0%
stir the soup
until<00:00:03.760><c> it</c><00:00:04.000><c> boils</c>

00:00:05.749 --> 00:00:05.759 align:start position:0%
until it boils
{blank}
00:00:05.759 --> 00:00:08.000 align:start position:0%
until it boils
then<00:00:06.000><c> serve</c>

"""
PHRASES = [
    (0.16, 3.439, "stir the soup"),
    (3.439, 5.759, "until it boils"),
    (5.759, 8.0, "then serve"),
]


def shown(*cues):
    return [Shown(start, end, tuple(lines.split("/"))) for start, end, lines in cues]


def told(cues):
    return [(cue.start, cue.end, cue.text) for cue in cues]


@pytest.mark.parametrize("blank", [" \n", "\n", ""])
def test_youtube(tmp_path, blank):
    (tmp_path / "a.vtt").write_text(YOUTUBE.format(blank=blank))
    assert told(read_captions(tmp_path / "a.vtt")) == PHRASES


@pytest.mark.parametrize("blank", [" \n", "\n", ""])
def test_converted_to_subrip(tmp_path, blank):
    text = (
        YOUTUBE.format(blank=blank).partition("en\n\n")[2].replace(" align:start position:0%", "")
    )
    cues = text.replace(".", ",").split("00:00:0")
    (tmp_path / "a.srt").write_text(text.replace(".", ","))
    assert len(cues) > 5
    assert told(read_captions(tmp_path / "a.srt")) == PHRASES


def test_youtube_json(tmp_path):
    events = [
        {"tStartMs": 0, "dDurationMs": 8000, "id": 1, "wpWinPosId": 1, "wsWinStyleId": 1},
        {"tStartMs": 160, "dDurationMs": 5589, "segs": [{"utf8": "stir the soup"}]},
        {"tStartMs": 3429, "dDurationMs": 2320, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 3439, "dDurationMs": 4561, "segs": [{"utf8": "until it boils"}]},
    ]
    events = [{**event, "wWinId": 1} for event in events]
    (tmp_path / "a.json3").write_text(json.dumps({"events": events}))
    assert told(read_captions(tmp_path / "a.json3")) == [PHRASES[0], (3.439, 8.0, "until it boils")]
    del events[2]
    (tmp_path / "a.json3").write_text(json.dumps({"events": events}))
    assert read_captions(tmp_path / "a.json3")[0].end == pytest.approx(5.749)


def test_two_and_three_lines():
    two = shown((0, 1, "a"), (1, 2, "a/b"), (2, 3, "b/c"), (5, 6, "c/c"))
    assert told(unrolled(two)) == [(0, 1, "a"), (1, 2, "b"), (2, 3, "c"), (5, 6, "c")]
    three = shown((0, 1, "a"), (1, 2, "a/b"), (2, 3, "a/b/c"), (3, 4, "b/c/d"), (4, 5, "c/d/e f"))
    assert [text for *_, text in told(unrolled(three))] == ["a", "b", "c", "d", "e f"]


def test_lines_that_a_converter_joined():
    cues = shown(
        *((0, 3, "stir the soup"), (3, 3.01, "stir the soup")),
        *((3.01, 5, "stir the soup until it boils"), (5, 5.01, "until it boils")),
        (5.01, 8, "until it boils then serve"),
    )
    assert told(unrolled(cues)) == [
        (0, 3.01, "stir the soup"),
        (3.01, 5.01, "until it boils"),
        (5.01, 8, "then serve"),
    ]


def test_lines_that_grow():
    one = shown(
        *((0, 1, "stir"), (1, 2, "stir the"), (2, 3, "stir the soup"), (3, 4, "stir the soup slo")),
        *((4, 5, "stir the soup slowly"), (6, 7, "until it"), (7, 8, "until it boils")),
    )
    assert told(unrolled(one)) == [(0, 5, "stir the soup slowly"), (6, 8, "until it boils")]
    two = shown(
        *((0, 1, "stir the"), (1, 2, "stir the soup"), (2, 3, "stir the soup/until it")),
        *((3, 4, "stir the soup/until it boils"), (4, 5, "until it boils/then serve")),
        (5, 6, "until it boils/then serve it"),
    )
    assert told(unrolled(two)) == [
        (0, 2, "stir the soup"),
        (2, 4, "until it boils"),
        (4, 6, "then serve it"),
    ]


def test_words_that_are_marked_one_after_the_other(tmp_path):
    words = [
        "<u>stir</u> the soup",
        "stir <u>the</u> soup",
        "stir the <u>soup</u>",
        "stir the soup",
    ]
    words += ["<u>until</u> it", "until <u>it</u>"]
    cues = [f"00:0{i}.000 --> 00:0{i + 1}.000\n{text}\n\n" for i, text in enumerate(words)]
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n" + "".join(cues))
    assert told(read_captions(tmp_path / "a.vtt")) == [(0, 4, "stir the soup"), (4, 6, "until it")]
    same = [f"00:0{i}.000 --> 00:0{i + 1}.000\n<i>row your boat</i>\n\n" for i in range(6)]
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n" + "".join(same))
    assert len(read_captions(tmp_path / "a.vtt")) == 6


def test_what_is_said_again_after_a_pause():
    cues = shown((0, 1, "a"), (1, 1.01, "a"), (1.01, 2, "a/b"), (2, 2.01, "b"), (9, 10, "b"))
    assert told(unrolled(cues)) == [(0, 1.01, "a"), (1.01, 2.01, "b"), (9, 10, "b")]


@pytest.mark.parametrize(
    "cues",
    [
        [(0, 1, "yes"), (1, 2, "yes"), (2, 3, "yes/I do"), (3, 4, "no")],
        [(0, 1, "row your boat"), (1, 2, "row your boat"), (2, 3, "gently/down the stream")],
        [(0, 1, "no"), (1, 2, "no no"), (2, 3, "no no no")],
        [(0, 1, "a/b"), (1, 2, "c/d"), (2, 3, "d/e"), (3, 4, "f"), (4, 5, "g")],
        [(0, 1, "a")],
        [(0, 1, "a"), (1, 1.01, "a")],
    ],
)
def test_captions_of_people_stay(cues):
    assert unrolled(shown(*cues)) == shown(*cues)
