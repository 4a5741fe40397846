# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Makes names and captions safe for lines, cells and XML."""

from __future__ import annotations

import unicodedata

from mmv_tf.util.text_files import well_formed

# Control characters, line and paragraph separators, halves of surrogates, characters that none are.
_DROPPED = ("Cc", "Zl", "Zp", "Cs", "Cn")
# What spreadsheets take for the beginning of a formula; also in its wide forms.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Direction overrides, which can make a name look like another name.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str, most: int) -> str:
    """Return a text on one line, without control characters.

    Args:
      text: any text.
      most: maximum number of characters; a longer text ends in an ellipsis.
    """
    clean = "".join(
        " " if unicodedata.category(letter) in _DROPPED or letter in _DIRECTIONS else letter
        for letter in well_formed(text)
    )
    clean = " ".join(clean.split())
    return clean if len(clean) <= most else f"{clean[: most - 1].rstrip()}…"


def cell(text: str, most: int) -> str:
    """Return a text for a table cell that no spreadsheet interprets as a formula."""
    clean = one_line(text, most)
    return f"'{clean}" if clean.startswith(_FORMULA) else clean
