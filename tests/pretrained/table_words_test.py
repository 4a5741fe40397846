# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging

import keras
import numpy as np
import pytest

import mmv_tf
from mmv_tf.pretrained.table_words import read_vocabulary, words_from_list, words_from_vectors
from tests.pretrained import checkpoints
from tests.pretrained.word_rows_test import write

WORDS = ["rabbit", "flower", "soup", "café", "Paris", "o'clock", "New_York", "##", "猫", "guitar"]
VECTORS = np.random.default_rng(5).standard_normal((len(WORDS), 6)).astype(np.float32)
PADDING = np.zeros((1, 6), np.float32)
OTHER = np.full((1, 6), 0.5, np.float32)


def ids(tokenizer, sentence):
    return tokenizer([sentence]).numpy()[0].tolist()


def test_a_list_names_the_rows_in_their_order():
    tokenizer, found = words_from_list(VECTORS, WORDS, max_words=4)
    assert tokenizer.vocabulary[: len(WORDS)] == WORDS
    assert ids(tokenizer, "The guitar, café!") == [9, 3, 0, 0]
    assert found["matched"] == 10 and found["unmatched"] == 0
    json.dumps(found)


@pytest.mark.parametrize("first", [0, 1, 2, 5])
def test_the_first_words_id(first):
    table = np.concatenate([OTHER] * first + [VECTORS])
    tokenizer, found = words_from_list(table, WORDS, first, max_words=3)
    assert ids(tokenizer, "soup guitar") == [first + 2, first + 9, 0]
    assert (found["padding_id"], found["unknown_id"]) == (0, 1 if first > 1 else None)
    assert tokenizer.knows(tokenizer(["soup", "nothing", ""])).numpy().tolist() == [1, 0, 0]


def test_fewer_words_than_rows():
    tokenizer, found = words_from_list(VECTORS, WORDS[:4], max_words=3)
    assert ids(tokenizer, "guitar soup") == [2, 0, 0]
    assert (found["matched"], found["unmatched"]) == (4, 6)


def test_special_names_are_no_words():
    words = ["<unk>", *WORDS[:4], "<PAD>", *WORDS[4:]]
    table = np.concatenate([OTHER, VECTORS[:4], PADDING, VECTORS[4:]])
    tokenizer, found = words_from_list(table, words, max_words=3)
    assert ids(tokenizer, "guitar unk pad rabbit") == [11, 1, 5]
    assert (found["padding_id"], found["unknown_id"]) == (5, 0)
    assert (found["matched"], found["unmatched"]) == (10, 2)
    assert not tokenizer.knows(tokenizer(["<pad> <unk>"])).numpy().any()
    assert tokenizer.knows(tokenizer(["rabbit"])).numpy().all()


def test_a_word_of_row_0_may_have_to_pad(caplog):
    tokenizer, _ = words_from_list(VECTORS, WORDS, max_words=3)
    assert "Row 0 pads short sentences and is also the row of 'rabbit'" in caplog.messages[0]
    assert ids(tokenizer, "soup rabbit") == [2, 0, 0]
    assert tokenizer.knows(tokenizer(["soup rabbit", "rabbit"])).numpy().tolist() == [True, False]


def test_a_row_of_zeros_pads():
    table = np.concatenate([VECTORS, PADDING, PADDING])
    tokenizer, found = words_from_list(table, WORDS, max_words=2)
    assert ids(tokenizer, "rabbit") == [0, 10]
    assert tokenizer.knows(tokenizer(["rabbit"])).numpy().all()
    assert (found["padding_id"], found["unknown_id"]) == (10, 11)


def test_words_are_found_as_sentences_say_them():
    tokenizer, _ = words_from_list(VECTORS, WORDS, max_words=3)
    assert tokenizer.vocabulary[len(WORDS) :] == ["paris", "oclock"]
    assert ids(tokenizer, "PARIS") == [4, 0, 0]
    assert ids(tokenizer, "O’Clock york cafe\u0301") == [5, 3, 0]
    # A word that is the form itself comes before one that is written otherwise.
    tokenizer, _ = words_from_list(VECTORS, ["x", "May", "may", "MAY"], max_words=3)
    assert ids(tokenizer, "may") == [0, 0, 0], "a stop word"
    tokenizer, _ = words_from_list(VECTORS, ["x", "Cat", "cat", "CAT", "Dog", "DOG"], max_words=3)
    assert ids(tokenizer, "Cat dog") == [2, 4, 0]


def test_a_file_of_vectors_names_the_rows(tmp_path):
    table = np.concatenate([PADDING, OTHER, OTHER, VECTORS[::-1]])
    path = write(tmp_path / "v.bin", ["other", *WORDS], np.concatenate([-OTHER, VECTORS]))
    table = np.concatenate([table, np.repeat(VECTORS[:1], 40, axis=0)])
    tokenizer, found = words_from_vectors(table, path, max_words=4)
    assert ids(tokenizer, "rabbit guitar") == [12, 3, 0, 0]
    assert found == {
        "matched": 50,
        "equal": 50,
        "same direction": 0,
        "nearest": 0,
        "unmatched": 3,
        "zeros": 1,
        "rows_without_a_word": {
            "0": "zeros",
            "1": "a vector that 2 rows hold",
            "2": "a vector that 2 rows hold",
        },
        "words": 12,
        "padding_id": 0,
        "unknown_id": 1,
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty; expected words"),
        (b"a\nb\n\nc\n", "line 3 is empty; expected a word"),
        (b"a\n \t\n", "line 2 is empty"),
        (b"\na\n", "line 1 is empty"),
        (b"a\nb\r\na\n", "line 3 is 'a', like line 1; expected each word once"),
        ("a\ncafé\n".encode("latin-1"), "line 2: byte 0xe9 is not UTF-8"),
        ("a\nb\n".encode("utf-16-le"), "expected UTF-8 text"),
    ],
)
def test_wrong_lists_are_one_line(data, message, tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_vocabulary(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_lists_as_editors_write_them(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffa\r\n b \r\n\u0085\r\na\u2028b".encode())
    assert read_vocabulary(path) == ["a", "b", "\u0085", "a\u2028b"]
    with pytest.raises(ValueError, match="No such file"):
        read_vocabulary(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("words", "first", "message"),
    [
        (["a"] * 2, 0, "word 2 is 'a', like word 1"),
        ([""], 0, "word 1 is empty"),
        ([], 0, "holds no words"),
        (["a\nb"], 0, "line break"),
        ([1], 0, "expected a string"),
        (["<pad>", "<unk>"], 0, "no words except '<pad>', '<unk>'"),
        ([*WORDS, "more"], 0, "has 11 words, but the word table has only 10 rows from row 0 on"),
        (WORDS, 1, "has 10 words, but the word table has only 9 rows from row 1 on"),
        (WORDS, 10, "first_word_id is 10; expected a row of the word table, 0 to 9"),
        (WORDS, -1, "first_word_id is -1"),
    ],
)
def test_words_that_are_not_the_tables(words, first, message):
    with pytest.raises(ValueError, match=message) as caught:
        words_from_list(VECTORS, words, first)
    assert "\n" not in str(caught.value)


# Whole checkpoints.


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A checkpoint with the vectors of a file of words in a shuffled order; its words by row."""
    folder = tmp_path_factory.mktemp("stand_in")
    random = np.random.default_rng(0)
    words = [f"word{index}" for index in range(90)] + ["the", "rabbit", "smells", "flowers"]
    vectors = random.standard_normal((len(words), 10)).astype(np.float32)
    order = random.permutation(90)[:40]
    order[5:7] = [91, 93]
    tree = checkpoints.tiny_tree("s3d")
    table = vectors[order].copy()
    tree["params"]["text_audio_video/text_module/~/embed"]["embeddings"] = table
    checkpoints.write(folder / "c.pkl", tree)
    write(folder / "v.bin", words, vectors)
    return folder, [words[index] for index in order], table


def text_oracle(model, row_ids):
    """What the text tower and its head make of rows of the table, in NumPy."""
    table = model.text.embedding.embeddings.numpy().astype(np.float64)
    kernel, bias = (w.numpy().astype(np.float64) for w in model.text.projection.weights)
    words = np.maximum(table[row_ids] @ kernel + bias, 0).max(axis=1)
    head = model.text_to_coarse.projection
    return words @ head.kernel.numpy() + head.bias.numpy()


@pytest.mark.slow
def test_a_shuffled_checkpoint_gets_all_its_words_back(stand_in, tmp_path):
    folder, by_row, table = stand_in
    model = mmv_tf.import_haiku_checkpoint(folder / "c.pkl", word_vectors=folder / "v.bin")
    assert model.tokenizer.vocabulary == by_row
    assert model.metadata["words"]["matched"] == 40
    assert model.metadata["words"]["word_vectors"] == "v.bin"
    np.testing.assert_array_equal(model.text.embedding.embeddings, table)
    listed = mmv_tf.import_haiku_checkpoint(folder / "c.pkl", vocabulary=by_row)
    (tmp_path / "words.txt").write_text("\n".join(by_row) + "\n")
    from_file = mmv_tf.import_haiku_checkpoint(
        folder / "c.pkl", vocabulary=str(tmp_path / "words.txt")
    )
    sentences = [f"The rabbit, {by_row[3]}!", by_row[30], f"nothing {by_row[9]} flowers"]
    expected = np.zeros((3, 16), int)
    expected[0, :2], expected[1, 0], expected[2, :2] = [5, 3], 30, [9, 6]
    model.save(tmp_path / "m.keras")
    loaded = mmv_tf.load_model(tmp_path / "m.keras")
    assert loaded.metadata == model.metadata
    for one in (model, listed, from_file, loaded):
        np.testing.assert_array_equal(one.tokenizer(sentences), expected)
        answer = one({"text": one.tokenizer(sentences)})["text"]["vat"]
        np.testing.assert_allclose(answer, text_oracle(one, expected), rtol=1e-4, atol=1e-4)


def test_without_words_it_is_said_how_to_give_them(stand_in, caplog):
    folder, *_ = stand_in
    with caplog.at_level(logging.WARNING):
        model = mmv_tf.import_haiku_checkpoint(folder / "c.pkl")
    assert model.tokenizer is None
    assert "words" not in model.metadata
    (message,) = caplog.messages
    assert "has no text input" in message
    assert "word_vectors" in message and "vocabulary" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary": ["a"], "word_vectors": "v.bin"}, "pass only one"),
        ({"first_word_id": 2}, "there is no vocabulary"),
        ({"vocabulary": [f"w{index}" for index in range(41)]}, "has 41 words, but .* 40 rows"),
    ],
)
def test_wrong_arguments(arguments, message, stand_in):
    with pytest.raises(ValueError, match=message):
        mmv_tf.import_haiku_checkpoint(stand_in[0] / "c.pkl", **arguments)


def test_a_wrong_file_of_vectors_is_told_before_the_checkpoint_is_read(tmp_path):
    (tmp_path / "v.bin").write_bytes(b"3000000 300\n" + bytes(1000))
    with pytest.raises(ValueError, match=r"v\.bin declares 3000000 vectors of 300 values, more"):
        mmv_tf.import_haiku_checkpoint(tmp_path / "none.pkl", word_vectors=tmp_path / "v.bin")
    with pytest.raises(FileNotFoundError):
        mmv_tf.import_haiku_checkpoint(tmp_path / "none.pkl", word_vectors=tmp_path / "no.bin")


@pytest.mark.slow
def test_a_saved_network_keeps_its_special_ids(stand_in, tmp_path):
    folder, by_row, _ = stand_in
    words = [*by_row[:10], "<pad>", *by_row[11:]]
    model = mmv_tf.import_haiku_checkpoint(folder / "c.pkl", vocabulary=words)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert (loaded.tokenizer.padding_id, loaded.tokenizer.unknown_id) == (10, None)
    assert loaded.tokenizer(["rabbit"]).numpy()[0, :3].tolist() == [5, 10, 10]
