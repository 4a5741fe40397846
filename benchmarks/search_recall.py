# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures how often a sentence finds its moment by video, speech, or both.

  python -m benchmarks.search_recall --index=INDEX [--sentences=FILE] [--part=report]

The index contains the quickstart's film and its captions. The sentences are paraphrases, so that
speech is not found by its own words. A moment is correct if it overlaps the intended moment by at
least half of the shorter one (ours). Prints one line of JSON: the recall at 1, 5 and 10.

Settings are chosen on the sentences in part "choose", and results are reported on part "report".
"""

from __future__ import annotations

import pathlib

from absl import app, flags

from benchmarks.meant_moments import measured, read_sentences
from benchmarks.measure import print_result
from mmv_tf.search import Searcher
from mmv_tf.search.fusion import FusionWeights

_INDEX = flags.DEFINE_string("index", None, "Folder of the index.", required=True)
_SENTENCES = flags.DEFINE_string(
    "sentences",
    str(pathlib.Path(__file__).with_name("bbb_sentences.tsv")),
    "A table with the columns part, start, end and sentence, for one film.",
)
_PART = flags.DEFINE_enum("part", "report", ["choose", "report"], "Part of the sentences.")
_VIDEO = flags.DEFINE_string("video", None, "Name of the film in the index, if it has several.")
_WEIGHTS = flags.DEFINE_string("fusion_weights", "video=1,speech=1", "Weights of the fusion.")


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


if __name__ == "__main__":
    app.run(main)
