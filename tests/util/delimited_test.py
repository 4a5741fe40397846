# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from mmv_tf.util.text_files import read_cells


def read(name, text):
    return list(read_cells(pathlib.Path(name), text))


def test_tsv_has_no_quoting():
    text = 'a\tb\n"x\t1\n\n \t \ny"\t"2"\u2028z\n'
    assert read("a.TSV", text) == [(1, ["a", "b"]), (2, ['"x', "1"]), (5, ['y"', '"2"\u2028z'])]


def test_csv():
    text = 'a,b\n"x, ""y""","1\n2"\n\n3,4\u2028\x85 "5"'
    assert read("a.csv", text) == [
        (1, ["a", "b"]),
        (2, ['x, "y"', "1\n2"]),
        (5, ["3", '4\u2028\x85 "5"']),
    ]
    assert read("a.csv", "") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\n1,"x\n2,y\n', 2),
        ('a,b\n1,x\n2,"y', 3),
        ('a,b\n1,"x\ny","z\n2,3\n', 3),  # The second of the row's quotes is open.
        ('a,b\n1,"Stir it\n2,pour\n3,"Knead\n', 2),  # Closed by that of another row.
        ('a,b\n1,"x"y\n', 2),
    ],
)
def test_the_line_where_a_quote_opened(text, line):
    with pytest.raises(ValueError, match=rf"a.csv, line {line}: a cell's quote .* not closed"):
        read("a.csv", text)
