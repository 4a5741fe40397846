# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.captions.cues import has_word_times, plain_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b", "a < b"),
        ("I <3 you", "I <3 you"),
        ("if x<y and z>w", "if x<y and z>w"),
        ("x<b and z>w", "x<b and z>w"),
        ("x<v and z>w", "x<v and z>w"),
        ("<laughs> vector<int>", "<laughs> vector<int>"),
        ("<v Bob>hi</v> <v.loud Ann B>ho", "hi ho"),
        ("<c.yellow.bg_blue>a</c><i>b</i><B>c</B><u>d</u><s>e</s>", "abcde"),
        ('<font color="#ff0000" size=2>a</font>', "a"),
        ("<lang en-GB>a</lang> <ruby>b<rt>c</rt></ruby>", "a bc"),
        ("stir<00:00:00.960><c> the</c><00:01,5> soup", "stir the soup"),
        ("{\\an8}up {curly}", "up {curly}"),
        ("a<br>b<br />c", "a b c"),
        ("Q&amp;A &lt;i&gt; &amp;lt; &nbsp; x", "Q&A <i> &lt; x"),
    ],
)
def test_plain_lines(text, expected):
    assert plain_lines([text]) == (expected,)


def test_blank_lines_go():
    assert plain_lines([" ", "a  b", "\u200b &nbsp;", "<i></i>", "<v", "Bob>c"]) == ("a b", "c")


def test_times_of_words():
    assert has_word_times("a<00:00:00.960><c> b</c>")
    assert not has_word_times("a <i>b</i> <3")
