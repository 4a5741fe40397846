# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Text files: encodings, line ends, CSV and TSV rows, printable names."""

from __future__ import annotations

import csv
import io
import itertools
import os
import pathlib
import re
from collections.abc import Iterator

from mmv_tf.util.files import read_regular
from mmv_tf.util.storage.errors import StorageError
from mmv_tf.util.storage.media import at_hand
from mmv_tf.util.storage.urls import name_of

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),  # before UTF-16's, with which it begins
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)

# Ours: UTF-16 of Latin letters has a zero in every second byte, and few in the others.
_MANY_ZEROS, _FEW_ZEROS = 0.5, 0.1

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_text(path: pathlib.Path, max_bytes: int) -> str:
    r"""Read a file's text with "\n" line ends.

    The text is UTF-8, or as its byte order mark indicates (UTF-16, UTF-32). Byte order marks are
    removed, even at the start of later lines, as in joined files. Lines end in "\n" or "\r\n"; a
    lone "\r" ends a line only in a file without "\n" and is a space in others. No other character
    ends a line (U+2028 and U+0085 are letters here). Zero bytes become spaces.

    Raises:
      ValueError: the file is missing, too large or in another encoding.
    """
    try:
        with at_hand(path) as local:
            data = read_regular(local, max_bytes)
    except StorageError:
        raise
    except OSError as error:
        raise ValueError(f"{path}: can't read it ({error.strerror}); check the path.") from error
    mark, encoding = next(
        ((mark, name) for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), (b"", "utf-8")
    )
    zeros = [data[first::2].count(0) / max(1, len(data) // 2) for first in (0, 1)]
    if encoding == "utf-8" and min(zeros) < _FEW_ZEROS and max(zeros) > _MANY_ZEROS:
        raise ValueError(
            f"{path}, line 1: got {data.count(0)} zero bytes of {len(data)}; expected UTF-8 text; "
            "if it is UTF-16, convert the file (iconv -f UTF-16LE -t UTF-8)."
        )
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object.count("\n".encode(encoding), 0, error.start) + 1
        name = encoding[:6].upper().rstrip("-")
        raise ValueError(
            f"{path}, line {line}: byte {error.object[error.start]:#04x} is not {name}; expected "
            f"{name} text; convert the file (iconv -t UTF-8)."
        ) from error
    text = text.replace("\r\n", "\n").replace("\r", " " if "\n" in text else "\n")
    return text.replace("\n\ufeff", "\n").replace("\0", " ")


def well_formed(text: str) -> str:
    r"""Return text that can be written as UTF-8.

    Surrogate halves that JSON may contain ("\ud83d\ude00") are joined; U+FFFD replaces a single
    half.
    """
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def read_cells(path: pathlib.Path, text: str) -> Iterator[tuple[int, list[str]]]:
    r"""Yield (number of its first line, cells) for each row that is not blank.

    In a `.tsv` file, a row is a line without quoting: '"' is an ordinary character. In any other
    file, cells are separated by commas and may be in double quotes, inside which commas, line ends
    and doubled quotes are allowed.

    Args:
      path: the file, for its suffix and for messages.
      text: the file's content, from `read_text`.

    Raises:
      ValueError: a quote is not closed, or something follows a closed quote; the message names the
        line where it begins.
    """
    if path.suffix.lower() == ".tsv":
        for number, line in enumerate(io.StringIO(text), start=1):
            if line.strip():
                yield number, line.removesuffix("\n").split("\t")
        return
    reader = csv.reader(io.StringIO(text), strict=True)
    first = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield first, cells
            first = reader.line_num + 1
    except csv.Error as error:
        opened = _last_opened(text, first, reader.line_num)
        if opened is None:
            raise ValueError(
                f"{path}, line {reader.line_num}: {error}; expected cells separated by commas; "
                "correct that line."
            ) from None
        raise ValueError(
            f"{path}, line {opened}: a cell's quote that opens here is not closed where the cell "
            f"ends ({error}, line {reader.line_num}); expected '\"' at both ends of the cell and "
            "'\"\"' for a quote inside it; correct that line."
        ) from None


def _last_opened(text: str, first: int, last: int) -> int | None:
    """Return the line where the last quoted cell begins, in a row from line `first` to `last`."""
    opened, quoted, at_start = None, False, True
    lines = itertools.islice(io.StringIO(text), first - 1, last)
    for number, line in enumerate(lines, start=first):
        for character in line:
            if character == '"' and (quoted or at_start):
                quoted = not quoted
                opened = number if quoted and at_start else opened
                at_start = False
            elif not quoted:
                at_start = character in ",\n"
    return opened


def printable_name(name: str | os.PathLike[str]) -> str:
    r"""Return a file name as UTF-8 text, with other bytes written as in "caf\xe9".

    A path in a store's mirror is called by its URL.

    On Linux a name may be any bytes; Python represents such bytes as lone surrogates, which neither
    JSON nor a terminal accepts.
    """
    text = os.fspath(name)
    if os.path.isabs(text):
        text = name_of(text)
    try:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate from JSON that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
