# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Word vectors from the files that word2vec, GloVe and NumPy write."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from mmv_tf.util.files import check_regular

# Ours: more than any published table has.
_MAX_DIM = 10_000
_MAX_WORD_BYTES = 4_096
_MAX_LINE_BYTES = _MAX_WORD_BYTES + 64 * _MAX_DIM
# Ours: bytes to read at once, about as many as a block of vectors takes.
_BLOCK_BYTES = 8 * 2**20
_GZIP = b"\x1f\x8b"
# Maximum expansion of a byte by DEFLATE (zlib's documentation: 1032).
_MOST_DEFLATED = 1032

Block = tuple[list[str], np.ndarray]


@dataclasses.dataclass(frozen=True)
class WordVectors:
    """An open file of word vectors.

    Attributes:
      count: number of vectors that the file declares; None if it doesn't (GloVe's text).
      dims: size of a vector.
      blocks: words and their float32 vectors [n, dims], a few MiB at a time, in the file's order.
    """

    count: int | None
    dims: int
    blocks: Iterator[Block]


def load_word_vectors(
    path: str | os.PathLike[str], limit: int | None = None
) -> tuple[list[str], np.ndarray]:
    """Read words and their vectors.

    The format is detected from the contents: word2vec's text or binary format (a first line "words
    dims"), GloVe's text (no such line), each optionally compressed by gzip; or a `.npy` array
    [words, dims] with a `.txt` of the same name beside it that holds one word per line. Objects in
    a `.npy` are never unpickled.

    Args:
      path: the file.
      limit: read only the first words, which are the most frequent ones in these files.

    Returns:
      The words, and float32 vectors [words, dims]. A duplicate word keeps its first vector.

    Raises:
      ValueError: the file is damaged, cut short or of an unknown format; the message says where.
      OSError: the file can't be read.

    Example:
    >>> words, vectors = load_word_vectors("GoogleNews.bin", limit=65_534)  # doctest: +SKIP
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected at least 1, or None for all words.")
    words: list[str] = []
    parts: list[np.ndarray] = []
    with open_word_vectors(path, limit) as file:
        for block_words, block in file.blocks:
            words += block_words
            parts.append(block)
    vectors = np.empty((len(words), parts[0].shape[1]), np.float32)
    end = len(words)
    while parts:  # Each part is freed once copied, so that all vectors are never held twice.
        part = parts.pop()
        vectors[end - len(part) : end] = part
        end -= len(part)
    if len(set(words)) == len(words):
        return words, vectors
    first: dict[str, int] = {}
    for index, word in enumerate(words):
        first.setdefault(word, index)
    return list(first), vectors[list(first.values())]


@contextlib.contextmanager
def open_word_vectors(
    path: str | os.PathLike[str], limit: int | None = None
) -> Iterator[WordVectors]:
    """Open a file of word vectors for reading in blocks, however large it is.

    Args:
      path: a file of any format that `load_word_vectors` reads.
      limit: stop after this many words.

    Raises:
      ValueError: what the file declares is impossible; or, while blocks are read, it is damaged or
        cut short.
      OSError: the file can't be read.
    """
    name = os.fspath(path)
    size = check_regular(name)
    if size == 0:
        raise ValueError(f"{name} is empty; expected word vectors.")
    with contextlib.ExitStack() as stack:
        if name.endswith(".npy"):
            found = _npy_blocks(name, limit)
        else:
            file: Any = stack.enter_context(open(name, "rb"))
            if file.peek(len(_GZIP)).startswith(_GZIP):
                file = stack.enter_context(gzip.open(file))
                size *= _MOST_DEFLATED
            with _named_gzip_errors(name):
                found = _word2vec_or_glove_blocks(file, name, size, limit)
        yield dataclasses.replace(found, blocks=_checked(found.blocks, name))


@contextlib.contextmanager
def _named_gzip_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{name} is a damaged or truncated gzip file ({error}); get it again."
        ) from error


def _checked(blocks: Iterator[Block], name: str) -> Iterator[Block]:
    with _named_gzip_errors(name):
        for words, vectors in blocks:
            if not np.isfinite(vectors).all():
                row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
                raise ValueError(
                    f"{name}: the vector of {words[row]!r} has values that are not finite."
                )
            yield words, vectors


def _npy_blocks(name: str, limit: int | None) -> WordVectors:
    list_name = f"{name.removesuffix('.npy')}.txt"
    if not os.path.exists(list_name):
        raise ValueError(f"{name} needs a file {list_name} beside it, with one word per line.")
    try:
        # Mapped, so that a file that declares more than it holds is rejected without using memory.
        table = np.load(name, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{name} is not a complete .npy file of numbers: {error}") from error
    if table.ndim != 2 or table.dtype.kind != "f":
        raise ValueError(
            f"{name} holds {table.dtype} {table.shape}; expected floats [words, dims]."
        )
    check_regular(list_name)
    try:
        with open(list_name, encoding="utf-8") as file:
            # Not str.splitlines: GloVe has U+0085 and similar characters as words.
            words = file.read().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{list_name} is not UTF-8 text ({error.reason}); save the words as UTF-8, one per "
            "line."
        ) from error
    if len(words) != len(table):
        raise ValueError(
            f"{list_name} has {len(words)} words, but {name} has {len(table)} vectors; expected "
            "one word per vector."
        )
    rows = max(1, _BLOCK_BYTES // max(1, table[:1].nbytes))
    words, table = words[:limit], table[:limit]
    count, dims = table.shape
    return WordVectors(
        count,
        dims,
        (
            (words[start : start + rows], table[start : start + rows].astype(np.float32))
            for start in range(0, count, rows)
        ),
    )


def _word2vec_or_glove_blocks(
    file: BinaryIO, name: str, size: int, limit: int | None
) -> WordVectors:
    """Yield the blocks of a text or binary file of at most `size` bytes."""
    start = file.readline(_MAX_LINE_BYTES)
    header = _header(start)
    if header is None:
        file.seek(0)
        dims = len(start.rstrip().split(b" ")) - 1
        if not 1 <= dims <= _MAX_DIM:
            raise ValueError(
                f"{name} begins with neither 'words dims' nor a word and its values; expected "
                "word2vec text or binary, GloVe text, or .npy."
            )
        return WordVectors(None, dims, _text_blocks(file, name, None, dims, limit))
    count, dims = header
    if not 1 <= dims <= _MAX_DIM:
        raise ValueError(f"{name} declares vectors of {dims} values; expected 1 to {_MAX_DIM}.")
    if count < 1:
        raise ValueError(f"{name} declares {count} words; expected at least one.")
    # At least a letter and a space for a word, and a digit and a space, or 4 bytes, for a number.
    if count * (2 + 2 * dims) > size:
        raise ValueError(
            f"{name} declares {count} vectors of {dims} values, more than its {size} bytes can "
            "hold: it is cut short or damaged."
        )
    if not _looks_binary(file, dims):
        return WordVectors(count, dims, _text_blocks(file, name, count, dims, limit))
    if count * (2 + 4 * dims) > size:
        raise ValueError(
            f"{name} declares {count} binary vectors of {dims} values, more than its {size} bytes "
            "can hold: it is cut short or damaged."
        )
    return WordVectors(count, dims, _binary_blocks(file, name, count, dims, limit))


def _header(line: bytes) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() and len(field) < 12 for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _looks_binary(file: BinaryIO, dims: int) -> bool:
    """Return whether the header is not followed by a line with a word and `dims` numbers."""
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


def _binary_blocks(
    file: BinaryIO, name: str, count: int, dims: int, limit: int | None
) -> Iterator[Block]:
    wanted = count if limit is None else min(limit, count)
    length = 4 * dims
    buffer, position = b"", 0
    words: list[str] = []
    parts: list[bytes] = []
    for row in range(wanted):
        while True:
            space = buffer.find(b" ", position, position + _MAX_WORD_BYTES + 2)
            end = space + 1 + length
            if space >= 0 and end <= len(buffer):
                break
            if space < 0 and len(buffer) - position > _MAX_WORD_BYTES + 1:
                raise ValueError(f"{name}: word {row + 1} does not end; the file is damaged.")
            more = file.read(_BLOCK_BYTES)
            if not more:
                raise ValueError(f"{name} ends in the middle of word {row + 1} of {count}.")
            if words:
                yield words, _joined(parts, dims)
                words, parts = [], []
            buffer, position = buffer[position:] + more, 0
        # Some writers end each vector with a newline, which then precedes the next word.
        words.append(_decode(buffer[position:space].lstrip(b"\n")))
        parts.append(buffer[space + 1 : end])
        position = end
    if words:
        yield words, _joined(parts, dims)
    if limit is None and (buffer[position:] + file.read(2)).strip(b"\n"):
        raise ValueError(
            f"{name} has more data after the {count} words of {dims} values it declares."
        )


def _joined(parts: list[bytes], dims: int) -> np.ndarray:
    return np.frombuffer(b"".join(parts), "<f4").reshape(-1, dims).astype(np.float32, copy=False)


def _text_blocks(
    file: BinaryIO, name: str, count: int | None, dims: int, limit: int | None
) -> Iterator[Block]:
    words: list[str] = []
    rows: list[np.ndarray] = []
    wanted = min(value for value in (count, limit, 10**12) if value is not None)
    done = 0
    while done < wanted:
        line = file.readline(_MAX_LINE_BYTES)
        if not line:
            break
        if len(line) == _MAX_LINE_BYTES:
            raise ValueError(f"{name}: line {done + 1} is too long for a word vector.")
        fields = line.rstrip().split(b" ")
        try:
            # GloVe's 840B table has words with spaces: count the values from the end.
            row = np.array([float(field) for field in fields[-dims:]], np.float32)
        except ValueError as error:
            raise ValueError(f"{name}: word {done + 1}: {error}") from error
        if len(row) != dims or len(fields) < dims + 1:
            raise ValueError(
                f"{name}: word {done + 1} has {len(fields) - 1} values; expected {dims}."
            )
        words.append(_decode(b" ".join(fields[:-dims])))
        rows.append(row)
        done += 1
        if len(rows) * dims * 4 >= _BLOCK_BYTES:
            yield words, np.stack(rows)
            words, rows = [], []
    if rows:
        yield words, np.stack(rows)
    if count is not None and done < wanted:
        raise ValueError(f"{name} declares {count} words but ends after {done}.")
    if count is not None and limit is None and file.readline(_MAX_LINE_BYTES).strip():
        raise ValueError(
            f"{name} has more data after the {count} words of {dims} values it declares."
        )


def _decode(word: bytes) -> str:
    # The Google News table has a few words that are not UTF-8; they can't match any text.
    return word.decode("utf-8", errors="backslashreplace")
