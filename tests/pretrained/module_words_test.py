# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Words from the tables of modules, whatever fills them."""

import gzip
import shutil

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.pretrained import import_haiku_checkpoint, words_of_module
from mmv_tf.pretrained.table_words import words_from_ids
from tests import modules
from tests.pretrained import checkpoints

IDS = {word: index for index, word in enumerate(modules.WORDS)}


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        *[(modules.write_tf1, kind) for kind in ("file", "pairs", "strings", "computed")],
        *[(modules.write_tf2, kind) for kind in ("file", "pairs", "strings", "mutable")],
    ],
)
def test_the_words_of_each_kind_of_table(write, kind, tmp_path):
    found = words_of_module(write(tmp_path / "module", kind))
    assert found == IDS
    assert list(found) == list(modules.WORDS)


def test_the_largest_table_counts_and_ids_of_its_own(tmp_path):
    """A table of labels beside that of the words, and one from ids to words."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["b", "a", "c"], np.array([9, 4, 9], np.int64)), -1
    )
    labels = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["x", "y"], np.array([0, 1], np.int64)), -1
    )
    names = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(np.arange(3, dtype=np.int64), ["u", "v", "w"]), ""
    )
    root = tf.train.Checkpoint(table=table, labels=labels, names=names)
    tf.saved_model.save(root, str(tmp_path / "module"))
    assert words_of_module(tmp_path / "module") == {"a": 4, "b": 9, "c": 9}


def test_a_table_from_ids_to_words_will_do(tmp_path):
    names = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(np.arange(3, dtype=np.int64), ["u", "v", "w"]), ""
    )
    tf.saved_model.save(tf.train.Checkpoint(names=names), str(tmp_path / "module"))
    assert words_of_module(tmp_path / "module") == {"u": 0, "v": 1, "w": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("red", "", "grey"), "word 1 is empty"),
        (("red", "grey", "red"), "words 0 and 2 are both 'red'"),
        (("red", b"gr\xe9y", "blue"), "word 1 is .* not UTF-8 text"),
    ],
)
def test_words_that_can_not_be_are_named(words, message, tmp_path):
    folder = modules.write_tf1(tmp_path / "module")
    data = b"\n".join(word if isinstance(word, bytes) else word.encode() for word in words)
    (folder / "assets" / "words.txt").write_bytes(data + b"\n")
    with pytest.raises(ValueError, match=message) as caught:
        words_of_module(folder)
    assert "\n" not in str(caught.value)


def test_modules_without_words_are_refused(tmp_path):
    root = tf.train.Checkpoint(variable=tf.Variable(0.0))
    tf.saved_model.save(root, str(tmp_path / "module"))
    with pytest.raises(ValueError, match="holds no readable table of words"):
        words_of_module(tmp_path / "module")
    with pytest.raises(ValueError, match=r"has no saved_model\.pb"):
        words_of_module(tmp_path)


def test_a_damaged_checkpoint_or_a_missing_list_is_an_error_of_one_line(tmp_path):
    folder = modules.write_tf2(tmp_path / "module", "mutable")
    (folder / "variables" / "variables.index").write_bytes(b"\x00" * 64)
    with pytest.raises(ValueError, match=r"variables\.index is damaged"):
        words_of_module(folder)
    folder = modules.write_tf1(tmp_path / "other")
    shutil.rmtree(folder / "assets")
    with pytest.raises(ValueError, match="lacks its asset"):
        words_of_module(folder)


def test_an_imported_network_gets_the_words_of_its_module(tmp_path):
    checkpoint = tmp_path / "tiny.pkl"
    checkpoint.write_bytes(gzip.decompress(checkpoints.COMMITTED.read_bytes()))
    rows = import_haiku_checkpoint(checkpoint).text.vocabulary_size
    words = ["<pad>", "<unk>", "red", *(f"word{index}" for index in range(3, rows))]
    module = modules.write_tf1(tmp_path / "module", "strings", words)
    model = import_haiku_checkpoint(checkpoint, vocabulary=module)
    assert model.metadata["words"]["matched"] == rows - 2
    assert model.tokenizer(["Red word5, nothing"]).numpy()[0, :3].tolist() == [2, 5, 0]
    shorter = modules.write_tf1(tmp_path / "shorter", "strings", words[:-4])
    message = rf"{rows - 4} words with ids from 0 to {rows - 5}, but the word table has {rows} rows"
    with pytest.raises(ValueError, match=message):
        import_haiku_checkpoint(checkpoint, vocabulary=shorter)
    # Without the names of the first two: rows 2 and on.
    unnamed = modules.write_tf2(tmp_path / "unnamed", "file", words[2:])
    model = import_haiku_checkpoint(checkpoint, vocabulary=unnamed, first_word_id=2)
    assert model.tokenizer(["red word5"]).numpy()[0, :3].tolist() == [2, 5, 0]


def test_ids_that_the_table_lacks_are_refused():
    table = np.ones([4, 2], np.float32)
    tokenizer, found = words_from_ids(table, {"red": 1, "big": 2, "large": 2})
    assert tokenizer(["large big red"]).numpy()[0, :4].tolist() == [2, 2, 1, 0]
    assert (found["matched"], found["unmatched"], found["first_word_id"]) == (2, 2, 1)
    for words in ({"red": 1, "big": 4}, {"red": 1}, {"red": -1, "big": 0}):
        with pytest.raises(ValueError, match=r"the word table has 4 rows"):
            words_from_ids(table, words)
