# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sentences with the moments that they describe, and the recall of these moments."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from mmv_tf.search import Moment, Query, Searcher
from mmv_tf.search.embedder import VISION
from mmv_tf.search.fusion import FusionWeights
from mmv_tf.search.queries import ALL, SPEECH, TEXT
from mmv_tf.util.text_files import read_cells, read_text

_AT = (1, 5, 10)
_MAX_BYTES = 1 << 20
_COLUMNS = ["part", "start", "end", "sentence"]


@dataclasses.dataclass(frozen=True)
class Meant:
    """A sentence and the moment that it describes, in seconds."""

    sentence: str
    start: float
    end: float


def measured(
    searcher: Searcher, video: str, meant: Sequence[Meant], weights: FusionWeights
) -> dict[str, dict[str, float]]:
    """Return the recall at 1, 5 and 10 for each kind of search: vision, speech or both."""

    def rank(one: Meant, within: str) -> int | None:
        query = Query(TEXT, one.sentence, within=within)
        if within == VISION and not searcher.embedder().encoder.network.known([one.sentence])[0]:
            return None  # The model knows none of its words.
        answer = searcher.search([query], max(_AT), weights=weights)
        return rank_of(answer.moments, video, one)

    kinds = {"vision": VISION, "speech": SPEECH, "both": ALL}
    return {title: recalls([rank(one, within) for one in meant]) for title, within in kinds.items()}


def read_sentences(path: pathlib.Path, part: str) -> list[Meant]:
    """Return the sentences of a part.

    Raises:
      ValueError: the table lacks a column, or a time is not a number.
    """
    rows = [cells for _, cells in read_cells(path, read_text(path, _MAX_BYTES))]
    if rows[:1] != [_COLUMNS]:
        raise ValueError(f"{path}: expected the columns {', '.join(_COLUMNS)}.")
    return [
        Meant(sentence, float(start), float(end))
        for name, start, end, sentence in rows[1:]
        if name == part
    ]


def rank_of(moments: Sequence[Moment], video: str, meant: Meant) -> int | None:
    """Return the rank of the first correct moment, from 1; None if there is none."""
    for rank, moment in enumerate(moments, start=1):
        overlap = min(moment.end, meant.end) - max(moment.start, meant.start)
        shorter = min(moment.end - moment.start, meant.end - meant.start)
        if moment.video == video and overlap >= shorter / 2:
            return rank
    return None


def recalls(ranks: Sequence[int | None]) -> dict[str, float]:
    """Return the share of ranks up to 1, 5 and 10."""
    return {
        f"at_{most}": round(
            sum(rank is not None and rank <= most for rank in ranks) / len(ranks), 3
        )
        for most in _AT
    }
