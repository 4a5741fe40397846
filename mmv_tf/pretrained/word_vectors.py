# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Word vectors from the files that word2vec, GloVe and NumPy write."""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np

# Ours: more than any published table has.
_MAX_DIM = 10_000
_MAX_WORD_BYTES = 4_096
_MAX_LINE_BYTES = _MAX_WORD_BYTES + 64 * _MAX_DIM


def load_word_vectors(
    path: str | os.PathLike[str], limit: int | None = None
) -> tuple[list[str], np.ndarray]:
    """Reads words and their vectors.

    The format is found from the file: word2vec's text or binary format (a first line "words dims"),
    GloVe's text (no such line), or a `.npy` array [words, dims] with a `.txt` of the same name
    beside it that holds one word a line. The arrays of a `.npy` are never unpickled.

    Args:
      path: of the file.
      limit: read only the first words, in these files the most frequent ones.

    Returns:
      The words, and float32 vectors [words, dims]. A word that stands twice keeps its first vector.

    Raises:
      ValueError: the file is damaged, cut short, or of no known format; the message says where.
      OSError: the file can't be read.

    Example:
    >>> words, vectors = load_word_vectors("GoogleNews.bin", limit=65_534)  # doctest: +SKIP
    """
    name = os.fspath(path)
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1, or None for all words.")
    if os.path.getsize(name) == 0:
        raise ValueError(f"{name} is empty; expected word vectors.")
    if name.endswith(".npy"):
        words, vectors = _read_npy(name, limit)
    else:
        with open(name, "rb") as file:
            words, vectors = _read_word2vec_or_glove(file, name, limit)
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ValueError(f"{name}: the vector of {words[row]!r} holds values that are not finite.")
    if len(set(words)) == len(words):
        return words, vectors
    first: dict[str, int] = {}
    for index, word in enumerate(words):
        first.setdefault(word, index)
    return list(first), vectors[list(first.values())]


def _read_npy(name: str, limit: int | None) -> tuple[list[str], np.ndarray]:
    list_name = f"{name.removesuffix('.npy')}.txt"
    if not os.path.exists(list_name):
        raise ValueError(f"{name} needs a file {list_name} beside it with one word a line.")
    try:
        # Mapped, so that a file that declares more than it holds is refused without memory.
        table = np.load(name, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{name} is not a whole .npy file of numbers: {error}") from error
    if table.ndim != 2 or table.dtype.kind != "f":
        raise ValueError(
            f"{name} holds {table.dtype} {table.shape}; expected floats [words, dims]."
        )
    try:
        with open(list_name, encoding="utf-8") as file:
            # Not str.splitlines: U+0085 and its like are words of GloVe.
            words = file.read().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{list_name} is no UTF-8 text ({error.reason}); save the words as UTF-8, one a line."
        ) from error
    if len(words) != len(table):
        raise ValueError(
            f"{list_name} has {len(words)} words and {name} has {len(table)} vectors; they must "
            "be as many."
        )
    return words[:limit], np.array(table[:limit], np.float32)


def _read_word2vec_or_glove(
    file: BinaryIO, name: str, limit: int | None
) -> tuple[list[str], np.ndarray]:
    size = os.fstat(file.fileno()).st_size
    start = file.readline(_MAX_LINE_BYTES)
    header = _header(start)
    if header is None:
        file.seek(0)
        return _read_text(file, name, None, None, limit)
    count, dims = header
    if not 1 <= dims <= _MAX_DIM:
        raise ValueError(f"{name} declares vectors of {dims} numbers; expected 1 to {_MAX_DIM}.")
    # A word of a letter and a space, and for each number at least a digit and a space, or 4 bytes.
    if count * (2 + 2 * dims) > size:
        raise ValueError(
            f"{name} declares {count} vectors of {dims} numbers, more than its {size} bytes can "
            "hold: it is cut short or damaged."
        )
    if _looks_binary(file, dims):
        return _read_binary(file, name, count, dims, limit, size)
    return _read_text(file, name, count, dims, limit)


def _header(line: bytes) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() and len(field) < 12 for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _looks_binary(file: BinaryIO, dims: int) -> bool:
    """Whether what follows the header is not a line of a word and `dims` numbers."""
    position = file.tell()
    line = file.readline(_MAX_LINE_BYTES)
    file.seek(position)
    fields = line.rstrip().split(b" ")
    if len(fields) != dims + 1:
        return True
    try:
        [float(field) for field in fields[1:]]
    except ValueError:
        return True
    return False


def _read_binary(
    file: BinaryIO, name: str, count: int, dims: int, limit: int | None, size: int
) -> tuple[list[str], np.ndarray]:
    if count * (2 + 4 * dims) > size:
        raise ValueError(
            f"{name} declares {count} binary vectors of {dims} numbers, more than its {size} bytes "
            "can hold: it is cut short or damaged."
        )
    wanted = count if limit is None else min(limit, count)
    words: list[str] = []
    vectors = np.empty((wanted, dims), np.float32)
    for row in range(wanted):
        word = bytearray()
        # Some writers end each vector with a newline, which then stands before the next word.
        while (letter := file.read(1)) not in (b" ", b""):
            if letter != b"\n" or word:
                word += letter
            if len(word) > _MAX_WORD_BYTES:
                raise ValueError(f"{name}: word {row + 1} does not end; the file is damaged.")
        values = file.read(4 * dims)
        if len(values) != 4 * dims:
            raise ValueError(f"{name} ends in the middle of word {row + 1} of {count}.")
        words.append(_decode(bytes(word), name, row))
        vectors[row] = np.frombuffer(values, "<f4")
    return words, vectors


def _read_text(
    file: BinaryIO, name: str, count: int | None, dims: int | None, limit: int | None
) -> tuple[list[str], np.ndarray]:
    words: list[str] = []
    rows: list[np.ndarray] = []
    wanted = min(value for value in (count, limit, 10**12) if value is not None)
    while len(words) < wanted:
        line = file.readline(_MAX_LINE_BYTES)
        if not line:
            break
        if len(line) == _MAX_LINE_BYTES:
            raise ValueError(f"{name}: line {len(words) + 1} is too long for a word vector.")
        fields = line.rstrip().split(b" ")
        if dims is None:
            dims = len(fields) - 1
            if not 1 <= dims <= _MAX_DIM:
                raise ValueError(
                    f"{name} begins with neither 'words dims' nor a word and its numbers; expected "
                    "word2vec text or binary, GloVe text, or .npy."
                )
        try:
            # GloVe's 840B table has words with spaces in them: numbers are counted from the end.
            row = np.array([float(field) for field in fields[-dims:]], np.float32)
        except ValueError as error:
            raise ValueError(f"{name}: word {len(words) + 1}: {error}") from error
        if len(row) != dims or len(fields) < dims + 1:
            raise ValueError(
                f"{name}: word {len(words) + 1} has {len(fields) - 1} numbers, expected {dims}."
            )
        words.append(_decode(b" ".join(fields[:-dims]), name, len(words)))
        rows.append(row)
    if count is not None and len(words) < wanted:
        raise ValueError(f"{name} declares {count} words and ends after {len(words)}.")
    return words, np.stack(rows)


def _decode(word: bytes, name: str, row: int) -> str:
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError:
        # The Google News table has a few such words; they can't match any text.
        return word.decode("utf-8", errors="backslashreplace")
