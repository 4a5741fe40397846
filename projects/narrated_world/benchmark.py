# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures how many clips of the narrated world a core generates per second.

  python -m projects.narrated_world.benchmark

Prints one line of JSON: clips per second of CPU time (per core, however many cores there are) with
video, audio and narrations, and also with the log-mel and word ids for a model. The value is the
best of several rounds, since other programs can only slow it down.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from absl import app, flags

from benchmarks.measure import print_result
from mmv_tf.layers import LogMel, WordTokenizer
from projects import narrated_world

_CLIPS = flags.DEFINE_integer("batch_size", 256, "Clips per batch.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Number of measurements of each kind.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    config = narrated_world.default_config()
    log_mel = LogMel(sample_rate=config.sample_rate, window=1024, step=512, mel_bins=40)
    tokenizer = WordTokenizer(narrated_world.vocabulary())
    plain = narrated_world.NarratedWorld(config)
    whole = narrated_world.NarratedWorld(config, tokenizer, log_mel)
    index = np.arange(_CLIPS.value)
    inputs = {
        "clips": _CLIPS.value,
        "video": [config.num_frames, config.size, config.size, 3],
        "samples": round(config.sample_rate * plain.clip_seconds),
    }
    print_result(
        "narrated_world",
        inputs,
        clips_per_core_second=round(_rate(lambda: plain.clips(index))),
        with_log_mel_and_word_ids=round(_rate(lambda: whole.batch(index))),
    )


def _rate(make: Callable[[], object]) -> float:
    make()
    seconds = []
    for _ in range(_ROUNDS.value):
        start = time.process_time()
        make()
        seconds.append(time.process_time() - start)
    return _CLIPS.value / min(seconds)


if __name__ == "__main__":
    app.run(main)
