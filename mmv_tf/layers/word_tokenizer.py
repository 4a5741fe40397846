# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers that turn sentences into word ids in the graph, with core string operations only."""

from __future__ import annotations

import collections
import os
import unicodedata
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.layers.base import Layer, check_sizes
from mmv_tf.layers.unicode_nfc import nfc

# Ours: English function words, which describe nothing that is seen or heard; MMV's list is not
# published. Words for position and direction (up, under, behind, out ...) are kept.
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
# Rules for punctuation: a pattern and its replacement.
JOINED = "joined"
_REPLACED = {
    JOINED: (r"[^\pL\pN]+", " "),
    "split": (r"[^\pL\pN]+", " "),
    "words": (r"[^\pL\pN_']+", " "),
    "removed": (r"[[:punct:]]", ""),
}
PUNCTUATION = (*_REPLACED, "kept")
_RULES = ("stop_words", "keep_unknown", "padding_id", "unknown_id")
_FILE = "vocabulary.txt"  # the name that Keras uses
_IDS_FILE = "word_ids.npy"


class _Lookup(keras.layers.StringLookup):
    """Lookup table that reads its saved vocabulary exactly as it was written.

    Keras' table reads it with `str.splitlines`, which treats GloVe's word U+0085 as a line break
    and would thereby shift the ids of the following words.
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

    The rules, in order: normalize to Unicode NFC (a letter and its combining accent become one
    character); lowercase; drop a possessive 's and other apostrophes ("don't" -> "dont"); split at
    everything but letters and digits; drop stop words; drop words outside the vocabulary (or map
    them to `unknown_id`); keep the first `max_words`, and pad with `padding_id`. The layer uses
    only core `tf.strings` operations, so that a SavedModel with it loads anywhere. MMV (Alayrac et
    al., 2020) removes stop words and keeps 16 words; its other rules are not published.

    Args:
      vocabulary: the words, most frequent first, stored in NFC; word i gets id i + 2, or its id in
        `word_ids`. It may be omitted to load a saved layer.
      max_words: length of the result.
      stop_words: words to remove.
      keep_unknown: map unknown words to `unknown_id` instead of dropping them.
      word_ids: one id per word, for a table of word vectors in another order; words may share ids.
      padding_id: id that pads short sentences.
      unknown_id: id of unknown words; None if the table has no row for them.
      lower: whether to lowercase sentences.
      punctuation: rule for punctuation, for tables whose words were cleaned differently. "joined",
        as above; "split": split at everything but letters and digits ("don't" -> "don", "t");
        "words": keep "_" and "'" in words ("don't"); "removed": drop ASCII punctuation ("don't" ->
        "dont", "well-known" -> "wellknown") and split at spaces; "kept": split at spaces.

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
            raise ValueError("The vocabulary is not a list of words, or is empty.")
        if words is not None and len(set(words)) != len(words):
            again = collections.Counter(words).most_common(1)[0][0]
            raise ValueError(f"The vocabulary contains {again!r} more than once.")
        for word in words or ():
            if "\n" in word:
                raise ValueError(
                    f"The vocabulary's word {word!r} contains a line break, but vocabularies are "
                    "saved with one word per line; leave that word out."
                )
        self.padding_id = padding_id
        self.unknown_id = unknown_id
        self.word_ids = _checked_ids(word_ids, words, padding_id, unknown_id, keep_unknown)
        # Ids 0 and 1 of the table are the padding ("") and the unknown token.
        self.lookup = _Lookup(mask_token="", oov_token="[UNK]", output_mode="int")  # noqa: S106
        if words is not None:
            # Set later, so that the vocabulary is saved as a file and not in the configuration.
            self.lookup.set_vocabulary(self.as_looked_up(words))

    @property
    def vocabulary(self) -> list[str]:
        """Words without the padding and unknown tokens."""
        return self.lookup.get_vocabulary(include_special_tokens=False)

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, including padding and unknown; a table needs at least as many rows."""
        if self._places_are_ids:
            return self.lookup.vocabulary_size()
        return 1 + int(self._table().max())

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: the layer has no variables."""
        self.built = True

    def __call__(self, sentences: Any, **kwargs: Any) -> tf.Tensor:
        """Apply the layer to a tensor, or to (lists of) Python strings."""
        if not isinstance(sentences, keras.KerasTensor):
            sentences = tf.convert_to_tensor(sentences, tf.string)
        return super().__call__(sentences, **kwargs)

    def compute_output_spec(self, sentences: keras.KerasTensor) -> keras.KerasTensor:
        """Return the result of a symbolic call: int32, whatever the layer's dtype."""
        return keras.KerasTensor(self.compute_output_shape(sentences.shape), dtype="int32")

    def call(self, sentences: tf.Tensor) -> tf.Tensor:
        """Apply the layer to the inputs."""
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
        """Split strings [N] into cleaned words [N, (words)]."""
        text = nfc(sentences)
        if self.lower:
            text = tf.strings.lower(text, encoding="utf-8")
        if self.punctuation == JOINED:
            text = join_apostrophes(text)
        if self.punctuation != "kept":
            text = tf.strings.regex_replace(text, *_REPLACED[self.punctuation])
        return tf.strings.split(text)

    def as_looked_up(self, words: Sequence[str]) -> list[str]:
        """Return the vocabulary in the form in which a sentence's words are looked up."""
        return _composed(words)

    def knows(self, ids: tf.Tensor) -> tf.Tensor:
        """Return whether ids [..., max_words] include a known word, as booleans [...].

        Sentences without one all have the same embedding.
        """
        known = ids != self.padding_id
        if self.unknown_id is not None:
            known &= ids != self.unknown_id
        return tf.reduce_any(known, axis=-1)

    def look_up(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Convert words [N, (words)] to int32 positions, one per word or subword.

        Word i of the vocabulary has position i + 2, after `PADDING_ID` and `UNKNOWN_ID`.
        """
        return words.with_flat_values(tf.cast(self.lookup(words.flat_values), tf.int32))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [..., max_words]."""
        return (*input_shape, self.max_words)

    def save_assets(self, dir_path: str) -> None:
        """Save the word ids beside the weights (called by Keras)."""
        if self.word_ids is not None:
            np.save(os.path.join(dir_path, _IDS_FILE), self.word_ids, allow_pickle=False)

    def load_assets(self, dir_path: str) -> None:
        """Load the files that `save_assets` wrote (called by Keras); most tokenizers have none."""
        path = os.path.join(dir_path, _IDS_FILE)
        if os.path.exists(path):
            self.word_ids = np.load(path, allow_pickle=False)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments except the vocabulary and ids, which are saved as files.

        `padding_id`, `unknown_id`, `lower` and `punctuation` are included only if they differ from
        their defaults, so that models that predate these arguments keep their hashes.
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
        """Return the id at each position, int32."""
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
    """Return the ids of the words as int32 [words].

    Raises:
      ValueError: their number differs from the number of words, or one is negative or taken.
    """
    if keep_unknown and unknown_id is None:
        raise ValueError(
            "keep_unknown needs an id for unknown words, but unknown_id is None; set it."
        )
    for name, value in (("padding_id", padding_id), ("unknown_id", unknown_id)):
        if value is not None and value < 0:
            raise ValueError(f"{name} is {value}; expected a row of the table, 0 or more.")
    if word_ids is None:
        return None
    ids = np.asarray(word_ids)
    if ids.shape != (len(words or ()),) or ids.dtype.kind not in "iu":
        raise ValueError(
            f"word_ids is {ids.dtype} {list(ids.shape)}; expected one integer for each of the "
            f"{len(words or ())} words."
        )
    if ids.min() < 0 or ids.max() > np.iinfo(np.int32).max:
        raise ValueError(f"word_ids range from {ids.min()} to {ids.max()}; expected 0 to 2^31 - 1.")
    if unknown_id is not None and unknown_id in ids:
        raise ValueError(
            f"word_ids has {unknown_id}, the id of unknown words; set another unknown_id, or None."
        )
    return ids.astype(np.int32)


@keras.saving.register_keras_serializable("mmv_tf")
class MilNceTokenizer(WordTokenizer):
    r"""Words by the rules of MIL-NCE's S3D: strings [...] -> int32 word ids [..., max_words].

    The rules, in order: lowercase; a word is a run of letters, digits, "_" and "'" (also "don't");
    drop words outside the vocabulary; keep the first `max_words`, and pad with id 0. There are
    no stop words and no id for unknown words: word i has id i + 1. Letters and digits are those of
    `\w` in Python's `re`, so a combining accent ends a word.

    Source: https://github.com/antoine77340/S3D_HowTo100M (`Sentence_Embedding`).

    Args:
      vocabulary: the words in the order of the table's rows, starting after row 0, the padding.
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
        """Split strings [N] into words [N, (words)]."""
        text = tf.strings.unicode_transcode(sentences, "UTF-8", "UTF-8", replacement_char=ord(" "))
        text = tf.strings.lower(text, encoding="utf-8")
        return tf.strings.split(tf.strings.regex_replace(text, r"[^\pL\pN_']+", " "))

    def as_looked_up(self, words: Sequence[str]) -> list[str]:
        """Return the vocabulary unchanged."""
        return list(words)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments except the vocabulary."""
        config = super().get_config()
        return {key: value for key, value in config.items() if key not in _RULES}


def _composed(words: Sequence[str]) -> list[str]:
    """Convert words to NFC, like sentences; a word whose NFC is another word does not change."""
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
    """Turn "rabbit's" into "rabbit" and "don't" into "dont", with typographic apostrophes too."""
    text = tf.strings.regex_replace(text, "[’`]", "'")
    text = tf.strings.regex_replace(text, r"'s\b", "")
    return tf.strings.regex_replace(text, "'", "")
