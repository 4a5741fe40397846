# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The losses in NumPy, written from MMV (Alayrac et al., 2020)."""

from __future__ import annotations

import numpy as np


def naive_mil_nce(
    video,
    text,
    temperature=0.07,
    valid=None,
    candidate_valid=None,
    symmetric=False,
    textless_negatives=False,
    ids=None,
):
    """Row by row and pair by pair, in float64."""
    batch, candidates, _ = text.shape
    ids = range(batch) if ids is None else list(ids)

    def twins(i, j):
        return i != j and ids[i] == ids[j]

    valid = np.ones(batch, bool) if valid is None else valid
    if candidate_valid is None:
        candidate_valid = np.ones((batch, candidates), bool)
    video = video.astype(np.float64) / np.linalg.norm(video, axis=-1, keepdims=True)
    text = text.astype(np.float64) / np.linalg.norm(text, axis=-1, keepdims=True)
    usable = [i for i in range(batch) if valid[i] and candidate_valid[i].any()]
    rows = []
    for i in usable:
        positives = [
            np.exp(video[i] @ text[i, k] / temperature)
            for k in range(candidates)
            if candidate_valid[i, k]
        ]
        to_text = to_video = 0.0
        for j in usable:
            for k in range(candidates):
                if candidate_valid[j, k] and not twins(
                    i, j
                ):  # my video against everyone's narrations
                    to_text += np.exp(video[i] @ text[j, k] / temperature)
        for j in np.flatnonzero(valid) if textless_negatives else usable:
            for k in range(candidates):
                if candidate_valid[i, k] and not twins(
                    i, j
                ):  # everyone's video against my narrations
                    to_video += np.exp(video[j] @ text[i, k] / temperature)
        if symmetric:
            ways = [-np.log(sum(positives) / way) for way in (to_text, to_video)]
            rows.append(sum(ways) / 2)
        else:
            rows.append(-np.log(sum(positives) / (to_text + to_video)))
    return np.mean(rows) if rows else 0.0
