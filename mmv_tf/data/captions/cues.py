# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parses WebVTT and SubRip cues."""

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
    r"|<(?:\d+:)?\d+:\d+[.,]\d+>"  # <00:00:01.500>, the time of a word
    r"|\{\\[^{}]*\}",  # {\an8}, SubStation Alpha markup in SubRip
    re.IGNORECASE,
)

# Zero-width characters. YouTube's styled captions have lines of nothing else.
_UNSEEN = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff "

_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)

_WORD_TIME = re.compile(r"<(?:\d+:)?\d+:\d+[.,]\d+>")


def plain_lines(lines: Iterable[str]) -> tuple[str, ...]:
    r"""Return the nonblank lines without markup, with single spaces between words.

    Removes the tags c, i, b, u, s, v, ruby, rt, lang and font, word times and {\an8}, turns <br>
    into a space, and then replaces entities such as &amp; once. Everything else is text, as in
    "a < b".
    """
    text = _TAG.sub("", _LINE_BREAK.sub(" ", "\n".join(lines)))
    plain = (" ".join(well_formed(html.unescape(line)).split()) for line in text.split("\n"))
    return tuple(line for line in plain if line.strip(_UNSEEN))


def has_word_times(text: str) -> bool:
    """Return whether words have their own times, as in automatic captions."""
    return _WORD_TIME.search(text) is not None


_TIMES = re.compile(rf"\s*({CLOCK})\s*-->\s*({CLOCK})(?:\s.*)?")

# Malformed times.
_LIKE_TIMES = re.compile(r"\s*-?\d+\s*:\s*\d.*?(?:[-–—=]\s*>|→)\s*(?:-?\d+\s*:\s*\d|$)")

_NUMBER = re.compile(r"\W*\d+\W*")

_HEADER = re.compile("\ufeff?WEBVTT(\\s|$)")

_COMMENT = re.compile(r"(NOTE|STYLE|REGION)(\s|$)")

_TIMESTAMP_MAP = re.compile(r"X-TIMESTAMP-MAP\s*=(.*)")

_STREAM_RATE = 90_000  # MPEG-TS ticks per second.


@dataclasses.dataclass
class _RawCue:
    """A cue as written in the file: its line with times, and the lines of text below it."""

    number: int
    line: str
    lines: list[str] = dataclasses.field(default_factory=list)

    @property
    def times(self) -> tuple[Clock, Clock] | None:
        """Start and end; None if they can't be read."""
        match = _TIMES.fullmatch(self.line)
        return None if match is None else (parse_clock(match[1]), parse_clock(match[2]))


def parse_cues(path: pathlib.Path, text: str, left_out: LeftOut, *, web: bool) -> list[Cue]:
    """Return the cues in a WebVTT (`web`) or SubRip file, in file order.

    A cue begins at a line with times, wherever it is. A line with the cue's number or name may
    precede it. Lines after a blank line that are not followed by times belong to the previous cue;
    without a previous cue, or after a comment, they are left out and counted. A cue whose times
    can't be parsed is left out with its lines.

    Raises:
      ValueError: a header is missing or states that times do not count from the start of the video;
        the meaning of fractions is ambiguous; or the times of joined files restart.
    """
    found: list[_RawCue] = []
    parts: list[int] = []  # Number of cues before each header except the first.
    # Some WebVTT files are named .srt.
    web = web or _HEADER.match(text.lstrip()) is not None
    paragraphs = list(_paragraphs(text, web))
    first, lines = paragraphs[0]
    if not web:
        pass
    elif _HEADER.match(lines[0]):
        _check_timestamp_map(path, text)
    else:
        raise ValueError(
            f"{path}, line {first}: got {lines[0].strip()[:80]!r}; expected 'WEBVTT', the first "
            "line of every .vtt file; add it or rename the file to its actual type."
        )
    cue: _RawCue | None = None
    for index, (first, lines) in enumerate(paragraphs):
        following = paragraphs[index + 1][1][0] if index + 1 < len(paragraphs) else ""
        if web and _HEADER.match(lines[0]):
            cue = None
            parts += [len(found)] if index else []
            # Some writers omit the blank line after the header.
            end = next((i for i, line in enumerate(lines) if _TIMES.fullmatch(line)), len(lines))
            first, lines = first + end, lines[end:]
        elif web and _COMMENT.match(lines[0]):
            cue = None
            continue
        starts = _starts(lines)
        if not starts and _is_number(lines, cue) and _starts([following]):
            continue  # A blank line separates a cue's number from its times.
        for i, line in enumerate(lines):
            if i in starts:
                cue = _RawCue(first + i, line)
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
    """Return the lines in a paragraph that begin a cue: with times, valid or malformed."""
    times = {i for i, line in enumerate(lines) if _TIMES.fullmatch(line)}
    meant = {i for i, line in enumerate(lines) if _LIKE_TIMES.match(line)}
    # Without times, an arrow marks the start of a cue; further down it is text.
    arrows = {i for i, line in enumerate(lines[:2]) if "-->" in line}
    return times | meant or set(sorted(arrows)[:1])


def _paragraphs(text: str, web: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield runs of nonblank lines, each with the number of its first line."""
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


def _is_number(lines: list[str], cue: _RawCue | None) -> bool:
    """Return whether a paragraph is only a cue's number, and not text of the previous cue."""
    number = len(lines) == 1 and _NUMBER.fullmatch(lines[0]) is not None
    return number and (cue is None or bool(cue.lines))


def _read(path: pathlib.Path, found: list[_RawCue], left_out: LeftOut) -> list[Cue]:
    """Return the cues that have times."""
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
    """Join the cues from concatenated files, such as segments of a stream, without duplicates.

    A cue that spans two segments is stored in both.
    """
    result: list[Cue] = []
    known: set[tuple[float, float | None, tuple[str, ...]]] = set()
    for first, last in zip([0, *parts], [*parts, len(cues)], strict=True):
        new = [cue for cue in cues[first:last] if (cue.start, cue.end, cue.lines) not in known]
        latest = max((cue.start for cue in result), default=0.0)
        if result and new and new[0].start < latest:
            raise ValueError(
                f"{path}, {new[0].where}: the times restart after a second 'WEBVTT' header "
                f"({new[0].start:g} s after {latest:g} s); expected the captions of one video; "
                "split the file, or add the start of the second part to its times."
            )
        known.update((cue.start, cue.end, cue.lines) for cue in new)
        result += new
    return result


def _check_timestamp_map(path: pathlib.Path, text: str) -> None:
    """Reject an HTTP Live Streaming header that makes times count from anywhere but 0."""
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
                f"{path}, line {number}: got {line.strip()[:80]!r}, which makes the times "
                "relative to a stream's clock; expected times relative to the start of the video; "
                "shift them, or remove this line if they already are."
            )


def _expected_times(path: pathlib.Path, number: int, line: str) -> str:
    return (
        f"{path}, line {number}: got {line.strip()[:80]!r}; expected times such as "
        "'00:00:01.000 --> 00:00:02.500'; correct that line."
    )
