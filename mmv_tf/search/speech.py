# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Speech files: caption cues in SQLite's full-text index FTS5, ranked by BM25.

A file has one row per cue, which is searched as a passage: its words, followed by those of the next
cue if that follows soon, so that words across both are found. Files never change; the manifest
states which rows belong to which video, and all other rows are dead.

SQLite finds passages and their cues; the score is computed here, with the statistics of all of an
index's files together, so that scores from different files can be compared.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import pathlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.data.captions import Caption
from mmv_tf.search.words import Unit, readable, words
from mmv_tf.util.sqlite import check_fts5, sqlite3

# BM25's saturation and length normalization: the defaults of Lucene and SQLite.
K1, B = 1.2, 0.75
# Ours: number of a file's passages that are scored; those with rarer words come first.
_MOST_SCORED = 1000
# Ours: SQLite ranks this many in 25 ms; a word that occurs in more passages carries little meaning.
_MOST_RANKED = 20_000
# Ours: a longer pause ends a passage.
_PAUSE_SECONDS = 10.0
_MAPPED_BYTES = 1 << 30  # Ours: 10 million cues.
# First row, and last row + 1.
Range = tuple[int, int]
EVERYWHERE: Range = (0, 1 << 62)

_SCHEMA = """
create table cues(id integer primary key, start real, end real, own integer, words text, text text);
create virtual table passages using fts5(words, content='', tokenize='ascii');
create table totals(passages integer, words integer);
"""
_ROW = "insert into cues values (?, ?, ?, ?, ?, ?)"


@dataclasses.dataclass(frozen=True)
class Passage:
    """A passage that was found.

    Attributes:
      part: the file's name.
      row: row of its first cue.
      rows: 1 or 2, number of cues with the words.
      score: BM25 divided by the sum of all words' weights: 1 for a passage of average length that
        contains each word once, at most `K1` + 1.
    """

    part: str
    row: int
    rows: int
    score: float


class SpeechWriter:
    """Writes a new file; a context manager.

    Args:
      path: the file.

    Raises:
      ValueError: SQLite lacks FTS5.
    """

    def __init__(self, path: str | os.PathLike[str]):
        check_fts5()
        self._connection = sqlite3.connect(path, isolation_level=None)
        # The file is unnamed until it is complete, so it needs no journal.
        self._connection.execute("pragma journal_mode = off")
        self._connection.execute("pragma synchronous = off")
        self._connection.executescript(f"begin; {_SCHEMA}")
        self._rows = self._words = 0

    def __enter__(self) -> SpeechWriter:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                self._finish()
        finally:
            self._connection.close()

    def add(self, captions: Sequence[Caption]) -> tuple[int, int]:
        """Add a video's captions, sorted by start; return the first row and their number."""
        own = [words(caption.text) for caption in captions]
        following = [
            after if later.start - caption.end <= _PAUSE_SECONDS else []
            for (caption, later), after in zip(itertools.pairwise(captions), own[1:], strict=True)
        ]
        return self._add(
            (caption.start, caption.end, len(mine), " ".join(mine + next_), readable(caption.text))
            for caption, mine, next_ in zip(captions, own, [*following, []], strict=False)
        )

    def copy(self, part: SpeechPart, first: int, count: int) -> int:
        """Copy a video's rows from another file; return its new first row."""
        return self._add(part.stored(first, count))[0]

    def _add(self, rows: Iterator[tuple[float, float, int, str, str]]) -> tuple[int, int]:
        first = self._rows + 1
        for row in rows:
            self._rows += 1
            self._words += row[3].count(" ") + bool(row[3])
            self._connection.execute(_ROW, (self._rows, *row))
            self._connection.execute(
                "insert into passages(rowid, words) values (?, ?)", (self._rows, row[3])
            )
        return first, self._rows + 1 - first

    def _finish(self) -> None:
        self._connection.execute("insert into passages(passages) values ('optimize')")
        self._connection.execute("insert into totals values (?, ?)", (self._rows, self._words))
        self._connection.execute("commit")


class SpeechPart:
    """A file, open for reading; thread-safe.

    Args:
      path: a file written by `SpeechWriter`.

    Raises:
      ValueError: the file is damaged, or SQLite lacks FTS5.
    """

    def __init__(self, path: str | os.PathLike[str]):
        check_fts5()
        self._path = pathlib.Path(path)
        self._lock = threading.Lock()
        self._counts: dict[Unit, int] = {}
        address = f"{self._path.resolve().as_uri()}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        # The file may be untrusted: nothing in its schema is run.
        for setting in ("trusted_schema = off", f"mmap_size = {_MAPPED_BYTES}"):
            self._read(f"pragma {setting}")
        self._read("create virtual table temp.vocabulary using fts5vocab(main, passages, row)")
        ((self.passages, self.words),) = self._read("select passages, words from main.totals")

    def count(self, unit: Unit) -> int:
        """Return the number of passages with a unit of a query, including dead passages."""
        if unit not in self._counts:
            if len(unit) == 1:
                sql, value = "select doc from temp.vocabulary where term = ?", unit[0]
            else:
                sql, value = "select count(*) from passages where passages match ?", _match(unit)
            self._counts[unit] = next((row[0] for row in self._read(sql, value)), 0)
        return self._counts[unit]

    def candidates(
        self, units: Sequence[Unit], ranges: Sequence[Range] = (EVERYWHERE,)
    ) -> list[int]:
        """Return rows of passages to score: those with all units, then those with the rarest.

        Args:
          units: units that occur in the file, the rarest first.
          ranges: where to search; at most 1000 passages from each range are returned.
        """
        return sorted(row for where in ranges for row in self._candidates(units, where))

    def _candidates(self, units: Sequence[Unit], where: Range) -> set[int]:
        everything = " AND ".join(map(_match, units))
        found = set(self._rows_with(everything, where)) if len(units) > 1 else set()
        for place, unit in enumerate(units):
            room = _MOST_SCORED - len(found)
            if min(self.count(unit), where[1] - where[0]) <= room:
                found.update(self._rows_with(_match(unit), where))
            elif place == 0 and room > 0:
                # Too many even of the rarest, so SQLite, with its own scores, chooses.
                best = self.count(unit) <= _MOST_RANKED
                found.update(self._rows_with(_match(unit), where, best))
            else:
                break
        return found

    def contents(self, rows: Sequence[int]) -> list[tuple[int, list[str]]]:
        """Return for each passage the number of words in its own cue, and all words."""
        stored = self._read(
            "select own, words from main.cues where id in (select value from json_each(?)) "
            "order by id",
            json.dumps(list(rows)),
        )
        return [(own, text.split(" ") if text else []) for own, text in stored]

    def cues(self, first: int, count: int) -> list[Caption]:
        """Return cues by their rows."""
        return [Caption(start, end, text) for start, end, _, _, text in self.stored(first, count)]

    def stored(self, first: int, count: int) -> Iterator[tuple[float, float, int, str, str]]:
        """Return the rows of the table, for `SpeechWriter.copy`."""
        sql = "select start, end, own, words, text from main.cues where id between ? and ?"
        return iter(self._read(f"{sql} order by id", first, first + count - 1))

    def _rows_with(self, match: str, where: Range, best: bool = False) -> list[int]:
        """Return matching rows, at most 1000: the first, or the best by SQLite's scores."""
        sql = "select rowid from passages where passages match ? and rowid between ? and ?"
        sql += " order by rank limit ?" if best else " limit ?"
        return [row[0] for row in self._read(sql, match, where[0], where[1] - 1, _MOST_SCORED)]

    def _read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self._path} is damaged ({error}); build the index again.") from None


def best_passages(
    parts: Mapping[str, SpeechPart],
    units: Collection[Unit],
    alive: Callable[[str, np.ndarray], np.ndarray],
    ranges: Mapping[str, Sequence[Range]] | None = None,
) -> Iterator[Passage]:
    """Yield passages, highest score first.

    A passage whose own cue has none of the query's words is left out: the next passage begins with
    it.

    Args:
      parts: all of the index's files.
      units: units to look for; see `words.units`.
      alive: function from a file's name and rows int64 [n] to bool [n], True for rows of the index.
      ranges: where to search in each file; None for everywhere.
    """
    passages = sum(part.passages for part in parts.values())
    mean = sum(part.words for part in parts.values()) / max(1, passages)
    counts = {unit: sum(part.count(unit) for part in parts.values()) for unit in units}
    total = sum(idf(count, passages) for count in counts.values())
    known = sorted((unit for unit in units if counts[unit]), key=lambda unit: counts[unit])
    if not known:
        return
    weights = np.array([idf(counts[unit], passages) for unit in known])
    found: list[tuple[float, str, int, tuple[int, list[str]]]] = []
    for name, part in parts.items():
        where = (EVERYWHERE,) if ranges is None else ranges.get(name, ())
        there = [unit for unit in known if part.count(unit)]
        rows = np.array(part.candidates(there, where), np.int64)
        rows = rows[alive(name, rows)]
        contents = part.contents(rows.tolist())
        times = np.array([[_times(unit, text) for unit in known] for _, text in contents])
        lengths = np.array([len(text) for _, text in contents])
        scores = bm25(times.reshape(-1, len(known)), lengths, mean, weights) / total
        found += zip(scores.tolist(), [name] * len(rows), rows.tolist(), contents, strict=True)
    found.sort(key=lambda one: (-one[0], one[1:3]))
    for score, name, row, (own, text) in found:
        places = [place for unit in known for place in _places(unit, text)]
        if min(places) < own:
            yield Passage(name, row, 1 if max(places) < own else 2, score)


def idf(count: int, passages: int) -> float:
    """Return BM25's weight for a word that is in `count` passages, in Lucene's form, above 0."""
    return math.log(1 + (passages - count + 0.5) / (count + 0.5))


def bm25(times: np.ndarray, lengths: np.ndarray, mean: float, weights: np.ndarray) -> np.ndarray:
    """Return the passages' scores, float64 [n].

    Args:
      times: how often each passage has each word, [n, words].
      lengths: words of each passage, [n].
      mean: mean length of all passages.
      weights: each word's weight, see `idf`.
    """
    length = 1 - B + B * lengths[:, np.newaxis] / max(mean, 1e-9)
    return (times * (K1 + 1) / (times + K1 * length)) @ weights


def _match(unit: Unit) -> str:
    """Return the FTS5 expression for a unit: a string, in which only quotes are syntax."""
    return '"' + " ".join(word.replace('"', '""') for word in unit) + '"'


def _times(unit: Unit, text: list[str]) -> int:
    """Return how often a unit occurs in a text."""
    return text.count(unit[0]) if len(unit) == 1 else len(_starts(unit, text))


def _places(unit: Unit, text: list[str]) -> list[int]:
    """Return the positions of a unit's words in a text."""
    return [place + more for place in _starts(unit, text) for more in range(len(unit))]


def _starts(unit: Unit, text: list[str]) -> list[int]:
    if unit[0] not in text:
        return []
    runs = zip(*(text[place:] for place in range(len(unit))), strict=False)
    return [place for place, run in enumerate(runs) if run == unit]
