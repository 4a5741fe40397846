# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.util.safe_files import NUMBER, Count, Name, Positive, check_form, parse_json, read_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 201 + "]" * 201, "nested more than 200 deep"),
        ("[" * 1_000_000, "nested more than 200 deep"),
        ('{"a": ' * 300 + "1" + "}" * 300, "nested more than 200 deep"),
        ("9" * 301, "an integer of 301 digits"),
        ("[-" + "9" * 10_000 + "]", "an integer of 10001 digits"),
        ("[1,\n2,\n]", "line 3: not JSON"),
        (b'"\xff"', "byte 1 is not UTF-8"),
        ("", "not JSON"),
    ],
)
def test_what_could_end_a_program_later_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as raised:
        parse_json(text)
    assert len(str(raised.value)) < 100


def test_the_limits_themselves_are_read():
    deep = parse_json("[" * 200 + "]" * 200)
    assert str(deep) and deep == deep
    assert float(parse_json("9" * 300)) > 1e299
    assert parse_json(b"\xef\xbb\xbf{}") == {}


def test_files_are_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    assert read_json(path, [Count]) == [1, 2]
    for form, size, message in (
        ([str], 9, r"\[0\] is 1; expected a string"),
        ([int], 3, "6 bytes"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            read_json(path, form, size)
        assert str(path) in str(raised.value)
    with pytest.raises(OSError, match="Is a directory"):
        read_json(tmp_path)


FORM = {"rate": (Positive, None), "files": [{"name": Name, "size?": Count}], "by": {str: NUMBER}}
GOOD = {"rate": 0.5, "files": [{"name": "a.b"}, {"name": "c", "size": 0}], "by": {"x": 1, "y": 0.5}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0}, "rate is 0; expected a number above 0 or null"),
        ({"rate": True}, "rate is true"),
        ({"rate": float("inf")}, "rate is Infinity"),
        ({"files": {}}, "files is {}; expected a list"),
        ({"files": [{}]}, r"lacks files\[0\]\.name"),
        ({"files": [{"name": "../x"}]}, "expected the name of a file"),
        ({"files": [{"name": ".."}]}, "expected the name of a file"),
        ({"files": [{"name": "a", "size": -1}]}, r"files\[0\]\.size is -1"),
        ({"files": [{"name": "a", "size": 2**63}]}, "expected a whole number, 0 or more"),
        ({"by": {"x": "1"}}, "by.x is"),
        ({"by": {"x": float("nan")}}, "by.x is NaN"),
    ],
)
def test_forms(changes, message):
    check_form(GOOD, FORM)
    check_form({**GOOD, "other": object}, FORM)
    with pytest.raises(ValueError, match=message):
        check_form({**GOOD, **changes}, FORM)
