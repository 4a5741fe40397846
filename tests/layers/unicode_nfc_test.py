# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""NFC in the graph against Python's unicodedata."""

import random
import sys
import unicodedata

import pytest
import tensorflow as tf

from mmv_tf.layers import unicode_nfc

CHARACTERS = [chr(p) for p in range(sys.maxunicode + 1) if not 0xD800 <= p < 0xE000]


@pytest.fixture(scope="module")
def nfc():
    return tf.function(unicode_nfc.nfc, input_signature=[tf.TensorSpec([None], tf.string)])


def assert_composed(nfc, texts):
    found = [text.decode() for text in nfc(texts).numpy()]
    wrong = [
        (text, got)
        for text, got in zip(texts, found, strict=True)
        if got != unicodedata.normalize("NFC", text)
    ]
    assert not wrong, [[f"{ord(c):x}" for c in text] for text, _ in wrong[:5]]


def test_every_character_and_its_decomposition(nfc):
    changing = [c for c in CHARACTERS if unicodedata.normalize("NFD", c) != c]
    assert len(changing) > 12_000
    assert_composed(nfc, changing)
    assert_composed(nfc, [unicodedata.normalize("NFD", c) for c in changing])
    assert_composed(nfc, [unicodedata.normalize("NFD", c) + "x" + c for c in changing[:2500]])


def test_drawn_strings_of_letters_and_marks(nfc):
    draw = random.Random(0)
    tables = unicode_nfc._tables()
    pools = [
        [chr(p) for p in tables.marks],
        [chr(p) for p in tables.decomposed],
        [chr(p // unicode_nfc._SHIFT) for p in tables.pairs],
        [chr(p % unicode_nfc._SHIFT) for p in tables.pairs],
        [chr(p) for p in range(0x1100, 0x1200)],
        [chr(p) for p in range(0x20, 0x250)],
        list("\u0300\u0301\u0323eA\u0345\0"),
    ]
    texts = [
        "".join(draw.choice(draw.choice(pools)) for _ in range(draw.randrange(9)))
        for _ in range(20_000)
    ]
    assert_composed(nfc, texts)


def test_odd_strings(nfc):
    assert nfc([]).shape == (0,)
    assert_composed(nfc, ["", "\u0301", "e", "e\u0301", "\u0301e", "e\u0301\0\u0301"])
    assert nfc([b"e\xcc\x81\xff"]).numpy()[0].decode() == "\u00e9\ufffd"
    assert nfc([b"e\xff"]).numpy()[0] == b"e\xff", "nothing to compose: left as it is"
