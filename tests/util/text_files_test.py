# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.util.text_files import read_text, well_formed


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\r\nb\n", "a\nb\n"),
        (b"a\rb", "a\nb"),  # No other line end: that of old Macs.
        (b"a\rb\r\nc\r\r\n", "a b\nc \n"),
        ("\ufeffa\n\ufeffb\ufeffc".encode(), "a\nb\ufeffc"),
        ("a\u2028b\x85c\x0bd\n".encode(), "a\u2028b\x85c\x0bd\n"),
        ("é\n".encode("utf-16"), "é\n"),
        (b"\xfe\xff" + "é\r\n".encode("utf-16-be"), "é\n"),
        (b"\xff\xfe\0\0" + "é".encode("utf-32-le"), "é"),
        (b"a long\0line\n" + b"\0" * 40, "a long line\n" + " " * 40),
    ],
)
def test_read_text(tmp_path, data, expected):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert read_text(path, 100) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"x" * 101, "has 101 bytes; at most 100"),
        (b"a\n\xff", "line 2: byte 0xff is not UTF-8"),
        (b"\xff\xfe" + "a\n".encode("utf-16-le") + b"b", "line 2: byte 0x62 is not UTF-16"),
        ("hello".encode("utf-16-le"), r"line 1: got 5 zero bytes of 10; .*iconv"),
    ],
)
def test_what_is_refused(tmp_path, data, message):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_text(path, 100)


def test_well_formed():
    assert well_formed("é") == "é"
    assert well_formed("\ud83d\ude00") == "\N{GRINNING FACE}"
    assert well_formed("a\ud83d \udce9") == "a\ufffd \ufffd"
