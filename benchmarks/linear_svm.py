# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Times a linear SVM: C chosen from a grid on held-out groups, then the final fit.

  python -m benchmarks.linear_svm                   # 20,000 rows
  python -m benchmarks.linear_svm --rows=100000     # the target size

Prints one line of JSON.
"""

from __future__ import annotations

import numpy as np
from absl import app, flags

from benchmarks.measure import peak_bytes, print_result, timed
from mmv_tf.evaluation.linear_svm import choose_C, fit_linear_svm, one_vs_rest

_ROWS = flags.DEFINE_integer("rows", 20_000, "Training rows, ten per video.", lower_bound=100)
_DIM = flags.DEFINE_integer("dim", 1024, "Size of the features (S3D-G: 1024).", lower_bound=1)
_CLASSES = flags.DEFINE_integer("classes", 100, "Classes.", lower_bound=2)
_GRID = flags.DEFINE_list("grid", ["1e-4", "1e-3", "1e-2"], "Values of C.")


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    rows, dim, classes = _ROWS.value, _DIM.value, _CLASSES.value
    generator = np.random.default_rng(0)
    # Features with one strong direction and many weak ones, like a model's.
    strength = (1 / np.sqrt(1 + np.arange(dim))).astype(np.float32)
    centres = generator.standard_normal((classes, dim), np.float32)
    labels = np.arange(rows) // 10 % classes
    features = generator.standard_normal((rows, dim), np.float32) * 12
    features += centres[labels]
    features *= strength
    targets = one_vs_rest(labels, classes)
    found = {}

    def choose() -> None:
        found["C"], found["outcome"] = choose_C(
            features,
            targets,
            labels,
            np.arange(rows) // 10,
            [float(value) for value in _GRID.value],
            lambda scores, held: float((scores.argmax(axis=1) == labels[held]).mean()),
        )

    def fit() -> None:
        found["machine"] = fit_linear_svm(features, targets, found["C"])

    times = {"choose_C": timed(choose), "fit": timed(fit)}
    print_result(
        "linear_svm",
        {"rows": rows, "dim": dim, "classes": classes},
        times,
        solver="primal Newton, conjugate gradients, all classes side by side",
        total_seconds=round(sum(one.seconds for one in times.values()), 1),
        C=found["C"],
        held_out_accuracy={key: round(value, 4) for key, value in found["outcome"].items()},
        converged=found["machine"].converged,
        peak_bytes=peak_bytes(),
    )


if __name__ == "__main__":
    app.run(main)
