# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.captions import read_caption_file, read_captions

ONE, TWO = "00:00:01.000 --> 00:00:02.000", "00:00:03.000 --> 00:00:04.000"


def texts(tmp_path, content, name="a.srt"):
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return [caption.text for caption in read_captions(tmp_path / name)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"1\n{ONE}\na\n\nslowly\n\n2\n{TWO}\nb\n", ["a slowly", "b"]),
        (f"1\n{ONE}\n\na\n\n\n2\n\n{TWO}\n\nb\n", ["a", "b"]),  # Blank lines everywhere.
        (f"1\n{ONE}\na\n \t\nslowly\n2\n{TWO}\nb\n", ["a slowly", "b"]),
        (f"1\r\r\n{ONE}\r\r\na\r\r\n\r\r\n2\r\r\n{TWO}\r\r\nb\r\r\n", ["a", "b"]),
        (f"1\r{ONE}\ra\r\r2\r{TWO}\rb", ["a", "b"]),
        (f"{ONE}\na\n{TWO}\nb\n", ["a", "b"]),  # Without numbers and blank lines.
        (f"1\n{ONE}\na\n2\n{TWO}\nb\n", ["a", "b"]),
        (f"1\n{ONE}\n10\n\n2\n{TWO}\n9\n\n8\n", ["10", "9 8"]),  # Numbers as text.
        (
            f"1\n{ONE.replace(' ', '')} X1:40 X2:600 Y1:20 Y2:50\n9:30 -> b --> c\n",
            ["9:30 -> b --> c"],
        ),
        ("1\n100:00:01,5 --> 100:00:02,5\na\n", ["a"]),
        (f"\ufeff1\n{ONE}\na\n\n\ufeff2\n{TWO}\nb\n", ["a", "b"]),  # Joined files.
        (f"1\n{ONE}\na\u2028b\x85c\n\n2\n{TWO}\nd\n", ["a b c", "d"]),
        (f"1\n{ONE}\na\0b\n", ["a b"]),
        (f"WEBVTT\n\n{ONE}\na\n", ["a"]),  # A WebVTT file named .srt.
        (f"1\n{ONE}\ncafé\n".encode("utf-16"), ["café"]),
        (b"\xfe\xff" + f"1\n{ONE}\ncafé\n".encode("utf-16-be"), ["café"]),
    ],
)
def test_subrip_as_it_is_written(tmp_path, content, expected):
    assert texts(tmp_path, content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"WEBVTT\n\n{ONE.replace('.', ',')}\na\n", ["a"]),
        (f"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n{ONE}\na\n", ["a"]),
        (
            "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:10.000,MPEGTS:900000\n"
            f"{ONE}\na\n\nSTYLE\n::cue {{}}\n\nREGION\nid:x\n\nNOTE\n\nname\n{TWO}\nb\n",
            ["a", "b"],
        ),
        # Segments of a stream: a cue in both counts once.
        (f"WEBVTT\n\n{ONE}\na\n\ufeffWEBVTT\n\n{ONE}\na\n\n{TWO}\nb\n", ["a", "b"]),
    ],
)
def test_webvtt_as_it_is_written(tmp_path, content, expected):
    assert texts(tmp_path, content, "a.vtt") == expected


def test_lines_after_a_comment_are_no_caption(tmp_path):
    path = tmp_path / "a.vtt"
    path.write_text(f"WEBVTT\n\n{ONE}\na\n\nNOTE one\n\ntwo\n\n{TWO}\nb\n\nslowly\n")
    file = read_caption_file(path)
    assert [caption.text for caption in file.captions] == ["a", "b slowly"]
    assert file.left_out.counts == {"lines_outside_captions": 1}
    assert "line 8: got 'two'" in file.left_out.first["lines_outside_captions"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n{ONE}\na\n",
            "line 2: got 'X-TIMESTAMP-MAP.*a stream's clock",
        ),
        (f"WEBVTT\nX-TIMESTAMP-MAP=what\n\n{ONE}\na\n", "line 2: got 'X-TIMESTAMP-MAP"),
        (f"WEBVTT\n\n{TWO}\na\n\nWEBVTT\n\n{ONE}\nb\n", "line 8: .*times restart"),
    ],
)
def test_times_that_count_from_elsewhere_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        texts(tmp_path, content, "a.vtt")
