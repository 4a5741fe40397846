# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The word tokenizer's rules on the captions of MSR-VTT's and YouCook2's test lists."""

import csv
import pathlib
import re
import unicodedata

import numpy as np
import pytest

from mmv_tf.layers import WordTokenizer
from mmv_tf.layers.word_tokenizer import ENGLISH_STOP_WORDS

_FOLDER = "shared/benchmarks_lists"
LISTS = {"msrvtt_test.csv": "sentence", "validation_youcook.csv": "text"}
FOLDERS = [parent / _FOLDER for parent in pathlib.Path(__file__).resolve().parents]
FOLDER = next((folder for folder in FOLDERS if folder.is_dir()), None)


def words_of(sentence):
    """The rules once more, letter by letter."""
    letters = []
    sentence = sentence.lower().replace("’", "'").replace("`", "'")
    sentence = re.sub(r"'s(?![A-Za-z0-9_])", "", sentence).replace("'", "")
    for letter in sentence:
        letters.append(letter if unicodedata.category(letter)[0] in "LN" else " ")
    return [word for word in "".join(letters).split() if word not in set(ENGLISH_STOP_WORDS)]


@pytest.mark.skipif(FOLDER is None, reason="the lists are not here")
@pytest.mark.parametrize("name", LISTS)
def test_the_rules_on_real_captions(name):
    with open(FOLDER / name, encoding="utf-8", newline="") as file:
        sentences = [row[LISTS[name]] for row in csv.DictReader(file)]
    expected = [words_of(sentence) for sentence in sentences]
    vocabulary = sorted({word for words in expected for word in words})
    ids = WordTokenizer(vocabulary)(sentences).numpy()
    assert ids.shape == (len(sentences), 16)
    found = [[vocabulary[i - 2] for i in row if i] for row in ids]
    assert found == [words[:16] for words in expected]
    # Real captions are short: hardly one is cut, and hardly one says nothing.
    lengths = np.array([len(words) for words in expected])
    assert len(sentences) > 900 and (lengths > 16).mean() < 0.02 and (lengths == 0).mean() < 0.005
