# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.captions import Caption, read_captions

WHISPER = [(0, 2500, "stir the soup"), (2500, 5000, "until it boils"), (5000, 8000, "then serve")]


def read(tmp_path, header, rows, suffix=".tsv"):
    separator = "\t" if suffix == ".tsv" else ","
    lines = [header, *rows]
    text = "".join(separator.join(map(str, line)) + "\n" for line in lines)
    (tmp_path / f"a{suffix}").write_text(text)
    return [(c.start, c.end, c.text) for c in read_captions(tmp_path / f"a{suffix}")]


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_whisper_writes_milliseconds(tmp_path, suffix):
    expected = [(start / 1000, end / 1000, text) for start, end, text in WHISPER]
    assert read(tmp_path, ("start", "end", "text"), WHISPER, suffix) == expected
    assert read(tmp_path, ("start", "end", "text"), [(0, 30_000, "you")], suffix) == [
        (0.0, 30.0, "you")
    ]


def test_an_odd_time_does_not_change_the_unit(tmp_path):
    rows = [("nan", 5, "x"), *WHISPER, ("soon", 9000, "y"), (9000, 9000, "z")]
    found = read(tmp_path, ("start", "end", "text"), rows)
    assert found == [(start / 1000, end / 1000, text) for start, end, text in WHISPER]


def test_whisper_by_words(tmp_path):
    rows = [(300 * i, 300 * i + 280, f"word{i}") for i in range(200)]
    assert read(tmp_path, ("start", "end", "text"), rows)[1] == (0.3, 0.58, "word1")
    with pytest.raises(ValueError, match="may be seconds or milliseconds"):
        read(tmp_path, ("start", "end", "text"), rows[:20])


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (("start", "end", "text"), (0, 3, "stir the soup"), (0, 3)),
        (("start", "end", "text"), ("0.0", "3", "stir the soup"), (0, 3)),
        (("start", "end", "text"), ("0:02", "250", "stir the soup"), (2, 250)),
        (("start", "end", "caption"), (0, 3, "stir the soup"), (0, 3)),
        (("start", "end", "text", "label"), (0, 600, "cooking", "x"), (0, 600)),
        (("start_ms", "end_ms", "text"), (0, 3, "stir the soup"), (0, 0.003)),
        (("start_seconds", "end_seconds", "text"), (0, 2500, "stir the soup"), (0, 2500)),
    ],
)
def test_units(tmp_path, header, row, expected):
    ((start, end, _),) = read(tmp_path, header, [row])
    assert (start, end) == expected


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (("start", "end", "text"), (0, 300, "landscape")),  # A table of slow speech, or Whisper's.
        (("start", "end", "text"), (0, 30, "you")),
        (("start", "end", "caption"), (0, 2500, "stir the soup")),
        (("start", "end", "text"), ("0.0", "2500.0", "stir the soup")),
    ],
)
def test_units_that_stay_open_are_refused(tmp_path, header, row):
    message = "line 2: got the times .* name the columns start_seconds"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, header, [row])


def test_a_clock_is_no_number_of_milliseconds(tmp_path):
    rows = [(0, 2500, "stir the soup"), (2500, "0:05", "until it boils")]
    assert len(read(tmp_path, ("start_ms", "end_ms", "text"), rows)) == 1
    with pytest.raises(ValueError, match="line 2: got the time '0:05'; expected milliseconds"):
        read(tmp_path, ("start_ms", "end_ms", "text"), rows[1:])


def test_quotes_and_line_separators(tmp_path):
    rows = [("0.5", "3", '"Stir it'), ("3", "4", 'she "says'), ("4", "5", "a\u2028b\x85c")]
    assert [text for *_, text in read(tmp_path, ("start", "end", "text"), rows)] == [
        '"Stir it',
        'she "says',
        "a b c",
    ]
    with pytest.raises(ValueError, match="line 2: a cell's quote that opens here is not closed"):
        read(tmp_path, ("start", "end", "text"), rows, ".csv")


def test_labels(tmp_path):
    (tmp_path / "a.tsv").write_text("start\tend\tsubject\tcaption\n1\t2\tbird\tit sings\n")
    assert read_captions(tmp_path / "a.tsv") == [Caption(1.0, 2.0, "it sings", "bird")]
