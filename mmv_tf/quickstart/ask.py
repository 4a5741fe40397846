# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds test moments of the film with an exported model, using TensorFlow but not mmv_tf.

  python mmv_tf/quickstart/ask.py SAVED_MODEL EMBEDDINGS.npz OUTPUT.json "a sentence" ...

It stands in for a user's own program: importing mmv_tf is disabled first. All signatures run, and
their outputs are compared with those of the Keras model where these are stored.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
from typing import Any

import mmv_tf.util.quiet_start  # noqa: F401  # first: hides TensorFlow's start-up notes

sys.modules["mmv_tf"] = None  # type: ignore[assignment]  # Importing it fails from here on.

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

# Exported and Keras outputs come from the same computation; float32 rounding may differ this much.
_TOLERANCE = 1e-4
_TOP = 5


def ask(saved_model: str, embeddings: str, sentences: list[str]) -> dict[str, Any]:
    """Load the model, check its signatures and rank the test clips for each sentence."""
    started = time.perf_counter()
    signatures = tf.saved_model.load(saved_model).signatures
    load_seconds = time.perf_counter() - started
    with np.load(embeddings, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}

    again = signatures["text"](tf.constant(stored["captions"]))["vat"].numpy()
    difference = float(np.abs(again - stored["text/vat"]).max() / np.abs(again).max())
    if difference > _TOLERANCE:
        raise ValueError(f"The exported text signature differs from the network by {difference}.")
    shapes = {}
    inputs = {
        "video": tf.zeros([1, 8, 64, 64, 3]),
        "audio": tf.zeros([1, 48_000]),
        "text": tf.constant(sentences[:1]),
        "image": tf.zeros([1, 64, 64, 3]),
    }
    for name, tensor in inputs.items():
        outputs = signatures[name](tensor)
        shapes[name] = {key: list(value.shape) for key, value in outputs.items()}

    # Training clips would be remembered rather than found.
    test = np.flatnonzero(stored["is_test"])
    clips = _unit(stored["video/vat"][test])
    answers = []
    for sentence in sentences:
        query = _unit(signatures["text"](tf.constant([sentence]))["vat"].numpy())
        scores = (clips @ query.T)[:, 0]
        best = np.argsort(-scores, kind="stable")[:_TOP]
        answers.append(
            {
                "sentence": sentence,
                "moments": [
                    {
                        "start": round(float(stored["starts"][clip]), 2),
                        "end": round(float(stored["ends"][clip]), 2),
                        "score": round(float(score), 4),
                        "caption": str(stored["captions"][clip]),
                    }
                    for clip, score in zip(test[best], scores[best], strict=True)
                ],
            }
        )
    return {
        "load_seconds": load_seconds,
        "text_difference": difference,
        "signatures": shapes,
        "answers": answers,
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


if __name__ == "__main__":
    saved_model_dir, embeddings_file, output_file, *questions = sys.argv[1:]
    try:
        result = ask(saved_model_dir, embeddings_file, questions)
        pathlib.Path(output_file).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    for answer in result["answers"]:
        print(f"“{answer['sentence']}”")
        for moment in answer["moments"]:
            print(
                f"  {moment['start']:6.1f}-{moment['end']:5.1f} s  {moment['score']:.3f}  "
                f"{moment['caption']}"
            )
