# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures how often a sentence finds its moment by what is seen, said, or both.

  python -m benchmarks.search_recall --index=INDEX [--sentences=FILE] [--part=report]

The index has the quickstart's film and its captions. The sentences are paraphrases, so that what is
said is not found by its own words. A moment is right if it overlaps the meant one by at least half
of the shorter of both (ours). Prints one line of JSON: the recall at 1, 5 and 10.

Settings are chosen on the sentences of the part "choose", and reported on those of "report".
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from absl import app, flags

from benchmarks.measure import print_result
from mmv_tf.search import Moment, Query, Searcher
from mmv_tf.search.embedder import VISION
from mmv_tf.search.fusion import FusionWeights
from mmv_tf.search.queries import ALL, SPEECH, TEXT
from mmv_tf.util.text_files import read_cells, read_text

_INDEX = flags.DEFINE_string("index", None, "Folder of the index.", required=True)
_SENTENCES = flags.DEFINE_string(
    "sentences",
    str(pathlib.Path(__file__).with_name("bbb_sentences.tsv")),
    "A table with the columns part, start, end and sentence, about one film.",
)
_PART = flags.DEFINE_enum("part", "report", ["choose", "report"], "Part of the sentences.")
_VIDEO = flags.DEFINE_string("video", None, "Name of the film in the index, if it has several.")
_WEIGHTS = flags.DEFINE_string("fusion_weights", "video=1,speech=1", "Weights of the fusion.")
_AT = (1, 5, 10)
_MAX_BYTES = 1 << 20
_COLUMNS = ["part", "start", "end", "sentence"]


@dataclasses.dataclass(frozen=True)
class Meant:
    """A sentence and the moment that it is about, in seconds."""

    sentence: str
    start: float
    end: float


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    meant = read_sentences(pathlib.Path(_SENTENCES.value), _PART.value)
    searcher = Searcher(_INDEX.value, exact=True)
    weights = FusionWeights.parse(_WEIGHTS.value)
    videos = [video.name for video in searcher.open().manifest.videos]
    name = _VIDEO.value or videos[0]
    if name not in videos or (_VIDEO.value is None and len(videos) > 1):
        raise app.UsageError(f"--video={_VIDEO.value}; the index has {', '.join(videos[:10])}.")
    found = measured(searcher, name, meant, weights)
    print_result(
        "search_recall",
        {"part": _PART.value, "sentences": len(meant), "fusion_weights": _WEIGHTS.value},
        {},
        recall=found,
    )


def measured(
    searcher: Searcher, video: str, meant: Sequence[Meant], weights: FusionWeights
) -> dict[str, dict[str, float]]:
    """Return the recall at 1, 5 and 10 by what is searched: vision, speech or both."""

    def rank(one: Meant, within: str) -> int | None:
        query = Query(TEXT, one.sentence, within=within)
        if within == VISION and not searcher.embedder().encoder.network.known([one.sentence])[0]:
            return None  # The model knows no word of it.
        answer = searcher.search([query], max(_AT), weights=weights)
        return rank_of(answer.moments, video, one)

    kinds = {"vision": VISION, "speech": SPEECH, "both": ALL}
    return {title: recalls([rank(one, within) for one in meant]) for title, within in kinds.items()}


def read_sentences(path: pathlib.Path, part: str) -> list[Meant]:
    """Return the sentences of a part.

    Raises:
      ValueError: the table lacks a column, or a time is no number.
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
    """Return the rank of the first right moment, from 1; None without any."""
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


if __name__ == "__main__":
    app.run(main)
