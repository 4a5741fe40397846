# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import os

import pytest

from mmv_tf.data.preparation import ListedClip, read_listing


def write(tmp_path, content, name="list.csv"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_csv(tmp_path):
    (tmp_path / "b c.vtt").touch()
    path = write(
        tmp_path,
        "path,start,end,label,split,captions,example_id,text\n"
        'b c.mp4,0:01.5,4,jump,train,,x1,"he jumps, high"\n'
        "\n"
        "b c.mp4,5,,,test,,,\n"
        "a/s.wav,,,rain,test,t.srt,,\n",
    )
    sound, film = read_listing(path)
    assert (film.media_id, film.kind, film.split, film.path.name) == (
        "b c",
        "video",
        None,
        "b c.mp4",
    )
    assert film.captions == tmp_path / "b c.vtt"
    assert film.clips == (
        ListedClip(1.5, 4.0, ("jump",), ("he jumps, high",), "train", "x1"),
        ListedClip(5.0, None, split="test"),
    )
    assert (sound.media_id, sound.kind, sound.split) == ("a/s", "sound", "test")
    assert sound.captions == tmp_path / "t.srt"
    assert sound.labels == ("rain",)


def test_jsonl(tmp_path):
    rows = [{"path": "a.mp4", "label": ["x", "y"], "start": 1}, {"path": "i.png", "split": None}]
    film, image = read_listing(write(tmp_path, "\n".join(map(json.dumps, rows)), "list.jsonl"))
    assert film.clips == (ListedClip(1.0, None, ("x", "y")),)
    assert image.kind == "image"


def test_tsv_has_no_quoting(tmp_path):
    rows = [("soup.mp4", "0", "4", '"Stir it'), ("soup.mp4", "4", "8", 'pour\u2028it "now"')]
    text = "".join("\t".join(row) + "\r\n" for row in [("path", "start", "end", "text"), *rows])
    (film,) = read_listing(write(tmp_path, "\ufeff" + text, "list.tsv"))
    assert [clip.texts for clip in film.clips] == [('"Stir it',), ('pour\u2028it "now"',)]


def test_an_unclosed_quote_is_an_error(tmp_path):
    text = 'path,text\na.mp4,fine\nb.mp4,"Stir it\nc.mp4,pour\nd.mp4,"Knead it\n'
    with pytest.raises(ValueError, match="line 3: a cell's quote that opens here is not closed"):
        read_listing(write(tmp_path, text))


def test_names_and_texts_that_are_no_utf8(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.en.vtt")).touch()
    row = {"path": os.fsdecode(b"caf\xe9.mp4"), "text": "\ud83d\ude00", "label": "a\ud83d"}
    (film,) = read_listing(write(tmp_path, json.dumps(row), "list.jsonl"))
    assert film.media_id == r"caf\xe9"
    assert os.fsencode(film.path.name) == b"caf\xe9.mp4"
    assert os.fsencode(film.captions.name) == b"caf\xe9.en.vtt"
    assert film.clips[0].texts == ("\N{GRINNING FACE}",)
    assert film.clips[0].labels == ("a\ufffd",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,begin\na.mp4,1\n", "line 2: unknown column 'begin'"),
        ("file\na.mp4\n", "line 1: got the columns 'file'"),
        ("path,start\na.mp4\n", "line 2: got 1 columns"),
        ("path,start\n,1\n", "line 2: no path"),
        ("path,start\na.mp4,-1\n", "line 2: got the time '-1'"),
        ("path,start\na.mp4,soon\n", "line 2: got the time 'soon'"),
        ("path,start,end\na.mp4,2,1\n", "line 2: the clip ends at 1 s but starts at 2 s"),
        ("path,split\na.mp4,a/b\n", "line 2: got the split 'a/b'"),
        (
            "path,example_id\na.mp4,1\nb.mp4,1\n",
            "line 3: the example id '1' is already used in line 2",
        ),
        ("path,captions\na.mp4,1.vtt\na.mp4,2.vtt\n", "has the caption files 1.vtt, 2.vtt"),
        ("path\na.mp4\na.mkv\n", "2 files are named 'a'"),
        ("path\n", "has no rows"),
        ("path,text\na.mp4," + "x" * 10_001 + "\n", "line 2: the text has 10001 characters"),
    ],
)
def test_malformed(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as raised:
        read_listing(write(tmp_path, content))
    assert "\n" not in str(raised.value)


def test_malformed_jsonl(tmp_path):
    with pytest.raises(ValueError, match="line 2: not JSON"):
        read_listing(write(tmp_path, '{"path": "a.mp4"}\n{', "list.jsonl"))
    with pytest.raises(ValueError, match="line 1: expected an object"):
        read_listing(write(tmp_path, "[]", "list.jsonl"))
    with pytest.raises(ValueError, match=r"expected a list ending in one of .csv"):
        read_listing(write(tmp_path, "", "list.txt"))
