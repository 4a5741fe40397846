# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures whether a film's frames find their moments, and whether absent things are rejected.

  python -m benchmarks.search_answers --index=INDEX --video=FILM --captions=FILE.vtt

Queries are frames at random times, stored as JPEG with 360 lines like a screenshot; a result is
correct if the first moment contains the frame's time. Captions are used as sentences to search the
video; a result is correct if one of the five best moments overlaps the caption. For the lowest
confidence that keeps 9 of 10 correct results in the film's first half, and for two fixed
confidences, prints the share of correct results that are kept in both halves, and the share of
sentences about absent things that are rejected, as one line of JSON.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from benchmarks.measure import print_result
from mmv_tf.data.captions import Caption, read_captions
from mmv_tf.data.media import iter_frames_at, probe
from mmv_tf.search import Query, Searcher
from mmv_tf.search.embedder import VISION
from mmv_tf.search.moments import Moment

_INDEX = flags.DEFINE_string("index", None, "Folder of the index.", required=True)
_FILM = flags.DEFINE_string("video", None, "The film.", required=True)
_CAPTIONS = flags.DEFINE_string("captions", None, "Its captions.", required=True)
_ABSENT = flags.DEFINE_string(
    "absent",
    str(pathlib.Path(__file__).with_name("absent_sentences.txt")),
    "Sentences about things that are not in the film, one per line.",
)
_FRAMES = flags.DEFINE_integer("frames", 200, "Number of frames to search for.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed for the frames' times.")


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    searcher = Searcher(_INDEX.value)
    inputs = {"frames": _FRAMES.value, "seed": _SEED.value}
    print_result(
        "search_answers", inputs=inputs, frames=_frames(searcher), nothing=_nothing(searcher)
    )


def _frames(searcher: Searcher) -> dict[str, float]:
    """Return the share of frames in their first moment: of all frames, and before the last cue."""
    last = max(caption.end for caption in read_captions(_CAPTIONS.value))
    end = probe(_FILM.value).duration - 0.5
    times = np.sort(np.random.default_rng(_SEED.value).uniform(0, end, _FRAMES.value))
    right = []
    for time, (_, jpeg) in zip(
        times, iter_frames_at(_FILM.value, times.tolist(), 360, jpeg_quality=90), strict=True
    ):
        (moment,) = searcher.search([Query("image", jpeg)], 1).moments
        right.append(moment.start <= time <= moment.end)
    before = np.array(right)[times <= last]
    return {"all": round(float(np.mean(right)), 3), "captioned": round(float(before.mean()), 3)}


def _nothing(searcher: Searcher) -> dict[str, dict[str, float]]:
    captions = sorted(read_captions(_CAPTIONS.value), key=lambda caption: caption.start)
    half = len(captions) // 2
    chosen, reported = (_right(searcher, part) for part in (captions[:half], captions[half:]))
    sentences = pathlib.Path(_ABSENT.value).read_text(encoding="utf-8").splitlines()
    absent = [_seen(searcher, text)[0].confidence for text in sentences]
    by_chosen = float(np.quantile(chosen, 0.1))
    return {
        f"{least:.3f}": {
            "chosen_kept": _share(chosen, least),
            "reported_kept": _share(reported, least),
            "absent_refused": round(1 - _share(absent, least), 3),
        }
        for least in (by_chosen, 0.9, 0.95)
    }


def _share(values: Sequence[float], least: float) -> float:
    return round(float(np.mean(np.array(values) >= least)), 3)


def _right(searcher: Searcher, captions: Sequence[Caption]) -> list[float]:
    """Return the confidence for each caption that is found among the five best moments."""
    found = []
    for caption in captions:
        moments = _seen(searcher, caption.text)
        if any(moment.start < caption.end and moment.end > caption.start for moment in moments):
            found.append(moments[0].confidence)
    return found


def _seen(searcher: Searcher, text: str) -> tuple[Moment, ...]:
    """Return the five best moments for a sentence, by video alone."""
    return searcher.search([Query("text", text, within=VISION)], 5).moments


if __name__ == "__main__":
    app.run(main)
