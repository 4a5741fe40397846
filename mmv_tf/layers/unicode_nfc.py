# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Unicode normalization form C (NFC) in the TensorFlow graph, with core operations only.

"é" may be one character or "e" and a combining accent; NFC makes it one character. TensorFlow has
no core operation for this, and a SavedModel that uses tensorflow-text's does not load everywhere.
This module follows the standard's algorithm (UAX 15: decompose, order the marks, compose) with
tables from Python's `unicodedata`. Text that is already NFC costs only one regular expression.
"""

from __future__ import annotations

import functools
import sys
import unicodedata
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Hangul syllables, L V or L V T, are composed by arithmetic: there are 11,172 of them.
_SYLLABLE, _L, _V, _T = 0xAC00, 0x1100, 0x1161, 0x11A7
_LS, _VS, _TS = 19, 21, 28
_SURROGATES = range(0xD800, 0xE000)
# Encodes two code points as one number.
_SHIFT = 1 << 21


class _Tables(NamedTuple):
    """Sorted keys and their values.

    Attributes:
      pattern: regular expression for a character that NFC excludes or restricts.
      decomposed, parts: code points [n] and their full canonical decompositions [n, 4], padded with
        0.
      marks, classes: code points with a combining class above 0, and that class.
      pairs, composed: first * _SHIFT + second, and the code point that the pair composes to.
    """

    pattern: str
    decomposed: np.ndarray
    parts: np.ndarray
    marks: np.ndarray
    classes: np.ndarray
    pairs: np.ndarray
    composed: np.ndarray


def nfc(text: tf.Tensor) -> tf.Tensor:
    """Convert strings [N] to NFC; invalid UTF-8 becomes U+FFFD.

    A string with nothing to compose is returned byte for byte.
    """
    # A match of the whole string would fail on invalid UTF-8.
    without = tf.strings.regex_replace(text, _tables().pattern, "", replace_global=False)
    rows = tf.where(without != text)

    def changed() -> tf.Tensor:
        points = tf.strings.unicode_decode(tf.gather_nd(text, rows), "UTF-8", errors="replace")
        row_ids, values = points.value_rowids(), points.flat_values
        row_ids, values = _decompose(row_ids, values)
        row_ids, values = _compose(*_order(row_ids, values))
        ragged = tf.RaggedTensor.from_value_rowids(values, row_ids, nrows=points.nrows())
        found = tf.strings.unicode_encode(ragged, "UTF-8")
        return tf.tensor_scatter_nd_update(text, rows, found)

    return tf.cond(tf.size(rows) > 0, changed, lambda: tf.identity(text))


def _decompose(rows: tf.Tensor, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Replace code points [n] with their full decompositions; also return their rows."""
    tables = _tables()
    found, place = _find(tf.cast(points, tf.int64), tables.decomposed)
    parts = tf.gather(tf.constant(tables.parts), place)
    alone = tf.stack([points, *[tf.zeros_like(points)] * 3], axis=1)
    syllable = points - _SYLLABLE
    is_syllable = (syllable >= 0) & (syllable < _LS * _VS * _TS)
    last = syllable % _TS
    jamo = tf.stack(
        [
            _L + syllable // (_VS * _TS),
            _V + syllable // _TS % _VS,
            tf.where(last > 0, _T + last, 0),
            tf.zeros_like(points),
        ],
        axis=1,
    )
    parts = tf.where(found[:, tf.newaxis], parts, alone)
    parts = tf.where(is_syllable[:, tf.newaxis], jamo, parts)
    # The first value may be 0, a NUL character in the text.
    kept = (parts > 0) | (tf.range(4) == 0)
    return tf.boolean_mask(tf.repeat(rows[:, tf.newaxis], 4, axis=1), kept), parts[kept]


def _order(rows: tf.Tensor, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Sort the marks after each letter by class, stably; also return the classes."""
    classes = _class(points)
    new_row = tf.concat([[True], rows[1:] != rows[:-1]], axis=0)[: tf.size(rows)]
    run = tf.cumsum(tf.cast((classes == 0) | new_row, tf.int64))
    order = tf.argsort(run * 256 + tf.cast(classes, tf.int64), stable=True)
    return tf.gather(rows, order), tf.gather(points, order), tf.gather(classes, order)


def _compose(rows: tf.Tensor, points: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compose letters with the following characters until no composition is left."""

    def candidates(
        rows: tf.Tensor, points: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return the composable characters, the positions of their letters, and the results."""
        place = tf.range(tf.size(points))
        starter = classes == 0
        # The last letter before each position; -1 in a row that begins with marks.
        last = tf.concat([[-1], tf.where(starter, place, -1)], axis=0)[:-1]
        last = _running_maximum(last)
        before = tf.maximum(last, 0)
        same_row = (last >= 0) & (tf.gather(rows, before) == rows)
        previous = tf.maximum(place - 1, 0)
        class_before = tf.gather(classes, previous)
        # A mark of the same class blocks a mark from its letter; any character blocks a letter.
        free = (previous == last) | ((class_before > 0) & (class_before < classes))
        becomes = _pair(tf.gather(points, before), points)
        can = same_row & free & (becomes > 0)
        # Compose from left to right, one per letter, and none whose letter is itself being
        # composed.
        can &= ~tf.gather(can, before)
        counts = tf.cumsum(tf.cast(can, tf.int32), exclusive=True)
        first = counts == tf.gather(counts, tf.minimum(before + 1, tf.size(points) - 1))
        return can & first, before, becomes

    def step(
        rows: tf.Tensor, points: tf.Tensor, classes: tf.Tensor, _: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        can, letters, becomes = candidates(rows, points, classes)
        at = tf.boolean_mask(letters, can)[:, tf.newaxis]
        points = tf.tensor_scatter_nd_update(points, at, tf.boolean_mask(becomes, can))
        kept = [tf.boolean_mask(values, ~can) for values in (rows, points, classes)]
        return *kept, tf.reduce_any(can)

    rows, points, _, _ = tf.while_loop(
        lambda *state: state[-1] & (tf.size(state[0]) > 0),
        step,
        (rows, points, classes, tf.constant(True)),
        shape_invariants=(*[tf.TensorShape([None])] * 3, tf.TensorShape([])),
    )
    return rows, points


def _running_maximum(values: tf.Tensor) -> tf.Tensor:
    """Return the last value other than -1 up to each position; such values must be increasing."""
    there = values >= 0
    # Position of the n-th such value; n = 0 means none yet.
    found = tf.concat([[-1], tf.boolean_mask(values, there)], axis=0)
    return tf.gather(found, tf.cumsum(tf.cast(there, tf.int32)))


def _class(points: tf.Tensor) -> tf.Tensor:
    """Return canonical combining classes, 0 for letters."""
    tables = _tables()
    found, place = _find(tf.cast(points, tf.int64), tables.marks)
    return tf.where(found, tf.gather(tf.constant(tables.classes), place), 0)


def _pair(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return the code point that two code points compose to, or 0."""
    tables = _tables()
    keys = tf.cast(first, tf.int64) * _SHIFT + tf.cast(second, tf.int64)
    found, place = _find(keys, tables.pairs)
    composed = tf.where(found, tf.gather(tf.constant(tables.composed), place), 0)
    lead, vowel = first - _L, second - _V
    is_lv = (lead >= 0) & (lead < _LS) & (vowel >= 0) & (vowel < _VS)
    composed = tf.where(is_lv, _SYLLABLE + (lead * _VS + vowel) * _TS, composed)
    syllable, tail = first - _SYLLABLE, second - _T
    is_lvt = (syllable >= 0) & (syllable < _LS * _VS * _TS) & (syllable % _TS == 0)
    is_lvt &= (tail > 0) & (tail < _TS)
    return tf.where(is_lvt, first + tail, composed)


def _find(values: tf.Tensor, keys: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """Return whether each value is among the sorted keys, and its index among them."""
    table = tf.constant(keys, tf.int64)
    place = tf.minimum(tf.searchsorted(table, values), len(keys) - 1)
    return tf.gather(table, place) == values, place


@functools.cache
def _tables() -> _Tables:
    """Create the tables on the first call, in a fraction of a second."""
    parts, classes, pairs = {}, {}, {}
    unstable = {*range(_V, _V + _VS), *range(_T + 1, _T + _TS)}
    for point in range(sys.maxunicode + 1):
        letter = chr(point)
        found = unicodedata.combining(letter)
        if found:
            classes[point] = found
            unstable.add(point)
        if point in _SURROGATES or _SYLLABLE <= point < _SYLLABLE + _LS * _VS * _TS:
            continue
        canonical = unicodedata.decomposition(letter)
        if not canonical or canonical.startswith("<"):
            continue
        parts[point] = [ord(part) for part in unicodedata.normalize("NFD", letter)]
        two = [int(part, 16) for part in canonical.split()]
        # Unicode excludes some characters from composition.
        if unicodedata.normalize("NFC", letter) == letter and len(two) == 2:
            pairs[two[0] * _SHIFT + two[1]] = point
            unstable.add(two[1])
        else:
            unstable.add(point)
    filled = [[*found, *[0] * (4 - len(found))] for _, found in sorted(parts.items())]
    return _Tables(
        _character_class(sorted(unstable)),
        np.array(sorted(parts), np.int64),
        np.array(filled, np.int32),
        np.array(sorted(classes), np.int64),
        np.array([classes[point] for point in sorted(classes)], np.int32),
        np.array(sorted(pairs), np.int64),
        np.array([pairs[key] for key in sorted(pairs)], np.int32),
    )


def _character_class(points: list[int]) -> str:
    """Return a regular expression's character class for code points."""
    ranges: list[list[int]] = []
    for point in points:
        if ranges and point == ranges[-1][1] + 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "[" + "".join(rf"\x{{{a:x}}}-\x{{{b:x}}}" for a, b in ranges) + "]"
