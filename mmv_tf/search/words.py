# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Words of captions and queries in any language, for the speech index.

Words consist of letters, digits and their marks, as in SQLite's tokenizer unicode61: case and
accents are ignored, and nothing is stemmed. In scripts without spaces between words (Chinese,
Japanese, Thai, ...), each character is a word, and a query's neighboring characters are searched
for in pairs.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata

# Ours: longer runs of letters are not words.
_LONGEST = 64
# Scripts without spaces between words: Thai and Lao, Myanmar, Khmer, Tai, Balinese and Javanese,
# kana, Bopomofo, Han.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x1950, 0x19DF),
    (0x1A20, 0x1AAF),
    (0x1B00, 0x1B7F),
    (0x3005, 0x3007),
    (0x3041, 0x312F),
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA980, 0xA9DF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
# Unicode's blocks of combining diacritical marks: the accents of Latin, Greek and Cyrillic. Other
# marks are vowels.
_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_JOINERS = "\u200c\u200d"  # Persian and Indic words need them, and emoji.
# Longest piece of a text for a terminal.
_SHOWN = 240


def words(text: str) -> list[str]:
    """Return the words in a text: lowercase, without accents, at most 64 characters each."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed))
    return [word[:_LONGEST] for word in plain.translate(_spacing()).split()]


# A word, or two neighboring characters of a script without spaces.
Unit = tuple[str, ...]


def units(text: str) -> list[Unit]:
    """Return what to look for in a query's text, without duplicates, in the order written."""
    found: dict[Unit, None] = {}
    for unspaced, group in itertools.groupby(words(text), key=is_unspaced):
        run = list(group)
        if unspaced and len(run) > 1:
            found.update(dict.fromkeys(itertools.pairwise(run)))
        else:
            found.update(dict.fromkeys((word,) for word in run))
    return list(found)


def is_unspaced(word: str) -> bool:
    """Return whether a word is one character of a script without spaces between words."""
    return len(word) == 1 and any(low <= ord(word) <= high for low, high in _UNSPACED)


def readable(text: str) -> str:
    """Return text on one line without control characters and direction marks."""
    shown = (c if c.isprintable() or c in _JOINERS else " " for c in text)
    return " ".join("".join(shown).split())


def shortened(text: str, most: int = _SHOWN) -> str:
    """Return text of at most `most` characters, shortened with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


class _Spacing(dict[int, str]):
    """Translates characters: those in words stay, all others become spaces."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = unicodedata.category(character)[0] in "LNM"
        value = character if kept else " "
        if kept and is_unspaced(character):
            value = f" {character} "
        self[code] = value
        return value


@functools.cache
def _spacing() -> _Spacing:
    return _Spacing()
