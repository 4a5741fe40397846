# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Lists are read back by parsers, and their times are those of the moments to within a frame."""

import csv
import fractions
import io
import json
import re
import unicodedata
from xml.etree import ElementTree as etree

import av
import numpy as np
import pytest

from mmv_tf.data.captions import Caption
from mmv_tf.data.media import MediaError
from mmv_tf.search.edit_lists import FORMATS, Entry, Film, list_bytes, read_film
from mmv_tf.search.edit_lists.edl import reel_names
from mmv_tf.search.edit_lists.entries import file_url
from mmv_tf.search.edit_lists.timecode import Rate
from tests import media_samples

RATES = ["23.976", "24", "25", "29.97", "30", "50", "59.94", "60"]
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "  =1+1",
    "\u202e=1+1",
    "\uff1d1+1",
    'a "quoted", <b>&amp;</b> ]]> <!-- x -->',
    "one\r\nTITLE: two\n* FROM CLIP NAME: three\x0b\x0c\x1b[31m\x00\x85\u2028four",
    "\ud800 half \udfff \ufffe \uffff",
    "]]></note><marker value='x'/>",
    "é 日本 🎬",
    "x" * 20_000,
]


def film(name="sub/film one.mp4", **changes):
    values = {"address": f"./{name}", "duration": 60.0, "frame_rate": 25.0, "channels": 2}
    return Film(name, **{**values, "width": 640, "height": 360, "sample_rate": 48_000, **changes})


def entry(start, end, shown=None, said=(), key="k", score=None):
    captions = [Caption(start, end, text) for text in said]
    return Entry(key, film() if shown is None else shown, start, end, captions, score)


MOMENTS = [entry(1.0, 2.5), entry(10.013, 10.9, film("b.mov", frame_rate=30.0, channels=0)),
           entry(0.0, 0.001), entry(59.5, 60.0)]  # fmt: skip


def read_edl(text):
    """(reel, channels, source in, source out, record in, record out, comments) of each event."""
    lines = text.splitlines()
    assert lines[0].startswith("TITLE: ")
    assert lines[1] in ("FCM: DROP FRAME", "FCM: NON-DROP FRAME")
    events = []
    code = r"\d\d:\d\d:\d\d[:;]\d\d"
    for line in lines[2:]:
        found = re.fullmatch(
            rf"(\d{{3}})  (.{{8}}) (V|AA/V) +C +({code}) ({code}) ({code}) ({code})", line
        )
        if found:
            assert int(found[1]) == len(events) + 1
            events.append([found[2].strip(), found[3], *found.groups()[3:], []])
        elif line:
            assert line.startswith("* "), line
            events[-1][-1].append(line)
    return events


def read_fcpxml(text):
    """(name, source in, duration, offset, markers) of each clip, and the assets by id."""
    root = etree.fromstring(text)
    assert root.tag == "fcpxml" and root.get("version") == "1.9"
    assets = {asset.get("id"): asset for asset in root.iter("asset")}
    formats = {one.get("id") for one in root.iter("format")}
    for asset in assets.values():
        assert asset.get("format") in formats
    clips = []
    for clip in root.find("./library/event/project/sequence/spine"):
        assert clip.tag == "asset-clip" and clip.get("ref") in assets
        times = [seconds(clip.get(name)) for name in ("start", "duration", "offset")]
        clips.append((clip.get("name"), *times, list(clip.iter("marker"))))
    return clips, assets, root


def seconds(text):
    assert text.endswith("s")
    return fractions.Fraction(text[:-1])


@pytest.mark.parametrize("text", RATES)
def test_an_edl(text):
    rate = Rate.parse(text)
    events = read_edl(list_bytes("edl", "cut", MOMENTS, text).decode())
    assert [event[0] for event in events] == ["FILMONE", "B", "FILMONE", "FILMONE"]
    assert [event[1] for event in events] == ["AA/V", "V", "AA/V", "AA/V"]
    at = 0
    for event, moment in zip(events, MOMENTS, strict=True):
        source_in, source_out, record_in, record_out = (rate.frame(code) for code in event[2:6])
        assert abs(float(rate.seconds(source_in)) - moment.start) <= 0.5 / float(rate.value) + 1e-9
        assert source_out > source_in
        if moment.end - moment.start > 0.1:
            assert abs(float(rate.seconds(source_out)) - moment.end) <= 0.51 / float(rate.value)
        assert (record_in, record_out - record_in) == (at, source_out - source_in)
        assert all((";" in code) == rate.drops for code in event[2:6])
        at = record_out


@pytest.mark.parametrize("text", RATES)
def test_fcpxml(text):
    rate = Rate.parse(text)
    clips, assets, root = read_fcpxml(list_bytes("fcpxml", "cut", MOMENTS, text).decode())
    assert len(assets) == 2
    at = 0
    for (name, start, duration, offset, _), moment in zip(clips, MOMENTS, strict=True):
        assert name == moment.film.name
        for time in (start, duration, offset):
            assert (time * rate.value).denominator == 1, "a whole frame"
        assert abs(float(start) - moment.start) <= 0.5 / float(rate.value) + 1e-9
        assert duration > 0 and offset == at
        at += duration
    sequence = root.find("./library/event/project/sequence")
    assert seconds(sequence.get("duration")) == at
    assert sequence.get("tcFormat") == ("DF" if rate.drops else "NDF")
    frame = root.find("./resources/format[@id='r1']").get("frameDuration")
    assert seconds(frame) == 1 / rate.value
    by_name = {asset.get("name"): asset for asset in assets.values()}
    assert by_name["b.mov"].get("hasAudio") is None
    assert by_name["sub/film one.mp4"].get("audioRate") == "48000"


def test_captions():
    moment = Entry("k", film(), 4.0, 8.0, [Caption(3.0, 5.0, "first"), Caption(6.0, 9.0, "second")])
    (event,) = read_edl(list_bytes("edl", "t", [moment]).decode())
    assert event[-1][-1] == "* COMMENT: first second"
    ((_, start, duration, _, markers),), _, root = read_fcpxml(list_bytes("fcpxml", "t", [moment]))
    assert [marker.get("value") for marker in markers] == ["first", "second"]
    assert [seconds(marker.get("start")) for marker in markers] == [4, 6]
    for marker in markers:
        assert start <= seconds(marker.get("start")) < start + duration
    assert root.find(".//note").text == "first second"
    read = json.loads(list_bytes("json", "t", [moment]))
    assert read["moments"][0]["captions"][1] == {"start": 6.0, "end": 9.0, "text": "second"}


def test_tables_are_read_back():
    moment = entry(1.2345, 3.0, said=["hello, world"], key="id-1", score=-0.25)
    text = list_bytes("csv", "t", [moment], "25").decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert row == {
        "id": "id-1", "file": "sub/film one.mp4", "start": "1.234", "end": "3.000",
        "start_timecode": "00:00:01:06", "end_timecode": "00:00:03:00", "score": "-0.25000",
        "captions": "hello, world",
    }  # fmt: skip
    read = json.loads(list_bytes("json", "t", [moment], "29.97"))
    assert (read["title"], read["frame_rate"]) == ("t", "30000/1001")
    assert read["moments"][0]["score"] == -0.25


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("format", FORMATS)
def test_hostile_names_and_captions(format, text):
    moment = entry(1.0, 2.0, film(f"{text}.mp4"), [text, "plain"], key="k")
    data = list_bytes(format, text, [moment]).decode("utf-8")  # never an error
    allowed = "\r\n" if format == "csv" else "\n"
    for letter in data:
        assert unicodedata.category(letter) not in ("Cc", "Zl", "Zp", "Cs") or letter in allowed
    if format == "edl":
        (event,) = read_edl(data)
        assert len(event[-1]) == 3 and len(data.splitlines()) == 7
        assert all(len(line) < 500 for line in data.splitlines())
    if format == "fcpxml":
        (clip,), _, root = read_fcpxml(data)
        assert len(clip[4]) == 2 and len(list(root.iter("note"))) == 1
        assert clip[4][1].get("value") == "plain"
    if format == "csv":
        rows = list(csv.reader(io.StringIO(data.removeprefix("\ufeff"))))
        assert len(rows) == 2 and len(rows[1]) == len(rows[0])
        for cell in rows[1]:
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    if format == "json":
        assert len(json.loads(data)["moments"]) == 1


def test_reels_are_unique():
    names = ["a/Holiday 2025 part1.mp4", "b/holiday-2025 part2.mp4", "日本.mp4", "ü-u.mov", "x"]
    reels = reel_names([film(name) for name in [*names, names[0]]])
    assert list(reels.values()) == ["HOLIDAY2", "HOLIDAY3", "REEL", "U", "X"]
    assert all(re.fullmatch(r"[A-Z0-9]{1,8}", reel) for reel in reels.values())
    many = reel_names([film(f"{n}/same name here.mp4") for n in range(300)])
    assert len(set(many.values())) == 300 and max(map(len, many.values())) == 8


def test_the_rate_is_that_of_most_films():
    shown = [film("a.mp4", frame_rate=29.97), film("b.mp4", frame_rate=29.98), film("c.mp4")]
    entries = [entry(0, 1, one) for one in shown] + [entry(1, 2, shown[2])] * 5
    assert json.loads(list_bytes("json", "t", entries))["frame_rate"] == "30000/1001"
    assert json.loads(list_bytes("json", "t", []))["frame_rate"] == "25"


def test_wrong_lists():
    with pytest.raises(ValueError, match="expected one of edl, fcpxml, csv, json"):
        list_bytes("aaf", "t", MOMENTS)
    with pytest.raises(ValueError, match="at most 1000"):
        list_bytes("csv", "t", MOMENTS * 251)
    with pytest.raises(ValueError, match="at most 999 events"):
        list_bytes("edl", "t", MOMENTS * 250)
    with pytest.raises(ValueError, match="frame rate"):
        list_bytes("edl", "t", MOMENTS, "17")


def test_films_tell_their_properties(tmp_path):
    path = media_samples.write_film(tmp_path / "a.mp4", 1.0, codec="libx264")
    assert read_film(str(path)) == {
        "frame_rate": 24.0, "width": 64, "height": 48, "channels": 2, "sample_rate": 44_100,
        "timecode": None,
    }  # fmt: skip
    silent = media_samples.write_film(tmp_path / "b.mkv", 1.0, audio=None)
    assert read_film(str(silent))["channels"] == 0
    with pytest.raises(MediaError, match="no such file"):
        read_film(str(tmp_path / "gone.mp4"))
    sound = media_samples.write_wav(tmp_path / "a.wav", media_samples.tone(0.1, 16_000, 0.0))
    with pytest.raises(MediaError, match="no video stream"):
        read_film(str(sound))


def test_a_cameras_timecode_is_the_start(tmp_path):
    path = tmp_path / "camera.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["timecode"] = "10:20:30:05"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    facts = read_film(str(path))
    assert facts["timecode"] == "10:20:30:05"
    shown = Film("camera.mov", file_url(path), 2.0, **facts)
    moment = Entry("k", shown, 0.4, 1.0)
    (event,) = read_edl(list_bytes("edl", "t", [moment]).decode())
    assert event[2:4] == ["10:20:30:15", "10:20:31:05"]
    ((_, start, _, _, _),), assets, _ = read_fcpxml(list_bytes("fcpxml", "t", [moment]))
    (asset,) = assets.values()
    begin = 10 * 3600 + 20 * 60 + 30 + fractions.Fraction(5, 25)
    assert seconds(asset.get("start")) == begin and start == begin + fractions.Fraction(2, 5)
    assert asset.find("media-rep").get("src") == path.as_uri()
    odd = Film("a.mp4", "a.mp4", 2.0, 25.0, timecode="nonsense")
    assert odd.begin == 0
