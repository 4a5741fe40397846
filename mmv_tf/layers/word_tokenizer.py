# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sentences to word ids, in the graph and with core string operations only."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.layers.base import Layer, check_sizes
from mmv_tf.layers.unicode_nfc import nfc

# Ours: English function words that say nothing about what is seen or heard. The list that MMV used
# was not published. Words of place and direction (up, under, behind, out ...) stay in the text.
ENGLISH_STOP_WORDS = tuple(
    """a an the this that these those and or but nor so if than then as of to for with by at from
    i me my mine we us our ours you your yours he him his she her hers it its they them their
    theirs who whom whose which what there here is am are was were be been being do does did done
    have has had having will would shall should can could may might must not no yes too very just
    also only own same such some any each both all more most other few own about into when where
    while because until im ive youre dont thats its were gonna let lets""".split()
)

PADDING_ID = 0
UNKNOWN_ID = 1
FIRST_WORD_ID = 2
# Treatments of punctuation; what is replaced by what.
JOINED = "joined"
_REPLACED = {
    JOINED: (r"[^\pL\pN]+", " "),
    "split": (r"[^\pL\pN]+", " "),
    "words": (r"[^\pL\pN_']+", " "),
    "removed": (r"[[:punct:]]", ""),
}
PUNCTUATION = (*_REPLACED, "kept")
_RULES = ("stop_words", "keep_unknown", "padding_id", "unknown_id")
_FILE = "vocabulary.txt"  # as Keras names it
_IDS_FILE = "word_ids.npy"


class _Lookup(keras.layers.StringLookup):
    """Reads its saved vocabulary as it was written.

    Keras' own reads it with `str.splitlines`, which takes GloVe's word U+0085 for the end of a
    line, so that the words after it would get other ids.
    """

    def save_assets(self, dir_path: str) -> None:
        words = self.get_vocabulary(include_special_tokens=True)
        with open(os.path.join(dir_path, _FILE), "w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(words))

    def load_assets(self, dir_path: str) -> None:
        with open(os.path.join(dir_path, _FILE), encoding="utf-8", newline="\n") as file:
            self.set_vocabulary(file.read().split("\n"))


@keras.saving.register_keras_serializable("mmv_tf")
class WordTokenizer(Layer):
    """Strings of any shape [...] -> int32 word ids [..., max_words].

    The rules, in order: Unicode's form NFC (a letter and its combining accent become one
    character); lower case; a possessive 's falls away; other apostrophes are dropped ("don't" ->
    "dont"); everything but letters and digits separates words; stop words go; words outside the
    vocabulary go (or get `unknown_id`); the first `max_words` stay, the rest is `padding_id`.
    Core `tf.strings` operations only, so that a SavedModel with this layer inside loads anywhere.
    MMV removes stop words and cuts to 16 (PAPER section 1); its other rules are not known.

    Args:
      vocabulary: the words, most frequent first; word i gets id i + 2, or that of `word_ids`. They
        are kept in NFC. May be left out when the layer is about to be loaded from a file.
      max_words: length of the result.
      stop_words: words to remove.
      keep_unknown: give unknown words `unknown_id` instead of leaving them out.
      word_ids: one id a word, for a table of word vectors that has an order of its own; several
        words may have the same one.
      padding_id: fills up short sentences.
      unknown_id: of unknown words; None for a table that has no row for them.
      lower: make sentences lower case.
      punctuation: its treatment, for tables whose words were cleaned by other rules. "joined", as
        above; "split": everything but letters and digits separates words ("don't" -> "don", "t");
        "words": these, "_" and "'" are parts of words ("don't"); "removed": ASCII punctuation is
        dropped ("don't" -> "dont", "well-known" -> "wellknown") and spaces separate words; "kept":
        spaces alone do.

    Example:
    >>> WordTokenizer(["rabbit", "smells"], max_words=4)(["The rabbit's nose: it smells!"]).numpy()
    array([[2, 3, 0, 0]], dtype=int32)
    """

    def __init__(
        self,
        vocabulary: Sequence[str] | None = None,
        max_words: int = 16,
        stop_words: Sequence[str] = ENGLISH_STOP_WORDS,
        keep_unknown: bool = False,
        word_ids: Sequence[int] | None = None,
        padding_id: int = PADDING_ID,
        unknown_id: int | None = UNKNOWN_ID,
        lower: bool = True,
        punctuation: str = JOINED,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_sizes(max_words=max_words)
        if punctuation not in PUNCTUATION:
            raise ValueError(
                f"punctuation is {punctuation!r}; expected one of {', '.join(PUNCTUATION)}."
            )
        self.lower = lower
        self.punctuation = punctuation
        self.max_words = max_words
        self.stop_words = tuple(sorted(set(stop_words)))
        self.keep_unknown = keep_unknown
        words = None if vocabulary is None else list(vocabulary)
        if words is not None and (
            isinstance(vocabulary, str) or not words or not all(type(w) is str for w in words)
        ):
            raise ValueError("The vocabulary is no list of words, or an empty one.")
        if words is not None and len(set(words)) != len(words):
            raise ValueError("The vocabulary holds a word more than once.")
        for word in words or ():
            if "\n" in word:
                raise ValueError(
                    f"The vocabulary's word {word!r} holds the end of a line; it is saved with one "
                    "word a line: leave that word out."
                )
        self.padding_id = padding_id
        self.unknown_id = unknown_id
        self.word_ids = _checked_ids(word_ids, words, padding_id, unknown_id, keep_unknown)
        # Its own ids 0 and 1 are the padding ("") and the unknown token.
        self.lookup = _Lookup(mask_token="", oov_token="[UNK]", output_mode="int")  # noqa: S106
        if words is not None:
            # Set afterwards, the vocabulary is saved as a file and not inside the configuration.
            self.lookup.set_vocabulary(self.as_looked_up(words))

    @property
    def vocabulary(self) -> list[str]:
        """The words, without the padding and unknown tokens."""
        return self.lookup.get_vocabulary(include_special_tokens=False)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, padding and unknown included: rows that a table needs at least."""
        if self._places_are_ids:
            return self.lookup.vocabulary_size()
        return 1 + int(self._table().max())

    def build(self, input_shape: Any = None) -> None:
        """Nothing to create."""
        self.built = True

    def __call__(self, sentences: Any, **kwargs: Any) -> tf.Tensor:
        """Keras layers take tensors only; sentences may also come as (lists of) Python strings."""
        if not isinstance(sentences, keras.KerasTensor):
            sentences = tf.convert_to_tensor(sentences, tf.string)
        return super().__call__(sentences, **kwargs)

    def compute_output_spec(self, sentences: keras.KerasTensor) -> keras.KerasTensor:
        """Of a symbolic call; the result is int32 whatever the layer's dtype."""
        return keras.KerasTensor(self.compute_output_shape(sentences.shape), dtype="int32")

    def call(self, sentences: tf.Tensor) -> tf.Tensor:
        """See the class."""
        words = self.split(tf.reshape(sentences, [-1]))
        if self.stop_words:
            stop_words = tf.constant(
                [unicodedata.normalize("NFC", word) for word in self.stop_words], tf.string
            )
            stop = tf.reduce_any(words.flat_values[:, tf.newaxis] == stop_words, axis=1)
            words = tf.ragged.boolean_mask(words, words.with_flat_values(~stop))
        places = self.look_up(words)
        keep = places.flat_values != PADDING_ID
        if not self.keep_unknown:
            keep &= places.flat_values != UNKNOWN_ID
        kept = tf.ragged.boolean_mask(places, places.with_flat_values(keep))
        if not self._places_are_ids:
            kept = kept.with_flat_values(tf.gather(self._table(), kept.flat_values))
        dense = kept.to_tensor(default_value=self.padding_id, shape=[None, self.max_words])
        shape = tf.concat([tf.shape(sentences), [self.max_words]], axis=0)
        result = tf.reshape(dense, shape)
        result.set_shape([*sentences.shape, self.max_words])
        return result

    def split(self, sentences: tf.Tensor) -> tf.RaggedTensor:
        """Strings [N] -> cleaned words [N, (words)]."""
        text = nfc(sentences)
        if self.lower:
            text = tf.strings.lower(text, encoding="utf-8")
        if self.punctuation == JOINED:
            text = join_apostrophes(text)
        if self.punctuation != "kept":
            text = tf.strings.regex_replace(text, *_REPLACED[self.punctuation])
        return tf.strings.split(text)

    def as_looked_up(self, words: Sequence[str]) -> list[str]:
        """The vocabulary in the form that words of sentences have."""
        return _composed(words)

    def knows(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids [..., max_words] -> booleans [...]: whether there is a known word among them.

        Sentences without one all get the same embedding.
        """
        known = ids != self.padding_id
        if self.unknown_id is not None:
            known &= ids != self.unknown_id
        return tf.reduce_any(known, axis=-1)

    def look_up(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Words [N, (words)] -> int32 places, as many or (of parts of words) more.

        Word i of the vocabulary has place i + 2; `PADDING_ID` and `UNKNOWN_ID` are the others.
        """
        return words.with_flat_values(tf.cast(self.lookup(words.flat_values), tf.int32))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[..., max_words]."""
        return (*input_shape, self.max_words)

    def save_assets(self, dir_path: str) -> None:
        """Keras: what is saved beside the weights, besides the vocabulary."""
        if self.word_ids is not None:
            np.save(os.path.join(dir_path, _IDS_FILE), self.word_ids, allow_pickle=False)

    def load_assets(self, dir_path: str) -> None:
        """Keras: the counterpart of `save_assets`. Most tokenizers have no ids of their own."""
        path = os.path.join(dir_path, _IDS_FILE)
        if os.path.exists(path):
            self.word_ids = np.load(path, allow_pickle=False)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments but the vocabulary and its ids, which are saved as files.

        Ids of padding and unknown words, `lower` and `punctuation` stand there only where they are
        not the usual ones, so that a network's hash is what it was before there were others.
        """
        special = {
            name: value
            for name, value, usual in (
                ("padding_id", self.padding_id, PADDING_ID),
                ("unknown_id", self.unknown_id, UNKNOWN_ID),
                ("lower", self.lower, True),
                ("punctuation", self.punctuation, JOINED),
            )
            if value != usual
        }
        return {
            **super().get_config(),
            "max_words": self.max_words,
            "stop_words": self.stop_words,
            "keep_unknown": self.keep_unknown,
            **special,
        }

    @property
    def _places_are_ids(self) -> bool:
        usual = (self.padding_id, self.unknown_id) == (PADDING_ID, UNKNOWN_ID)
        return usual and self.word_ids is None

    def _table(self) -> np.ndarray:
        """Place -> id, int32."""
        ids = self.word_ids
        if ids is None:
            ids = np.arange(FIRST_WORD_ID, self.lookup.vocabulary_size())
        unknown = self.padding_id if self.unknown_id is None else self.unknown_id
        return np.concatenate([[self.padding_id, unknown], ids]).astype(np.int32)


def _checked_ids(
    word_ids: Sequence[int] | None,
    words: Sequence[str] | None,
    padding_id: int,
    unknown_id: int | None,
    keep_unknown: bool,
) -> np.ndarray | None:
    """The words' ids as int32 [words].

    Raises:
      ValueError: they are not as many as the words, below 0, or taken.
    """
    if keep_unknown and unknown_id is None:
        raise ValueError("keep_unknown gives unknown words an id and unknown_id is None; give one.")
    for name, value in (("padding_id", padding_id), ("unknown_id", unknown_id)):
        if value is not None and value < 0:
            raise ValueError(f"{name} is {value}; expected a row of the table, 0 or more.")
    if word_ids is None:
        return None
    ids = np.asarray(word_ids)
    if ids.shape != (len(words or ()),) or ids.dtype.kind not in "iu":
        raise ValueError(
            f"word_ids is {ids.dtype} {list(ids.shape)}; expected an integer for each of the "
            f"{len(words or ())} words."
        )
    if ids.min() < 0 or ids.max() > np.iinfo(np.int32).max:
        raise ValueError(f"word_ids reach from {ids.min()} to {ids.max()}; expected 0 to 2^31 - 1.")
    if unknown_id is not None and unknown_id in ids:
        raise ValueError(
            f"word_ids holds {unknown_id}, the id of unknown words; give another unknown_id, or "
            "None."
        )
    return ids.astype(np.int32)


@keras.saving.register_keras_serializable("mmv_tf")
class MilNceTokenizer(WordTokenizer):
    r"""Words by the rules of MIL-NCE's S3D: strings [...] -> int32 word ids [..., max_words].

    The rules, in order: lower case; a run of letters, digits, "_" and "'" is a word ("don't" is
    one); words outside the vocabulary go; the first `max_words` stay, the rest is id 0. There are
    no stop words and no id for unknown words: word i has id i + 1. "Letters and digits" are those
    of `\w` in Python's `re`, so a combining accent ends a word.

    Source: https://github.com/antoine77340/S3D_HowTo100M (`Sentence_Embedding`).

    Args:
      vocabulary: the words, in the order of their rows in the table, which has one row more, the
        first, for padding.
      max_words: length of the result.

    Example:
    >>> MilNceTokenizer(["open", "door"], max_words=3)(["Open the DOOR!"]).numpy()
    array([[1, 2, 0]], dtype=int32)
    """

    def __init__(self, vocabulary: Sequence[str] | None = None, max_words: int = 16, **kwargs: Any):
        ids = None if vocabulary is None else range(1, len(vocabulary) + 1)
        super().__init__(
            vocabulary, max_words, stop_words=(), word_ids=ids, unknown_id=None, **kwargs
        )

    def split(self, sentences: tf.Tensor) -> tf.RaggedTensor:
        """Strings [N] -> words [N, (words)]."""
        text = tf.strings.unicode_transcode(sentences, "UTF-8", "UTF-8", replacement_char=ord(" "))
        text = tf.strings.lower(text, encoding="utf-8")
        return tf.strings.split(tf.strings.regex_replace(text, r"[^\pL\pN_']+", " "))

    def as_looked_up(self, words: Sequence[str]) -> list[str]:
        """The vocabulary as it is."""
        return list(words)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments but the vocabulary."""
        config = super().get_config()
        return {key: value for key, value in config.items() if key not in _RULES}


def _composed(words: Sequence[str]) -> list[str]:
    """The words in NFC, as sentences are; one whose NFC is a word itself stays as it is."""
    taken = set(words)
    found = []
    for word in words:
        composed = unicodedata.normalize("NFC", word)
        if composed not in taken:
            taken.add(composed)
            word = composed
        found.append(word)
    return found


def join_apostrophes(text: tf.Tensor) -> tf.Tensor:
    """Turns "rabbit's" into "rabbit" and "don't" into "dont"; typographic apostrophes count."""
    text = tf.strings.regex_replace(text, "[’`]", "'")
    text = tf.strings.regex_replace(text, r"'s\b", "")
    return tf.strings.regex_replace(text, "'", "")
