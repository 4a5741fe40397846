# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmv_tf.data.captions import Caption, read_caption_file, read_captions

VTT = """WEBVTT - a title

NOTE these lines
are a comment

STYLE
::cue { color: red }

1
00:00:00.800 --> 00:00:11.800 align:start position:0%
morning <c.blue>clouds</c>
over &amp; under

00:12.000 --> 01:02:03.500
<v Ann>hello</v>
"""

SRT = """1
00:00:02,500 --> 00:00:04,000
{\\an8}second

2
00:00:00,000 --> 00:00:01,500
<i>first</i>
"""

JSON3 = {
    "wireMagic": "pb3",
    "events": [
        {"tStartMs": 0, "dDurationMs": 9000, "id": 1},
        {"tStartMs": 500, "dDurationMs": 1500, "segs": [{"utf8": "so"}, {"utf8": " then"}]},
        {"tStartMs": 900, "segs": [{"utf8": "\n"}]},
    ],
}


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_vtt(tmp_path):
    expected = [
        Caption(0.8, 11.8, "morning clouds over & under"),
        Caption(12.0, 3723.5, "hello"),
    ]
    assert read_captions(write(tmp_path, "a.vtt", VTT)) == expected
    windows = "\ufeff" + VTT.replace("\n", "\r\n")
    assert read_captions(write(tmp_path, "b.VTT", windows)) == expected


def test_vtt_without_a_blank_line_after_the_header(tmp_path):
    path = write(tmp_path, "a.vtt", "WEBVTT\n00:01.000 --> 00:02.000\nhi")
    assert read_captions(path) == [Caption(1.0, 2.0, "hi")]


def test_srt_is_sorted(tmp_path):
    path = write(tmp_path, "a.srt", SRT)
    assert read_captions(path) == [Caption(0.0, 1.5, "first"), Caption(2.5, 4.0, "second")]


def test_json3(tmp_path):
    path = write(tmp_path, "a.json3", json.dumps(JSON3))
    assert read_captions(path) == [Caption(0.5, 2.0, "so then")]


def test_tables(tmp_path):
    tsv = 'start\tend\tsubject\tcaption\n0:01.5\t2\tbird\ta "bird\n\n3\t4\t\tnone\n'
    assert read_captions(write(tmp_path, "a.tsv", tsv)) == [
        Caption(1.5, 2.0, 'a "bird', "bird"),
        Caption(3.0, 4.0, "none", None),
    ]
    quoted = 'caption,start,end\n"one, two",0,1\n'
    assert read_captions(write(tmp_path, "a.csv", quoted)) == [Caption(0.0, 1.0, "one, two")]


CUE = "WEBVTT\n\n{}\nwords\n"
ROWS = "start\tend\tcaption\n{}\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.vtt", "", "is empty"),
        ("a.vtt", "WEBVTT\n", "no captions found"),
        ("a.vtt", "00:01.000 --> 00:02.000\nhi\n", "line 1: .*expected 'WEBVTT'"),
        ("a.vtt", CUE.format("00:01.000 -> 00:02.000"), "line 3: got '00:01.000 -> "),
        ("a.vtt", CUE.format("00:61.000 --> 01:02.000"), "line 3: got '00:61"),
        ("a.vtt", CUE.format("00:02.000 -->"), "line 3: got"),
        ("a.vtt", CUE.format("00:02.000 --> 00:01.000"), "line 3: .*ends at 1 s but starts at 2"),
        ("a.vtt", CUE.format("00:02.000 --> 00:02.000"), "line 3: .*after the start"),
        ("a.vtt", CUE.format("-00:02.000 --> 00:01.000"), "line 3: got"),
        ("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\n\xff\n", "line 4: byte 0xff is not UTF-8"),
        ("a.srt", "garbage", "line 1: got 'garbage'"),
        ("a.json3", '{"events": [\n{]}', "line 2: not JSON"),
        ("a.json3", "[]", "without an 'events' list"),
        ("a.json3", '{"events": [{"segs": [{"utf8": "x"}]}]}', "event 1: "),
        ("a.json3", '{"events": [7]}', "event 1: "),
        ("a.tsv", "begin\tend\tcaption\n", "line 1: got the columns"),
        ("a.tsv", ROWS.format("-1\t2\tx"), "line 2: the caption's time is -1 to 2 s"),
        ("a.tsv", ROWS.format("nan\t2\tx"), "line 2: the caption's time is nan"),
        ("a.tsv", ROWS.format("0\tinf\tx"), "line 2: the caption's time is 0 to inf"),
        ("a.tsv", ROWS.format("soon\t2\tx"), "line 2: got the time 'soon'"),
        ("a.tsv", ROWS.format("1\t2"), "line 2: got 2 columns; expected the header's 3"),
        ("a.tsv", ROWS.format("1\t2\t"), "no captions found"),
        ("a.doc", "x", "'.doc' can't be read; give a file ending in one of .vtt, .srt"),
    ],
)
def test_malformed(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(ValueError, match=message) as raised:
        read_captions(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing(tmp_path):
    with pytest.raises(ValueError, match=r"none.vtt: can't read .*No such file"):
        read_captions(tmp_path / "none.vtt")
    (tmp_path / "folder.vtt").mkdir()
    with pytest.raises(ValueError, match="Is a directory"):
        read_captions(tmp_path / "folder.vtt")


GOOD = "00:00:00,500 --> 00:00:03,700\nstir the soup\n\n"
MORE = "00:00:04,000 --> 00:00:07,200\npour it\n\n"
KEPT = [Caption(0.5, 3.7, "stir the soup"), Caption(4.0, 7.2, "pour it")]


@pytest.mark.parametrize(
    ("odd", "left_out"),
    [
        ("00:00:03,700 --> 00:00:03,700\nyes\n\n", {"captions_without_length": 1}),
        ("00:00:03,900 --> 00:00:03,700\nyes\n\n", {"captions_of_negative_length": 1}),
        ("-00:00:03,900 --> 00:00:05,700\nyes\n\n", {"captions_that_cannot_be_read": 1}),
        ("00:00:03,700 -> 00:00:05,700\nyes\n\nno\n\n", {"captions_that_cannot_be_read": 1}),
        ("soon --> later\nyes\n\n", {"captions_that_cannot_be_read": 1}),
        ("00:00:03,700 --> 00:00:05,700\n<i> </i>\n\n", {"captions_without_text": 1}),
        (f"00:00:03,700 --> 00:00:05,700\n{'x' * 10_001}\n\n", {"captions_too_long": 1}),
    ],
)
def test_one_odd_caption_is_left_out(tmp_path, odd, left_out):
    file = read_caption_file(write(tmp_path, "a.srt", f"1\n{GOOD}2\n{odd}3\n{MORE}"))
    assert list(file.captions) == KEPT
    assert file.left_out.counts == left_out
    (message,) = file.left_out.first.values()
    assert message.startswith(f"{tmp_path}/a.srt, line 6: ")


def test_odd_events_and_rows(tmp_path):
    events = [
        {"tStartMs": 500, "dDurationMs": 3200, "segs": [{"utf8": "stir the soup"}]},
        {"tStartMs": 3700, "segs": [{"utf8": "[music]"}]},
        {"tStartMs": float("nan"), "dDurationMs": 1, "segs": [{"utf8": "x"}]},
        {"tStartMs": -5, "dDurationMs": 1, "segs": [{"utf8": "x"}]},
        {"tStartMs": 4000, "dDurationMs": 3200, "segs": [{"utf8": "pour it"}]},
        {"tStartMs": 9000, "dDurationMs": float("inf"), "segs": [{"utf8": "x"}]},
        {"tStartMs": 9000, "dDurationMs": 10, "segs": [{"utf8": None}]},
        *({"tStartMs": 9000 + i, "dDurationMs": 1000, "segs": [{"utf8": "x"}]} for i in range(5)),
    ]
    file = read_caption_file(write(tmp_path, "a.json3", json.dumps({"events": events})))
    assert list(file.captions[:2]) == KEPT
    assert file.left_out.counts == {
        "captions_that_cannot_be_read": 1,
        "captions_without_length": 1,
        "captions_at_no_time": 2,
        "captions_before_the_start": 1,
    }
    table = "start\tend\tcaption\n0.5\t3.7\tstir the soup\nsoon\t4\tx\n1\n4\t7.2\tpour it\n"
    file = read_caption_file(write(tmp_path, "a.tsv", table))
    assert list(file.captions) == KEPT
    assert file.left_out.counts == {"captions_that_cannot_be_read": 2}


def test_a_file_of_which_more_than_half_is_odd_is_refused(tmp_path):
    odd = "00:00:03,700 --> 00:00:03,700\nyes\n\n"
    assert len(read_captions(write(tmp_path, "a.srt", GOOD + odd))) == 1
    with pytest.raises(
        ValueError, match=r"2 captions or lines can't be used and only 1 can.* line 4: "
    ):
        read_captions(write(tmp_path, "a.srt", GOOD + odd + odd))
    with pytest.raises(
        ValueError, match=r"3 captions or lines can't be used and only 1 can.* line 1: "
    ):
        read_captions(write(tmp_path, "a.srt", "Dear\nJohn\nbye\n\n" + GOOD))


def test_halves_of_characters_in_json(tmp_path):
    text = (
        r'{"events": [{"tStartMs": 0, "dDurationMs": 9, "segs": '
        r'[{"utf8": "\ud83d"}, {"utf8": "\ude00 a \udc00"}]}]}'
    )
    (caption,) = read_captions(write(tmp_path, "a.json3", text))
    assert caption.text == "\N{GRINNING FACE} a \N{REPLACEMENT CHARACTER}"
