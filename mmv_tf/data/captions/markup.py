# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Removes the mark-up of WebVTT and SubRip from text; other angle brackets are text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from mmv_tf.data.text_files import well_formed

_TAG = re.compile(
    r"</?(?:c|i|b|u|s|v|ruby|rt|lang|font)(?:\.[^\s<>]*)?\s*>"  # <i>, <c.yellow>, </font>
    r"|(?<![^\W_])<v(?:\.[^\s<>]*)?\s[^<>]*>"  # <v Bob>, which follows no letter
    r"|<lang(?:\.[^\s<>]*)?\s+[\w-]+\s*>"
    r"|<font\s+\w+\s*=[^<>]*>"
    r"|<(?:\d+:)?\d+:\d+[.,]\d+>"  # <00:00:01.500>, when a word is said
    r"|\{\\[^{}]*\}",  # {\an8}, of SubStation Alpha in SubRip
    re.IGNORECASE,
)
# Of no width. YouTube's styled captions have lines of nothing else.
_UNSEEN = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff "
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_WORD_TIME = re.compile(r"<(?:\d+:)?\d+:\d+[.,]\d+>")


def plain_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines without mark-up and blank ones, with single spaces between words.

    Removed are the tags c, i, b, u, s, v, ruby, rt, lang and font, times of words and {\\an8}; a
    <br> is a space. Entities such as &amp; are replaced once, after that. All else is text, as in
    "a < b".
    """
    text = _TAG.sub("", _LINE_BREAK.sub(" ", "\n".join(lines)))
    plain = (" ".join(well_formed(html.unescape(line)).split()) for line in text.split("\n"))
    return tuple(line for line in plain if line.strip(_UNSEEN))


def has_word_times(text: str) -> bool:
    """Whether words have times of their own, as those of automatic captions do."""
    return _WORD_TIME.search(text) is not None
