# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import struct
import subprocess
import sys

import keras
import numpy as np
import pytest

from mmv_tf.layers import SentencePieceTokenizer, UnicodeTokenizer, WordPieceTokenizer

WORDS = ["strasse", "кошка", "猫", "fin", "30", "cm", "oclock", "東京", "tower", "ångström"]


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Die Straße, STRASSE!", ["strasse", "strasse"]),
        ("КОШКА и кошка", ["кошка", "кошка"]),
        ("A\u030angstro\u0308m, Ångström", ["ångström", "ångström"]),
        ("猫 ﬁn ＦＩＮ", ["猫", "fin", "fin"]),
        ("30cm o’clock", ["30", "cm", "oclock"]),
        ("東京Tower", ["東京", "tower"]),
        ("the a ...", []),
        ("", []),
    ],
)
def test_words_of_other_languages(sentence, words):
    ids = UnicodeTokenizer(WORDS, max_words=4)([sentence]).numpy()
    expected = [WORDS.index(word) + 2 for word in words]
    np.testing.assert_array_equal(ids, [expected + [0] * (4 - len(expected))])


def test_bytes_that_are_no_utf8_are_survived():
    assert UnicodeTokenizer(WORDS, max_words=2)([b"fin \xff\xfe 30"]).numpy().tolist() == [[5, 6]]


def test_the_longest_pieces_are_taken():
    pieces = ["flow", "flower", "##s", "##er", "un", "##know", "##n"]
    layer = WordPieceTokenizer(pieces, max_words=5)
    np.testing.assert_array_equal(
        layer([["Flowers flow", "the zebra flow"], ["unknown", ""]]),
        [[[3, 4, 2, 0, 0], [2, 0, 0, 0, 0]], [[6, 7, 8, 0, 0], [0, 0, 0, 0, 0]]],
    )
    kept = WordPieceTokenizer(pieces, max_words=3, keep_unknown=True)
    np.testing.assert_array_equal(kept(["zebra flow"]), [[1, 2, 0]])


def sentence_piece_model(pieces):
    """A unigram model of equally likely pieces, written as the protocol buffer that it is."""

    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    def piece(text, score, kind):
        body = field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, kind])
        return field(1, body)

    special = [piece("<unk>", 0.0, 2), piece("<s>", 0.0, 3), piece("</s>", 0.0, 3)]
    normal = [piece(text, -1.0, 1) for text in pieces]
    normaliser = field(3, field(1, b"identity") + b"\x18\x01\x20\x01\x28\x01")
    return b"".join(special + normal) + field(2, b"\x18\x01") + normaliser


def test_sentence_pieces_are_the_models():
    layer = SentencePieceTokenizer(sentence_piece_model(["▁flow", "er", "s", "▁"]), max_words=4)
    # <unk>, <s>, </s>, then the pieces: "▁flow" is 3 to the model and 5 here.
    np.testing.assert_array_equal(layer(["flowers", "flow er"])[:, :3], [[5, 6, 7], [5, 8, 6]])
    assert layer.vocabulary_size == 9 and layer.vocabulary[3] == "▁flow"
    np.testing.assert_array_equal(layer(["flow zz"])[0, :2], [5, 8])
    without = SentencePieceTokenizer(layer.model, max_words=4, stop_words=["s"])
    np.testing.assert_array_equal(without(["Flow s"]), [[5, 0, 0, 0]])
    with pytest.raises(ValueError, match="no SentencePiece model"):
        SentencePieceTokenizer()(["x"])


@pytest.mark.parametrize(
    "layer",
    [
        UnicodeTokenizer(WORDS, max_words=3),
        WordPieceTokenizer(["fin", "##e", "un"], max_words=3, stop_words=()),
        SentencePieceTokenizer(sentence_piece_model(["▁fin", "e"]), max_words=3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_saved_and_loaded_it_is_the_same(layer, tmp_path):
    expected = layer(["fine fin", "Straße"]).numpy()
    assert expected.any()

    model = keras.Sequential([keras.Input([], dtype="string"), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[-1]
    np.testing.assert_array_equal(loaded(["fine fin", "Straße"]), expected)


@pytest.mark.slow
def test_tensorflow_text_is_imported_at_the_first_call_only():
    program = (
        "import sys, mmv_tf.layers as layers\n"
        "assert 'tensorflow_text' not in sys.modules\n"
        "print(layers.UnicodeTokenizer(['fin'], max_words=1)(['fin']).numpy().tolist())\n"
        "assert 'tensorflow_text' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[[2]]", done.stderr[-2000:]


def test_without_tensorflow_text_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(ValueError, match=r'pip install "mmv_tf\[text\]"'):
        UnicodeTokenizer(["strasse"], max_words=2)(["Die Straße"])
