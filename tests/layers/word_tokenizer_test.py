# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import MilNceTokenizer, WordTokenizer
from tests.pretrained.mil_nce_reference import word_ids

WORDS = ["rabbit", "smells", "flower", "dont", "café", "under", "2", "猫"]


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("The rabbit's nose: it smells!", ["rabbit", "smells"]),
        ("RABBIT, Flower...smells", ["rabbit", "flower", "smells"]),
        ("rabbit’s flower", ["rabbit", "flower"]),
        ("rabbit under the flower", ["rabbit", "under", "flower"]),
        ("CAFÉ 2 猫", ["café", "2", "猫"]),
        ("2-rabbit_flower", ["2", "rabbit", "flower"]),
        ("", []),
        ("   \n\t ", []),
        ("the a of", []),
        ("unheard-of words", []),
        ("rabbit " * 9, ["rabbit"] * 6),
    ],
)
def test_rules(sentence, words):
    ids = WordTokenizer(WORDS, max_words=6)([sentence]).numpy()
    expected = [WORDS.index(word) + 2 for word in words]
    np.testing.assert_array_equal(ids, [expected + [0] * (6 - len(expected))])


def test_an_apostrophe_inside_a_word_is_dropped():
    layer = WordTokenizer(WORDS, max_words=2, stop_words=())
    np.testing.assert_array_equal(layer(["don't", "don’t"]), [[5, 0], [5, 0]])


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({}, ["dont", "well", "known", "paris"]),
        ({"lower": False}, ["Dont", "well", "known", "Paris"]),
        ({"punctuation": "split"}, ["don", "t", "well", "known", "paris", "s"]),
        ({"punctuation": "words"}, ["don't", "well", "known", "paris's"]),
        ({"punctuation": "removed"}, ["dont", "wellknown", "pariss"]),
        ({"punctuation": "kept", "lower": False}, ["Don't", "well-known,", "Paris's!"]),
    ],
)
def test_rules_of_other_tables(rules, words, tmp_path):
    known = list(dict.fromkeys(["don", "t", "s", *words]))
    layer = WordTokenizer(known, max_words=6, stop_words=(), **rules)
    expected = [known.index(word) + 2 for word in words]
    sentence = "Don't  well-known, Paris's!"
    np.testing.assert_array_equal(layer([sentence])[0], expected + [0] * (6 - len(words)))
    inputs = keras.Input([], dtype="string")
    keras.Model(inputs, layer(inputs)).save(tmp_path / "tokenizer.keras")
    loaded = keras.saving.load_model(tmp_path / "tokenizer.keras")
    np.testing.assert_array_equal(loaded(tf.constant([sentence])), layer([sentence]))


def test_unknown_words_may_be_kept():
    layer = WordTokenizer(WORDS, max_words=3, keep_unknown=True)
    np.testing.assert_array_equal(layer(["a rabbit glows"]), [[2, 1, 0]])


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_any_shape(shape):
    layer = WordTokenizer(WORDS, max_words=4)
    ids = layer(tf.fill(shape, "rabbit"))
    assert ids.shape == (*shape, 4)
    assert ids.dtype == tf.int32


def test_bytes_that_are_no_utf8_are_survived():
    layer = WordTokenizer(WORDS, max_words=2)
    assert layer(tf.constant([b"rabbit \xff\xfe"])).numpy()[0, 0] == 2


def test_a_word_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="more than once"):
        WordTokenizer(["rabbit", "rabbit"])


def naive_ids(sentence, words, word_ids, padding_id, unknown_id, max_words):
    known = dict(zip(words, word_ids, strict=True))
    ids = [known.get(word, unknown_id) for word in sentence.split()]
    return ([one for one in ids if one is not None] + [padding_id] * max_words)[:max_words]


@pytest.mark.parametrize(
    ("word_ids", "padding_id", "unknown_id", "keep_unknown"),
    [
        (range(8), 0, None, False),
        ([7, 3, 2, 9, 9, 60_000, 0, 4], 1, None, False),
        ([7, 3, 2, 9, 9, 60_000, 0, 4], 1, 5, True),
        (np.arange(8, dtype=np.int64) + 100, 0, 1, True),
    ],
)
def test_ids_of_a_tables_own_order(word_ids, padding_id, unknown_id, keep_unknown, tmp_path):
    layer = WordTokenizer(
        *(WORDS, 5, (), keep_unknown),
        word_ids=word_ids,
        padding_id=padding_id,
        unknown_id=unknown_id,
    )
    sentences = ["rabbit glows under 2 猫 flower rabbit", "smells", "", "nothing known", "猫 猫"]
    left_out = unknown_id if keep_unknown else None
    expected = [naive_ids(text, WORDS, word_ids, padding_id, left_out, 5) for text in sentences]
    assert layer.vocabulary_size == max(*word_ids, padding_id, unknown_id or 0) + 1
    inputs = keras.Input((), dtype="string")
    keras.Model(inputs, layer(inputs)).save(tmp_path / "tokenizer.keras")
    loaded = keras.saving.load_model(tmp_path / "tokenizer.keras").layers[-1]
    for one in (layer, loaded, tf.function(layer)):
        np.testing.assert_array_equal(one(tf.constant(sentences)), expected)
    assert loaded.get_config() == layer.get_config()
    known = layer.knows(layer(sentences)).numpy().tolist()
    assert known == [True, True, False, False, True]


def test_the_usual_ids_leave_no_trace_in_files(tmp_path):
    layer = WordTokenizer(WORDS)
    assert {"word_ids", "padding_id", "unknown_id"}.isdisjoint(layer.get_config())
    sentences = keras.Input((), dtype="string")
    keras.Model(sentences, layer(sentences)).save(tmp_path / "tokenizer.keras")
    with zipfile.ZipFile(tmp_path / "tokenizer.keras") as file:
        assert not [name for name in file.namelist() if "word_ids" in name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"word_ids": [0, 1]}, r"int64 \[2\]; expected one integer for each of the 8 words"),
        ({"word_ids": [0.5] * 8}, "float64"),
        ({"word_ids": [-1, *range(2, 9)]}, "range from -1"),
        ({"word_ids": [2**40, *range(2, 9)]}, "expected 0 to"),
        ({"word_ids": range(8)}, "has 1, the id of unknown words; set another"),
        ({"padding_id": -1}, "padding_id is -1"),
        ({"unknown_id": -3}, "unknown_id is -3"),
        ({"unknown_id": None, "keep_unknown": True}, "unknown_id is None; set it"),
    ],
)
def test_ids_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WordTokenizer(WORDS, **arguments)


def test_a_treatment_of_punctuation_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="punctuation is 'gone'; expected one of joined, split"):
        WordTokenizer(WORDS, punctuation="gone")


def test_odd_words_are_saved_and_read_again(tmp_path):
    words = ["the", "\u0085", "\u00a0", "a\u2028b", "\x0b", "\x0c", "\x1c", " ", "\r", "sea"]
    layer = WordTokenizer(words, stop_words=())
    sentences = keras.Input((), dtype="string")
    keras.Model(sentences, layer(sentences)).save(tmp_path / "tokenizer.keras")
    loaded = keras.saving.load_model(tmp_path / "tokenizer.keras").layers[-1]
    assert loaded.vocabulary == layer.vocabulary == words


@pytest.mark.parametrize("word", ["a\nb", "\r\n"])
def test_words_that_a_saved_vocabulary_would_lose_are_refused(word):
    with pytest.raises(ValueError, match="contains a line break"):
        WordTokenizer(["the", word])


@pytest.mark.slow
def test_its_saved_model_needs_nothing_of_ours(tmp_path):
    layer = WordTokenizer(WORDS, max_words=6)
    module = tf.Module()
    module.layer = layer
    module.tokenize = tf.function(
        lambda text: {"ids": layer(text)}, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.tokenize)
    program = (
        "import sys, tensorflow as tf\n"
        "sentences = tf.constant(['The rabbit’s café: it smells!', ''])\n"
        f"f = tf.saved_model.load({str(tmp_path / 'saved')!r}).signatures['serving_default']\n"
        "print(f(text=sentences)['ids'].numpy().tolist())\n"
        "assert not {'mmv_tf', 'tensorflow_text'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[[2, 6, 3, 0, 0, 0], [0, 0, 0, 0, 0, 0]]", done.stderr[-3000:]


def test_decomposed_accents_give_the_words_of_composed_ones(tmp_path):
    composed = ["crème brûlée", "Ünïcode für ÉTÉ", "tiếng Việt", "İstanbul", "한국어", "plain"]
    words = "crème brûlée ünïcode für été tiếng việt i stanbul 한국어 plain".split()
    layer = WordTokenizer(words, max_words=4, stop_words=["fu\u0308r"])
    expected = layer(composed).numpy()
    assert expected[0].tolist() == [2, 3, 0, 0]
    assert expected[1].tolist() == [4, 6, 0, 0], "the stop word goes, however it is written"
    for form in ("NFD", "NFKD"):
        np.testing.assert_array_equal(
            layer([unicodedata.normalize(form, text) for text in composed]), expected
        )
    written = WordTokenizer([unicodedata.normalize("NFD", word) for word in words], max_words=4)
    assert written.vocabulary == words
    both = WordTokenizer(["e\u0301", "\u00e9"], max_words=2)
    np.testing.assert_array_equal(both(["e\u0301 \u00e9"]), [[3, 3]])

    # In a SavedModel too, which no operation of others may be in.
    module = tf.Module()
    module.layer = layer
    module.f = tf.function(layer, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    texts = [unicodedata.normalize("NFD", text) for text in composed]
    np.testing.assert_array_equal(loaded.f(texts), expected)


# The rules of MIL-NCE's network.

MIL_NCE_WORDS = ["don't", "a", "it's", "café", "cafe\u0301", "snake_case", "2", "²", "猫", "σας"]


@pytest.mark.parametrize(
    "sentence",
    [
        "Don't A it's",
        "don’t a",
        "CAFÉ, cafe\u0301: snake_case-2 ²",
        "猫 2猫 ΣΑΣ",
        "'a' a''a a",
        "zzz",
        "",
        "  \n\t ",
        "a " * 9,
        "zzz a zzz 2 zzz it's zzz café zzz 猫",
        "a\u200da İa\u00a0a\u2028a",
    ],
)
def test_mil_nce_rules(sentence):
    ids = MilNceTokenizer(MIL_NCE_WORDS, max_words=5)([sentence]).numpy()
    np.testing.assert_array_equal(ids, [word_ids(sentence, MIL_NCE_WORDS, 5)])


def test_mil_nce_splits_where_python_does():
    # Later letters are newer than TensorFlow's tables.
    sentences = [f"x{chr(point)}Y" for point in range(1, 0x2C00)]
    split = MilNceTokenizer(["x"]).split(tf.constant(sentences)).to_list()
    for sentence, words in zip(sentences, split, strict=True):
        assert [word.decode() for word in words] == re.findall(r"[\w']+", sentence.lower())


def test_mil_nce_ids_begin_at_one():
    layer = MilNceTokenizer(["open", "door"], max_words=3)
    assert layer.vocabulary == ["open", "door"]
    assert layer.vocabulary_size == 3
    np.testing.assert_array_equal(layer(["door open", "shut"]), [[2, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(layer.knows(layer(["shut", "open"])), [False, True])


def test_mil_nce_survives_bytes_that_are_no_utf8():
    layer = MilNceTokenizer(["open", "door"], max_words=3)
    np.testing.assert_array_equal(layer([b"open\xff\xfedoor"]), [[1, 2, 0]])
