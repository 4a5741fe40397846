# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds the words for an imported table of word vectors, from a list or the vectors' file.

The result is a tokenizer whose ids are the table's rows, so the table does not change.

Padding uses the row named `<pad>` or `[PAD]`, else row 0 if the list begins after it, else the
first all-zero row that has no word, else row 0, as the zeros of an id array do. If that row belongs
to a word, a sentence that consists of this word alone counts as unknown.

Unknown words use the row named `<unk>` or `[UNK]`, else a second row of zeros, else row 1 if a
list begins after it, else the vector that most of the rows without a word hold; there may be none.
Sentences drop unknown words anyway: the id is for `WordTokenizer`'s `keep_unknown`.
"""

from __future__ import annotations

import logging
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.layers import WordTokenizer
from mmv_tf.pretrained.word_rows import find_row_words
from mmv_tf.util.text_files import read_text

logger = logging.getLogger(__name__)

_PADDING_NAMES = ("<pad>", "[pad]")
_UNKNOWN_NAMES = ("<unk>", "[unk]")
# Ours: far larger than any word list.
_MAX_LIST_BYTES = 256 * 2**20
_SHOWN = 16
# Rows without a word where all words have ids: those of padding and unknown words.
_MOST_WORDLESS = 2


def read_vocabulary(path: str | os.PathLike[str]) -> list[str]:
    """Read a list of words, one per line.

    The file is UTF-8, or has another encoding's byte order mark. Spaces and tabs around a word are
    stripped.

    Raises:
      ValueError: the file can't be read, contains no word, an empty line or a duplicate, or has
        another encoding; the message names the line.
    """
    name = os.fspath(path)
    text = read_text(pathlib.Path(path), _MAX_LIST_BYTES).removesuffix("\n")
    if not text:
        raise ValueError(f"{name} is empty; expected words, one per line.")
    return _checked_list([line.strip(" \t") for line in text.split("\n")], f"{name}, line")


def words_from_list(
    table: np.ndarray, words: Sequence[str], first_word_id: int = 0, max_words: int = 16
) -> tuple[WordTokenizer, dict[str, Any]]:
    """Create the tokenizer for a table whose words are known.

    Args:
      table: float32 [rows, dims].
      words: words for the rows starting at `first_word_id`, in order; at most one per row.
      first_word_id: row of the first word.
      max_words: see `WordTokenizer`.

    Returns:
      The tokenizer, and the findings as plain values.

    Raises:
      ValueError: a word is empty, a duplicate or has a line break; or there are more words than
        rows.
    """
    words = _checked_list(words, "word")
    rows = len(table)
    if not 0 <= first_word_id < rows:
        raise ValueError(
            f"first_word_id is {first_word_id}; expected a row of the word table, 0 to {rows - 1}."
        )
    if first_word_id + len(words) > rows:
        raise ValueError(
            f"The vocabulary has {len(words)} words, but the word table has only "
            f"{rows - first_word_id} rows from row {first_word_id} on; expected at most one word "
            "per row: pass the list that the table was made with, and the row of its first word "
            "(first_word_id)."
        )
    named = {word: first_word_id + index for index, word in enumerate(words)}
    zeros = np.flatnonzero(~table.any(axis=1)).tolist()
    leading = list(range(min(first_word_id, 2)))
    tokenizer = _tokenizer(named, zeros, leading, [], max_words)
    special = {row for word, row in named.items() if is_special(word)}
    matched = len(words) - len(special)
    details = {"matched": matched, "unmatched": rows - matched, "first_word_id": first_word_id}
    return tokenizer, {**details, **_specials(tokenizer)}


def words_from_ids(
    table: np.ndarray, words: Mapping[str, int], max_words: int = 16
) -> tuple[WordTokenizer, dict[str, Any]]:
    """Create the tokenizer for a table whose words have ids, such as a module's.

    Args:
      table: float32 [rows, dims].
      words: word -> row. At most two rows may lack a word: those of padding and unknown words.
      max_words: see `WordTokenizer`.

    Returns:
      The tokenizer, and the findings as plain values.

    Raises:
      ValueError: the ids are not the table's rows, or a word is empty or has a line break.
    """
    _checked_list(list(words), "word")
    rows, ids = len(table), set(words.values())
    if min(ids) < 0 or max(ids) >= rows or len(ids) < rows - _MOST_WORDLESS:
        raise ValueError(
            f"The vocabulary has {len(words)} words with ids from {min(ids)} to {max(ids)}, but "
            f"the word table has {rows} rows; expected a word for every row, or for all but one or "
            "two: pass the same network's words."
        )
    zeros = np.flatnonzero(~table.any(axis=1)).tolist()
    leading = list(range(min(*ids, _MOST_WORDLESS)))
    tokenizer = _tokenizer(words, zeros, leading, [], max_words)
    matched = len(ids - {row for word, row in words.items() if is_special(word)})
    details = {"matched": matched, "unmatched": rows - matched, "first_word_id": min(ids)}
    return tokenizer, {**details, **_specials(tokenizer)}


def words_from_vectors(
    table: np.ndarray, path: str | os.PathLike[str], max_words: int = 16
) -> tuple[WordTokenizer, dict[str, Any]]:
    """Create the tokenizer for a table from the word-vector file that it was made from.

    `find_row_words` documents which word a row gets.

    Args:
      table: float32 [rows, dims].
      path: a file that `load_word_vectors` reads, of any size.
      max_words: see `WordTokenizer`.

    Returns:
      The tokenizer, and the findings as plain values: rows "matched" and how, rows "unmatched",
      the rows of zeros among them, and a few unmatched rows with their contents.

    Raises:
      ValueError: see `find_row_words`.
      OSError: the file can't be read.
    """
    found = find_row_words(table, path)
    tokenizer = _tokenizer(found.rows, found.zeros, [], found.repeated[:1], max_words)
    repeated = set(found.repeated)
    special = {
        **dict.fromkeys(found.zeros, "zeros"),
        **{
            row: f"a vector that {len(repeated)} rows hold" if row in repeated else "another vector"
            for row in found.unmatched
        },
    }
    return tokenizer, {
        "matched": sum(found.counts.values()),
        **found.counts,
        "unmatched": len(special),
        "zeros": len(found.zeros),
        "rows_without_a_word": {str(row): special[row] for row in sorted(special)[:_SHOWN]},
        **_specials(tokenizer),
    }


def _checked_list(words: Sequence[str], where: str) -> list[str]:
    first: dict[str, int] = {}
    for index, word in enumerate(words):
        place = f"{where} {index + 1}"
        if type(word) is not str:
            raise ValueError(f"{place} is {word!r}; expected a string.")
        if not word.strip(" \t"):
            raise ValueError(
                f"{place} is empty; expected a word: every row counts, so name rows without a "
                "word <pad>, <unk> or the like."
            )
        if "\n" in word:
            raise ValueError(f"{place}, {word!r}, contains a line break; expected one word.")
        if word in first:
            earlier = f"{where.rpartition(', ')[2]} {first[word] + 1}"
            raise ValueError(
                f"{place} is {word!r}, like {earlier}; expected each word once: every row counts, "
                "so name the copy <unused> or the like."
            )
        first[word] = index
    if not first:
        raise ValueError("The vocabulary holds no words; expected at least one.")
    return list(first)


def _tokenizer(
    named: Mapping[str, int],
    zeros: Iterable[int],
    leading: Sequence[int],
    repeated: Sequence[int],
    max_words: int,
) -> WordTokenizer:
    """Create the tokenizer from named rows.

    Args:
      named: words and special names -> rows.
      zeros: rows of zeros.
      leading: rows before a list's first word: those of padding and unknown words, if present.
      repeated: a row with the most common vector among rows without a word, or nothing.
      max_words: see `WordTokenizer`.
    """
    words = {
        word: row
        for word, row in named.items()
        if word and "\n" not in word and not is_special(word)
    }
    if not words:
        raise ValueError(f"There are no words except {_listed(named)}; expected the table's words.")
    taken = set(words.values())
    special = {word.casefold(): row for word, row in reversed(list(named.items()))}
    free = [row for row in zeros if row not in taken]
    named_padding = [special[name] for name in _PADDING_NAMES if name in special]
    padding = [*named_padding, *leading[:1], *free, 0][0]
    candidates = (
        row
        for row in (
            *(special[name] for name in _UNKNOWN_NAMES if name in special),
            *free,
            *leading[1:],
            *repeated,
        )
        if row != padding and row not in taken
    )
    if padding in taken:
        owner = next(word for word, row in words.items() if row == padding)
        logger.warning(
            "Row %d pads short sentences and is also the row of %r, because no row is known to be "
            "for padding; a sentence of this word alone counts as unknown. If you know the padding "
            "row, name it <pad> in a vocabulary.", padding, owner,
        )  # fmt: skip
    words.update(spoken_forms(words))
    return WordTokenizer(
        list(words),
        max_words,
        word_ids=list(words.values()),
        padding_id=padding,
        unknown_id=next(candidates, None),
    )


def is_special(word: str) -> bool:
    """Return whether a word names the row of padding or of unknown words."""
    return word.casefold() in (*_PADDING_NAMES, *_UNKNOWN_NAMES)


def spoken_forms(words: Mapping[str, int]) -> dict[str, int]:
    """Return spoken form -> row, for words whose form in sentences differs from their own.

    Sentences are lowercased and lose apostrophes, so "Paris" and "don't" could not occur. If no
    word has the form itself, the form uses the row of the first word that it stands for.
    """
    listed = list(words)
    tokenizer = WordTokenizer(listed)
    split = tokenizer.split(np.array(listed, object))
    counts = split.row_lengths().numpy()
    starts = split.row_starts().numpy()
    forms = split.flat_values.numpy()
    found: dict[str, int] = {}
    known = set(tokenizer.vocabulary)
    for index in np.flatnonzero(counts == 1).tolist():
        form = forms[starts[index]].decode()
        if form not in known:
            found.setdefault(form, words[listed[index]])
    return found


def _specials(tokenizer: WordTokenizer) -> dict[str, Any]:
    return {
        "words": len(tokenizer.vocabulary),
        "padding_id": tokenizer.padding_id,
        "unknown_id": tokenizer.unknown_id,
    }


def _listed(words: Iterable[str]) -> str:
    return ", ".join(repr(word) for word in list(words)[:3]) or "none"
