# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures speech search over a million windows and their cues.

  python -m benchmarks.search_speech [--cues=350000] [--index=DIR]

Prints one line of JSON: the time of a query from the sentence to the passages, and the time to
build the file. A thousand films have equal numbers of cues of 3 to 14 words. The words of cues and
sentences are drawn from 60,000 by Zipf's law, so that most contain words like "the" and "of".
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks.generated_index import generated_index
from benchmarks.measure import peak_bytes, print_result
from mmv_tf.data.captions import Caption
from mmv_tf.search import store
from mmv_tf.search.manifest import Said
from mmv_tf.search.speech import SpeechWriter
from mmv_tf.search.spoken import Narrations
from mmv_tf.search.words import units
from mmv_tf.util import files as files_lib

_CUES = flags.DEFINE_integer("cues", 350_000, "Number of cues.", lower_bound=1000)
_WINDOWS = flags.DEFINE_integer("windows", 1_000_000, "Number of windows.", lower_bound=1000)
_QUERIES = flags.DEFINE_integer("queries", 100, "Number of sentences.", lower_bound=1)
_DIRECTORY = flags.DEFINE_string("index", None, "Folder to keep the index in for the next run.")
_WORDS = 60_000
_PASSAGES = 50  # The default limit of 10 moments needs this many.


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(_DIRECTORY.value or folder)
        index, made = _with_speech(directory)
        start = time.perf_counter()
        narrations = Narrations(index)
        opened = time.perf_counter() - start
        words = _Words(1)
        sentences = [words.text(int(words.generator.integers(3, 9))) for _ in range(_QUERIES.value)]

        def search(sentence: str) -> list[Any]:
            return list(itertools.islice(narrations.search(units(sentence)), _PASSAGES))

        search(sentences[0])  # Opens the file.
        first = [_timed(functools.partial(search, s)) for s in sentences]
        again = [_timed(functools.partial(search, s)) for s in sentences]
        size = sum(path.stat().st_size for path in index.speech.values())
    print_result(
        "search_speech",
        {"cues": _CUES.value, "windows": index.manifest.rows, "queries": len(sentences)},
        {},
        first_ms=_summary([wall for wall, _ in first]),
        again_ms=_summary([wall for wall, _ in again]),
        again_cpu_ms=_summary([cpu for _, cpu in again]),
        opened_ms=round(1000 * opened, 1),
        made_seconds=made,
        megabytes=round(size / 1e6, 1),
        peak_bytes=peak_bytes(),
    )


class _Words:
    """Random texts with words drawn by Zipf's law, reproducible by seed."""

    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)
        shares = 1 / np.arange(1, _WORDS + 1)
        self._sums = np.cumsum(shares / shares.sum())

    def text(self, count: int) -> str:
        """Return a text with this many words."""
        places = np.searchsorted(self._sums, self.generator.random(count))
        return " ".join(f"w{place}" for place in places)


def _with_speech(directory: pathlib.Path) -> tuple[store.Index, float | None]:
    """Make or open an index with cues, and return the seconds that adding the cues took."""
    index = generated_index(directory, _WINDOWS.value, 2)
    if index.speech:
        return index, None
    words = _Words(0)
    start = time.perf_counter()
    writer = store.Writer(directory, index.manifest)
    name, path = writer.new_speech()
    each = _CUES.value // len(index.manifest.videos)
    videos = []
    with files_lib.replacing(path) as temporary, SpeechWriter(temporary) as target:
        for video in index.manifest.videos:
            step = video.duration / each
            captions = [
                Caption(i * step, (i + 1) * step, words.text(int(words.generator.integers(3, 15))))
                for i in range(each)
            ]
            first, count = target.add(captions)
            videos.append(dataclasses.replace(video, said=Said(name, first, count)))
    writer.commit(videos=tuple(videos), speech={name: store.file_sums(path)})
    return store.open_index(directory), round(time.perf_counter() - start, 1)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _summary(seconds: list[float]) -> dict[str, float]:
    """Return the median, 95th percentile and maximum, in milliseconds."""
    values = {
        "median": statistics.median(seconds),
        "p95": float(np.percentile(seconds, 95)),
        "most": max(seconds),
    }
    return {name: round(1000 * value, 2) for name, value in values.items()}


if __name__ == "__main__":
    app.run(main)
