# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Results of a quickstart that nobody ran, for quick tests of its report."""

import numpy as np

from mmv_tf.evaluation.retrieval import retrieval_metrics
from mmv_tf.quickstart.report.results import Run

SECONDS = 24.0
BLOCKS = [
    {"start": 3.0 * n, "end": 3.0 * n + 3, "split": "test" if n % 2 else "train"} for n in range(8)
]
ORDER = (0, 1, 2, 3, 4, 7, 5, 6)  # found in place of each test clip


def make_run(captions=None, order=ORDER, scalars=None):
    """A run with 16 clips, two a block; test clip i is nearest to the narration of order[i]."""
    is_test = (np.arange(16) // 2) % 2 == 1
    video = np.eye(16, dtype=np.float32) + 0.01 * np.arange(16, dtype=np.float32)
    text = video.copy()
    rows = np.flatnonzero(is_test)
    text[rows] = video[rows[list(order)]]
    starts = 1.5 * np.arange(16)
    embeddings = {
        "text/vat": text,
        "video/vat": video,
        "starts": starts,
        "ends": starts + 1.5,
        "captions": np.array(captions or [f"narration {n}" for n in range(16)]),
        "is_test": is_test,
    }
    metrics = retrieval_metrics(text[rows], video[rows], 99, groups=np.arange(8) // 2)
    metrics["intervals"] = {"mean_rank": [1.0, 2.5]}
    probe = {
        "accuracy": 0.5,
        "interval": [0.25, 0.75],
        "majority": 0.3,
        "count": 8,
        "classes": 3,
        "unseen": 1,
    }
    agreement = {"l1": 0.2, "cosine": 0.8}
    return Run(
        manifest={
            "blocks": BLOCKS,
            "dropped": {},
            "splits": {"train": {"num_examples": 8}, "test": {"num_examples": 8}},
        },
        config={"training": {"steps": 100}, "data": {"batch_size": 4}},
        scalars=scalars
        or {
            "train/loss": [(10, 4.0), (100, 2.0)],
            "train/loss/va": [(10, 2.0), (100, 1.0)],
            "train/loss/vt": [(10, 2.0), (100, 1.0)],
            "held_out/text_to_video/mean_rank": [(50, 4.0), (100, 2.5)],
            "held_out/text_to_video/count": [(50, 8.0), (100, 8.0)],
        },
        evaluation={
            "protocol": {"permutations": 99},
            "clips": {},
            "retrieval": {"text -> video": metrics},
            "linear_probe": {"trained": {"video": probe}, "untrained": {"video": probe}},
            "environment": {"tensorflow": "2", "python": "3", "mmv_tf": "0"},
        },
        embeddings=embeddings,
        deflation={
            **dict.fromkeys(("naive", "closed_form", "fitted"), agreement),
            "speed": {"image_seconds": 0.01, "clip_seconds": 0.1, "num_frames": 8, "ratio": 10.0},
            "held_out": 8,
            "images": 32,
        },
        asked={
            "text_difference": 1e-7,
            "answers": [
                {
                    "sentence": "a red square",
                    "moments": [{"start": 3.0, "end": 4.5, "score": 0.9, "caption": "narration 2"}],
                }
            ],
        },
        windows=23,
    )


RECORD = {"train": {"seconds": 61.0, "peak_memory_bytes": 2**30}}
