# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads the rows of CSV and TSV text."""

from __future__ import annotations

import csv
import io
import itertools
import pathlib
from collections.abc import Iterator


def read_cells(path: pathlib.Path, text: str) -> Iterator[tuple[int, list[str]]]:
    r"""(number of its first line, cells) of each row that is not blank.

    In a `.tsv` a row is a line and there is no quoting: '"' is a letter. In any other file cells
    are separated by commas and may stand in double quotes, which then may hold commas, line ends
    and doubled quotes.

    Args:
      path: the file, for its suffix and for messages.
      text: what is in it, of `text_files.read_text`.

    Raises:
      ValueError: a quote is not closed, or something follows a closed one; the message names the
        line where it was opened.
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
    """The line where the last quoted cell begins, of a row from line `first` to `last`."""
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
