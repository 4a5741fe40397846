# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.search.words import readable, shortened, units, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's 5 o'clock!", ["it", "s", "5", "o", "clock"]),
        ("Crème BRÛLÉE, naïve", ["creme", "brulee", "naive"]),
        ("Straße ΆΛΦΑ ё", ["strasse", "αλφα", "е"]),
        ("ｆｕｌｌ ①", ["full", "1"]),
        ("日本語abc", ["日", "本", "語", "abc"]),
        ("がギ", ["が", "ギ"]),
        ("हिन्दी", ["हिन्दी"]),
        ("한국어 말", ["한국어", "말"]),
        ("a_b-c\0d\u200be\ud83d", ["a", "b", "c", "d", "e"]),
        ("x" * 100, ["x" * 64]),
        ("...", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_units():
    assert units("The dog, the DOG") == [("the",), ("dog",)]
    assert units("犬") == [("犬",)]
    assert units("切洋葱 now") == [("切", "洋"), ("洋", "葱"), ("now",)]
    assert units("") == []


def test_readable():
    assert readable("a\x1b[31m\n b\u202e\x9b\0c") == "a [31m b c"
    assert readable("می\u200cخواهم 👩\u200d🍳") == "می\u200cخواهم 👩\u200d🍳"
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcde fgh", 7) == "abcde…"
