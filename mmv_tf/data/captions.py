# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Timed captions (narrations): reading `.vtt`, `.srt`, `.json3`, `.tsv` and `.csv` files.

A file that does not say plainly what it means is refused with the line that is wrong: a caption at
the wrong time trains the network on a lie that nothing later can see.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import html
import io
import json
import math
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

# Hours may be left out and, in SRT, a comma stands before the milliseconds.
_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:[.,]\d+)?)")
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
# Ours: an hour of speech is 60 kB, and what one caption says is far below 10,000 characters.
_MAX_BYTES = 64 << 20
MAX_CHARACTERS = 10_000
_LABEL_COLUMNS = ("label", "subject")
_TEXT_COLUMNS = ("caption", "text")


@dataclasses.dataclass(frozen=True)
class Caption:
    """What is said, or seen, from `start` to `end` (seconds from the start of the video)."""

    start: float
    end: float
    text: str
    label: str | None = None

    def __str__(self) -> str:
        return f"{self.start:.3f}-{self.end:.3f} s {self.text!r}"


def read_captions(path: str | pathlib.Path) -> list[Caption]:
    """Reads a caption file; its format is found from its suffix.

    Args:
      path: a `.vtt` (WebVTT), `.srt` (SubRip) or `.json3` (YouTube) file, or a `.tsv` or `.csv`
        table with the columns start, end, caption (or text) and, optionally, label (or subject).
        Times in a table are seconds or [hours:]minutes:seconds.

    Returns:
      The captions, at least one, sorted by start. Mark-up and runs of white space are removed, and
      captions without text are left out.

    Raises:
      ValueError: the file is missing, empty, not UTF-8, malformed, or holds a negative or reversed
        time. The message names the file and the line.
    """
    path = pathlib.Path(path)
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ValueError(
            f"{path}: captions of the type {path.suffix or '(no suffix)'!r} can't be read; "
            f"give a file ending in one of {', '.join(_PARSERS)}."
        )
    text = read_text(path, _MAX_BYTES)
    if not text.strip():
        raise ValueError(
            f"{path}: the caption file is empty; expected timed captions; write it again."
        )
    captions = []
    for where, start, end, words in parse(path, text):
        label = None
        if isinstance(words, tuple):
            words, label = words
        words = " ".join(html.unescape(_MARKUP.sub("", words)).split())
        if not (math.isfinite(start) and math.isfinite(end)) or start < 0:
            raise ValueError(
                f"{path}, {where}: the caption's time is {start:g} to {end:g} s; expected seconds "
                "from the start of the video, 0 or more; correct that line."
            )
        if end <= start:
            raise ValueError(
                f"{path}, {where}: the caption ends at {end:g} s and starts at {start:g} s; "
                "expected an end after the start; correct that line."
            )
        if len(words) > MAX_CHARACTERS:
            raise ValueError(
                f"{path}, {where}: the caption has {len(words)} characters; at most "
                f"{MAX_CHARACTERS} are taken; check that line."
            )
        if words:
            captions.append(Caption(start, end, words, label or None))
    if not captions:
        raise ValueError(
            f"{path}: no caption found; expected at least one with times and text; check the file."
        )
    return sorted(captions, key=lambda caption: (caption.start, caption.end))


def attach_labels(
    captions: Sequence[Caption], labelled: Iterable[Caption], tolerance: float = 0.05
) -> list[Caption]:
    """Gives each caption the label of the one with equal text and times in a labelled list.

    Args:
      captions: what to label.
      labelled: captions with labels; more than are needed is no error.
      tolerance: by how many seconds the starts and the ends may differ (formats round times).

    Returns:
      `captions` in their order, each with a label.

    Raises:
      ValueError: a caption has no labelled counterpart.
    """
    by_text = collections.defaultdict(list)
    for candidate in labelled:
        if candidate.label is not None:
            by_text[candidate.text].append(candidate)
    result = []
    for caption in captions:
        for candidate in by_text[caption.text]:
            if (
                abs(candidate.start - caption.start) <= tolerance
                and abs(candidate.end - caption.end) <= tolerance
            ):
                result.append(dataclasses.replace(caption, label=candidate.label))
                break
        else:
            raise ValueError(
                f"The caption {caption} has no label; expected a row with the same text and times "
                f"(within {tolerance} s) in the label list; add it, or leave the labels out."
            )
    return result


def captions_of(texts: Iterable[str], start_ms: int, end_ms: int) -> tuple[Caption, ...]:
    """Sentences about a whole span (milliseconds) as captions; white space is made plain."""
    cleaned = (" ".join(text.split()) for text in texts)
    return tuple(Caption(start_ms / 1000, end_ms / 1000, text) for text in cleaned if text)


# One parsed caption: where it stands in the file, start, end (seconds), text or (text, label).
_Parsed = Iterator[tuple[str, float, float, str | tuple[str, str]]]


def read_text(path: pathlib.Path, max_bytes: int) -> str:
    """A UTF-8 file's text, without a byte order mark and with "\\n" line ends.

    Raises:
      ValueError: it is missing, too large or not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise ValueError(
                f"{path}: the file has {size} bytes; at most {max_bytes} are read; check that it "
                "is what you meant."
            )
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: can't read it ({error.strerror}); check the path.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte {data[error.start]:#04x} is not UTF-8; expected UTF-8 "
            "text; convert the file (iconv -t UTF-8)."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _clock_seconds(text: str) -> float:
    """Seconds of "1:02:03.5", "02:03,5"; ValueError for anything else."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def _cue_times(path: pathlib.Path, number: int, line: str) -> tuple[float, float]:
    """Start and end of a line "start --> end [settings]"."""
    start, _, rest = line.partition("-->")
    try:
        return _clock_seconds(start), _clock_seconds((rest.split() or [""])[0])
    except ValueError:
        raise ValueError(
            f"{path}, line {number}: got {line.strip()[:80]!r}; expected times such as "
            "'00:00:01.000 --> 00:00:02.500'; correct that line."
        ) from None


def _paragraphs(text: str) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines that are not blank, each with the number of its first line."""
    first = 0
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            first = first if lines else number
            lines.append(line)
        elif lines:
            yield first, lines
            lines = []


def _parse_cues(path: pathlib.Path, text: str, *, web: bool) -> _Parsed:
    """The cues of WebVTT or SubRip."""
    for index, (first, lines) in enumerate(_paragraphs(text)):
        if web and index == 0:
            if not re.match(r"WEBVTT(\s|$)", lines[0]):
                raise ValueError(
                    f"{path}, line {first}: got {lines[0][:80]!r}; expected 'WEBVTT', with which "
                    "every .vtt file begins; correct it or rename the file to its true type."
                )
            if not any("-->" in line for line in lines):
                continue
            # Some writers leave out the blank line after the header.
            skipped = next(i for i, line in enumerate(lines) if "-->" in line)
            first, lines = first + skipped, lines[skipped:]
        if web and re.match(r"(NOTE|STYLE|REGION)(\s|$)", lines[0]):
            continue
        # The time stands in the first line, or in the second after an identifier.
        timing = 1 if "-->" not in lines[0] and len(lines) > 1 else 0
        start, end = _cue_times(path, first + timing, lines[timing])
        for offset, line in enumerate(lines[timing + 1 :], start=first + timing + 1):
            if "-->" in line:
                raise ValueError(
                    f"{path}, line {offset}: got a second time inside a caption; expected a blank "
                    "line between captions; add it."
                )
        yield f"line {first + timing}", start, end, " ".join(lines[timing + 1 :])


def _parse_json3(path: pathlib.Path, text: str) -> _Parsed:
    """YouTube's {"events": [{"tStartMs", "dDurationMs", "segs": [{"utf8"}]}]}."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); expected YouTube's json3 "
            "captions; download the file again."
        ) from None
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise ValueError(
            f"{path}, line 1: got JSON without a list 'events'; expected YouTube's json3 captions; "
            "download the file again."
        )
    for number, event in enumerate(events, start=1):
        try:
            words = "".join(segment.get("utf8", "") for segment in event.get("segs", ()))
            if not words.strip():
                continue  # Window positions and line feeds.
            start = float(event["tStartMs"]) / 1000
            end = start + float(event["dDurationMs"]) / 1000
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}, event {number}: got {str(event)[:80]!r} ({error!r}); expected tStartMs, "
                "dDurationMs and segs; download the file again."
            ) from None
        yield f"event {number}", start, end, words


def _parse_table(path: pathlib.Path, text: str, *, delimiter: str) -> _Parsed:
    """A table with a header line."""
    # A tab-separated file has no quoting: a caption may hold a single '"'.
    if delimiter == "\t":
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    header = [name.strip().lower() for name in next(reader)]
    text_column = next((name for name in _TEXT_COLUMNS if name in header), None)
    label_column = next((name for name in _LABEL_COLUMNS if name in header), None)
    if text_column is None or "start" not in header or "end" not in header:
        raise ValueError(
            f"{path}, line 1: got the columns {', '.join(header)[:80]!r}; expected start, end, "
            "caption and perhaps label; add a header line with these names."
        )
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            where = f"line {reader.line_num}"
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, {where}: got {len(row)} columns; expected the header's {len(header)};"
                    " correct that line."
                )
            cells = dict(zip(header, row, strict=True))
            try:
                start, end = table_seconds(cells["start"]), table_seconds(cells["end"])
            except ValueError as error:
                raise ValueError(
                    f"{path}, {where}: got the time {str(error)[:40]!r}; expected seconds or "
                    "hours:minutes:seconds; correct that line."
                ) from None
            label = cells[label_column].strip() if label_column is not None else ""
            yield where, start, end, (cells[text_column], label)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}; expected a plain table; correct that line."
        ) from None


def table_seconds(text: str) -> float:
    """Seconds of "12.5" or "0:12.5"; ValueError holding the text for anything else."""
    try:
        return float(text)
    except ValueError:
        return _clock_seconds(text)


_PARSERS: dict[str, Callable[[pathlib.Path, str], _Parsed]] = {
    ".vtt": lambda path, text: _parse_cues(path, text, web=True),
    ".srt": lambda path, text: _parse_cues(path, text, web=False),
    ".json3": _parse_json3,
    ".tsv": lambda path, text: _parse_table(path, text, delimiter="\t"),
    ".csv": lambda path, text: _parse_table(path, text, delimiter=","),
}
SUFFIXES = tuple(_PARSERS)
