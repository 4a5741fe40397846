# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers for other languages and for subwords, based on tensorflow-text.

They can replace `WordTokenizer` in a model. A SavedModel that contains one of them loads only where
tensorflow_text has been imported. This module imports it on the first call.
"""

from __future__ import annotations

import os
import pathlib
import types
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.word_tokenizer import (
    ENGLISH_STOP_WORDS,
    FIRST_WORD_ID,
    UNKNOWN_ID,
    WordTokenizer,
    join_apostrophes,
)

_SENTENCE_PIECE_FILE = "sentencepiece.model"


def _tensorflow_text() -> types.ModuleType:
    try:
        import tensorflow_text
    except ImportError as error:
        raise ValueError(
            'This tokenizer needs tensorflow-text: pip install "mmv_tf[text]".'
        ) from error
    return tensorflow_text


@keras.saving.register_keras_serializable("mmv_tf")
class UnicodeTokenizer(WordTokenizer):
    """Words of any language: strings [...] -> int32 word ids [..., max_words].

    It differs from `WordTokenizer` in two rules: letters are case-folded and normalized to NFKC
    ("Straße" and "STRASSE", "ﬁn" and "fin", full-width and plain letters become equal), and a
    change of script ends a word: "30cm" and "東京Tower" are two words each. In languages without
    spaces between words, each run of one script is one word; use `WordPieceTokenizer` or
    `SentencePieceTokenizer` for them.

    Args:
      vocabulary, max_words, stop_words, keep_unknown: see `WordTokenizer`.

    Example:
    >>> UnicodeTokenizer(["strasse"], max_words=2)(["Die Straße"]).numpy()
    array([[2, 0]], dtype=int32)
    """

    def split(self, sentences: tf.Tensor) -> tf.RaggedTensor:
        """Split strings [N] into cleaned words [N, (words)]."""
        text = _tensorflow_text()
        valid = tf.strings.unicode_transcode(sentences, "UTF-8", "UTF-8", replacement_char=ord(" "))
        composed = text.normalize_utf8(valid, "NFC")  # case folding can split a letter and its mark
        folded = text.normalize_utf8(text.case_fold_utf8(composed), "NFKC")
        words = text.UnicodeScriptTokenizer().tokenize(join_apostrophes(folded))
        says = tf.strings.regex_full_match(words.flat_values, r".*[\pL\pN].*")
        return tf.ragged.boolean_mask(words, words.with_flat_values(says))


@keras.saving.register_keras_serializable("mmv_tf")
class WordPieceTokenizer(UnicodeTokenizer):
    """Subwords by longest match: strings [...] -> int32 ids [..., max_words].

    Words are split as in `UnicodeTokenizer`; a word that is not a sequence of pieces is dropped (or
    becomes id 1).

    Args:
      vocabulary: the pieces; those inside a word begin with `suffix`. Piece i gets id i + 2.
      suffix: prefix that marks pieces inside a word.
      max_words, stop_words, keep_unknown: see `WordTokenizer`; `max_words` counts pieces.

    Example:
    >>> WordPieceTokenizer(["flow", "##er", "##s"], max_words=4)(["Flowers!"]).numpy()
    array([[2, 3, 4, 0]], dtype=int32)
    """

    def __init__(
        self,
        vocabulary: Sequence[str] | None = None,
        max_words: int = 16,
        stop_words: Sequence[str] = ENGLISH_STOP_WORDS,
        keep_unknown: bool = False,
        suffix: str = "##",
        **kwargs: Any,
    ):
        super().__init__(vocabulary, max_words, stop_words, keep_unknown, **kwargs)
        self.suffix = suffix

    def look_up(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Convert words [N, (words)] to int32 ids [N, (pieces)]."""
        with tf.init_scope():  # Reads the vocabulary's words, a resource, eagerly.
            pieces = self.vocabulary
        tokenizer = _tensorflow_text().FastWordpieceTokenizer(
            vocab=["[PAD]", "[UNK]", *pieces],
            suffix_indicator=self.suffix,
            unknown_token="[UNK]",  # noqa: S106
            token_out_type=tf.int32,
            no_pretokenization=True,
        )
        return tokenizer.tokenize(words).merge_dims(1, 2)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments except the vocabulary."""
        return {**super().get_config(), "suffix": self.suffix}


@keras.saving.register_keras_serializable("mmv_tf")
class SentencePieceTokenizer(WordTokenizer):
    """Pieces of a SentencePiece model: strings [...] -> int32 ids [..., max_words].

    The SentencePiece model normalizes text by its training rules (NFKC by default). Without stop
    words, its input is the whole sentence; with stop words, it is the remaining words of
    `WordTokenizer`, joined by spaces. Piece i gets id i + 2; the unknown piece is dropped or gets
    id 1.

    Args:
      model: content of a `.model` file. It may be omitted to load a saved layer.
      max_words: number of ids in the result.
      stop_words: words to remove; none by default.
      keep_unknown: give unknown pieces id 1 instead of dropping them.
    """

    def __init__(
        self,
        model: bytes | None = None,
        max_words: int = 16,
        stop_words: Sequence[str] = (),
        keep_unknown: bool = False,
        **kwargs: Any,
    ):
        # The table is not used, but Keras can't load an empty one.
        super().__init__(["unused"], max_words, stop_words, keep_unknown, **kwargs)
        self.model = model
        self._pieces: Any = None

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **kwargs: Any) -> SentencePieceTokenizer:
        """Create a tokenizer from a `.model` file."""
        return cls(pathlib.Path(path).read_bytes(), **kwargs)

    @property
    def pieces(self) -> Any:
        """The tokenizer from tensorflow-text."""
        if self._pieces is None:
            if self.model is None:
                raise ValueError("The tokenizer has no SentencePiece model; pass one.")
            with tf.init_scope():
                self._pieces = _tensorflow_text().SentencepieceTokenizer(self.model, tf.int32)
        return self._pieces

    @property
    def vocabulary(self) -> list[str]:
        """Pieces of the model, in the order of their ids."""
        count = int(self.pieces.vocab_size().numpy())
        return [piece.decode() for piece in self.pieces.id_to_string(tf.range(count)).numpy()]

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, including padding and unknown."""
        return int(self.pieces.vocab_size().numpy()) + FIRST_WORD_ID

    def split(self, sentences: tf.Tensor) -> tf.RaggedTensor:
        """Return sentences [N, (1)], or words [N, (words)] if there are stop words."""
        if self.stop_words:
            return super().split(sentences)
        return tf.RaggedTensor.from_tensor(sentences[:, tf.newaxis])

    def look_up(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Convert the result of `split` to int32 ids [N, (pieces)]."""
        sentences = tf.strings.reduce_join(words, axis=-1, separator=" ")
        found = self.pieces.tokenize(sentences)
        unknown = found.flat_values == self._unknown_piece()
        ids = tf.where(unknown, UNKNOWN_ID, found.flat_values + FIRST_WORD_ID)
        return found.with_flat_values(ids)

    def _unknown_piece(self) -> tf.Tensor:
        """Return the id of unknown pieces in the model."""
        return self.pieces.string_to_id(tf.constant("\ue000 no piece \ue000"))

    def save_assets(self, dir_path: str) -> None:
        """Save the model beside the weights (called by Keras)."""
        if self.model is not None:
            pathlib.Path(dir_path, _SENTENCE_PIECE_FILE).write_bytes(self.model)

    def load_assets(self, dir_path: str) -> None:
        """Load the files that `save_assets` wrote (called by Keras)."""
        self.model = pathlib.Path(dir_path, _SENTENCE_PIECE_FILE).read_bytes()
        self._pieces = None


TOKENIZERS: dict[str, type[WordTokenizer]] = {
    "words": WordTokenizer,
    "unicode": UnicodeTokenizer,
    "wordpiece": WordPieceTokenizer,
    "sentencepiece": SentencePieceTokenizer,
}
