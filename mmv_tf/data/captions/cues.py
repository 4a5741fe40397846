# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads the cues of WebVTT and SubRip."""

from __future__ import annotations

import dataclasses
import html
import pathlib
import re
from collections.abc import Iterable, Iterator

from mmv_tf.data.captions.caption import OUTSIDE, UNREADABLE, Cue, LeftOut
from mmv_tf.data.captions.clocks import CLOCK, Clock, parse_clock, reading_of
from mmv_tf.util.text_files import well_formed

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
    r"""Lines without mark-up and blank ones, with single spaces between words.

    Removed are the tags c, i, b, u, s, v, ruby, rt, lang and font, times of words and {\an8}; a
    <br> is a space. Entities such as &amp; are replaced once, after that. All else is text, as in
    "a < b".
    """
    text = _TAG.sub("", _LINE_BREAK.sub(" ", "\n".join(lines)))
    plain = (" ".join(well_formed(html.unescape(line)).split()) for line in text.split("\n"))
    return tuple(line for line in plain if line.strip(_UNSEEN))


def has_word_times(text: str) -> bool:
    """Whether words have times of their own, as those of automatic captions do."""
    return _WORD_TIME.search(text) is not None


_TIMES = re.compile(rf"\s*({CLOCK})\s*-->\s*({CLOCK})(?:\s.*)?")

# Meant as times, but not to be read.
_LIKE_TIMES = re.compile(r"\s*-?\d+\s*:\s*\d.*?(?:[-–—=]\s*>|→)\s*(?:-?\d+\s*:\s*\d|$)")

_NUMBER = re.compile(r"\W*\d+\W*")

_HEADER = re.compile("\ufeff?WEBVTT(\\s|$)")

_COMMENT = re.compile(r"(NOTE|STYLE|REGION)(\s|$)")

_TIMESTAMP_MAP = re.compile(r"X-TIMESTAMP-MAP\s*=(.*)")

_STREAM_RATE = 90_000  # Ticks a second of MPEG-TS.


@dataclasses.dataclass
class _Found:
    """A cue as it stands in the file: its line with times, and those of text below it."""

    number: int
    line: str
    lines: list[str] = dataclasses.field(default_factory=list)

    @property
    def times(self) -> tuple[Clock, Clock] | None:
        """Start and end; None if they can't be read."""
        match = _TIMES.fullmatch(self.line)
        return None if match is None else (parse_clock(match[1]), parse_clock(match[2]))


def parse_cues(path: pathlib.Path, text: str, left_out: LeftOut, *, web: bool) -> list[Cue]:
    """The cues of a WebVTT (`web`) or SubRip file, in its order.

    A cue begins at a line with times, wherever that stands. Before it may be a line with its number
    or name. Lines after a blank line that no times follow belong to the cue before; where there is
    none, or a comment, they are left out and counted. A cue whose times can't be read is left out
    with its lines.

    Raises:
      ValueError: a header is missing or says that times count from elsewhere than the video's
        start; the file does not tell what its fractions mean; or joined files have times that begin
        anew.
    """
    found: list[_Found] = []
    parts: list[int] = []  # Of each header but the first, how many cues are before it.
    # Some name a WebVTT file .srt.
    web = web or _HEADER.match(text.lstrip()) is not None
    paragraphs = list(_paragraphs(text, web))
    first, lines = paragraphs[0]
    if not web:
        pass
    elif _HEADER.match(lines[0]):
        _check_timestamp_map(path, text)
    else:
        raise ValueError(
            f"{path}, line {first}: got {lines[0].strip()[:80]!r}; expected 'WEBVTT', with which "
            "every .vtt file begins; correct it or rename the file to its true type."
        )
    cue: _Found | None = None
    for index, (first, lines) in enumerate(paragraphs):
        following = paragraphs[index + 1][1][0] if index + 1 < len(paragraphs) else ""
        if web and _HEADER.match(lines[0]):
            cue = None
            parts += [len(found)] if index else []
            # Some writers leave out the blank line after the header.
            end = next((i for i, line in enumerate(lines) if _TIMES.fullmatch(line)), len(lines))
            first, lines = first + end, lines[end:]
        elif web and _COMMENT.match(lines[0]):
            cue = None
            continue
        starts = _starts(lines)
        if not starts and _is_number(lines, cue) and _starts([following]):
            continue  # A blank line stands between a cue's number and its times.
        for i, line in enumerate(lines):
            if i in starts:
                cue = _Found(first + i, line)
                found.append(cue)
            elif i + 1 in starts and (_NUMBER.fullmatch(line) or (i == 0 and (web or not cue))):
                pass  # The number or name of the next cue.
            elif cue is None:
                left_out.add(OUTSIDE, _expected_times(path, first + i, line))
            else:
                cue.lines.append(line)
    cues = _read(path, found, left_out)
    return _joined(path, cues, [sum(f.times is not None for f in found[:n]) for n in parts])


def _starts(lines: list[str]) -> set[int]:
    """Which lines of a paragraph begin a cue: those with times, and those meant to have them."""
    times = {i for i, line in enumerate(lines) if _TIMES.fullmatch(line)}
    meant = {i for i, line in enumerate(lines) if _LIKE_TIMES.match(line)}
    # Where there are no times, an arrow stands for them; inside a cue it is text.
    arrows = {i for i, line in enumerate(lines[:2]) if "-->" in line}
    return times | meant or set(sorted(arrows)[:1])


def _paragraphs(text: str, web: bool) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines that are not blank, each with the number of its first line."""
    first = 0
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if lines and web and line.startswith("WEBVTT") and _HEADER.fullmatch(line):
            yield first, lines
            lines = []
        if line.strip():
            first = first if lines else number
            lines.append(line)
        elif lines:
            yield first, lines
            lines = []


def _is_number(lines: list[str], cue: _Found | None) -> bool:
    """Whether a paragraph is a cue's number and nothing else, and no text of the cue before."""
    number = len(lines) == 1 and _NUMBER.fullmatch(lines[0]) is not None
    return number and (cue is None or bool(cue.lines))


def _read(path: pathlib.Path, found: list[_Found], left_out: LeftOut) -> list[Cue]:
    """The cues that have times."""
    timed = [(cue.number, cue.times) for cue in found]
    read = reading_of(path, [(number, *times) for number, times in timed if times is not None])
    cues = []
    for cue, (_, times) in zip(found, timed, strict=True):
        if times is None:
            left_out.add(UNREADABLE, _expected_times(path, cue.number, cue.line))
        else:
            start, end = map(read, times)
            cues.append(Cue(f"line {cue.number}", start, end, tuple(cue.lines)))
    return cues


def _joined(path: pathlib.Path, cues: list[Cue], parts: list[int]) -> list[Cue]:
    """Cues of files that were joined, as segments of a stream are, each once.

    A cue that two segments share stands in both.
    """
    result: list[Cue] = []
    known: set[tuple[float, float | None, tuple[str, ...]]] = set()
    for first, last in zip([0, *parts], [*parts, len(cues)], strict=True):
        new = [cue for cue in cues[first:last] if (cue.start, cue.end, cue.lines) not in known]
        latest = max((cue.start for cue in result), default=0.0)
        if result and new and new[0].start < latest:
            raise ValueError(
                f"{path}, {new[0].where}: after a second header 'WEBVTT' the times begin anew "
                f"({new[0].start:g} s after {latest:g} s); expected the captions of one video; "
                "divide the file, or add the time at which that part begins."
            )
        known.update((cue.start, cue.end, cue.lines) for cue in new)
        result += new
    return result


def _check_timestamp_map(path: pathlib.Path, text: str) -> None:
    """Refuses a header of HTTP Live Streaming by which times count from elsewhere than 0."""
    for number, line in enumerate(text.split("\n"), start=1):
        match = _TIMESTAMP_MAP.match(line.strip())
        if match is None:
            continue
        pairs = (part.partition(":") for part in match[1].replace(" ", "").split(","))
        values = {name: value for name, _, value in pairs}
        try:
            offset = int(values["MPEGTS"]) / _STREAM_RATE - parse_clock(values["LOCAL"]).decimal()
        except (KeyError, ValueError):
            offset = float("nan")
        if offset != 0:
            raise ValueError(
                f"{path}, line {number}: got {line.strip()[:80]!r}, by which the times count from "
                "a stream's clock; expected times from the start of the video; shift them, or "
                "remove that line if they already do."
            )


def _expected_times(path: pathlib.Path, number: int, line: str) -> str:
    return (
        f"{path}, line {number}: got {line.strip()[:80]!r}; expected times such as "
        "'00:00:01.000 --> 00:00:02.500'; correct that line."
    )
