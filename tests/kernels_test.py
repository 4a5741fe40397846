# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Outputs and gradients are the same by all of TensorFlow's CPU kernels.

Eager tapes, compiled functions, TF_ENABLE_ONEDNN_OPTS=0 and builds without oneDNN run different
kernels for the same operation, and TensorFlow does not promise that their gradients agree:
`MaxPool3DGrad`'s don't.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests import conformance_test as conformance
from tests import kernels

# Two processes compute all operations, which takes half a minute.
pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[1]
NAMES = ["pools", *kernels.OPERATIONS, *conformance.TRAINED]


@pytest.fixture(scope="module")
def found(request, tmp_path_factory):
    """Name -> "onednn" and "plain" -> values, each kind from a process of its own."""
    wanted = {
        item.callspec.params.get("name", "pools")
        for item in request.session.items
        if item.path == pathlib.Path(__file__) and hasattr(item, "callspec")
    }
    folder = tmp_path_factory.mktemp("kernels")
    values = {name: {"onednn": {}, "plain": {}} for name in NAMES}
    for kind, setting in (("onednn", "1"), ("plain", "0")):
        path = folder / f"{kind}.npz"
        done = subprocess.run(
            [sys.executable, "-m", "tests.kernels", path, "pools", *sorted(wanted - {"pools"})],
            env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": setting},
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(path) as file:
            for key in file.files:
                name, _, rest = key.replace("\\", "/").partition("|")
                values[name][kind][rest] = file[key]
    return values


def naive_pool(x, size, strides, padding):
    """Outputs, and the gradient of their sum weighted by `weights_of`, window by window."""
    if padding == "same":
        counts = [-(-n // stride) for n, stride in zip(x.shape[1:4], strides, strict=True)]
        missing = [
            max((count - 1) * stride + window - n, 0)
            for count, stride, window, n in zip(counts, strides, size, x.shape[1:4], strict=True)
        ]
    else:
        counts = [
            (n - window) // stride + 1
            for n, window, stride in zip(x.shape[1:4], size, strides, strict=True)
        ]
        missing = [0, 0, 0]
    before = [count // 2 for count in missing]
    ends = list(zip(before, (m - b for m, b in zip(missing, before, strict=True)), strict=True))
    padded = np.pad(x, [(0, 0), *ends, (0, 0)], constant_values=-np.inf)
    outputs = np.zeros((len(x), *counts, x.shape[-1]), np.float32)
    back, weights = np.zeros_like(padded), kernels.weights_of(outputs)
    for place in np.ndindex(outputs.shape):
        row, *at, channel = place
        window = (
            row,
            *(slice(i * s, i * s + n) for i, s, n in zip(at, strides, size, strict=True)),
            channel,
        )
        first = np.unravel_index(np.argmax(padded[window]), size)  # the first of equal ones
        outputs[place] = padded[window][first]
        back[window][first] += weights[place]
    inner = tuple(slice(b, b + n) for b, n in zip(before, x.shape[1:4], strict=True))
    return outputs, back[:, inner[0], inner[1], inner[2]]


@pytest.mark.parametrize("padding", kernels.PADDINGS)
@pytest.mark.parametrize(("size", "strides"), kernels.POOLS)
@pytest.mark.parametrize("kind", kernels.POOL_INPUTS)
def test_a_pool_sends_each_gradient_to_the_first_of_equal_maxima(
    found, kind, size, strides, padding
):
    for dtype in kernels.DTYPES:
        x = kernels.make_tensor(kind)
        if dtype != "float32":
            x = np.asarray(kernels.tf.cast(kernels.tf.cast(x, dtype), "float32"))
        outputs, gradient = naive_pool(x, size, strides, padding)
        for process in found["pools"].values():
            key = f"{size}/{strides}/{padding}/{kind}/{dtype}"
            for mode in ("eager", "compiled"):
                np.testing.assert_array_equal(process[f"{key}/{mode}/outputs/0"], outputs)
                # Small whole numbers, which no dtype here rounds.
                np.testing.assert_array_equal(process[f"{key}/{mode}/gradients/0"], gradient)
            if dtype != "float16":
                np.testing.assert_array_equal(process[f"{key}/plain"], outputs)


def flat(values, mode, kind):
    chosen = [v.ravel() for key, v in values.items() if key.startswith(f"{mode}/{kind}")]
    return np.concatenate(chosen)


# Layers and networks take a minute or two, once for each process that runs tests.
QUICK = set(kernels.OPERATIONS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in (*kernels.OPERATIONS, *conformance.TRAINED)
    ],
)
@pytest.mark.parametrize("kind", ["outputs", "gradients"])
def test_outputs_and_gradients_do_not_depend_on_the_kernels(found, name, kind):
    plain, onednn = found[name]["plain"], found[name]["onednn"]
    reference = flat(plain, "eager", kind)
    length = np.linalg.norm(reference) or 1.0
    allowed = 1e-5
    if f"nudged/{kind}/0" in plain:
        # The audio ResNet makes tens of percent of a millionth here, by any kernel; S3D-G 0.02 %.
        change = np.linalg.norm(flat(plain, "nudged", kind) - reference) / length
        # Other kernels round by more than the nudge; 10.5 times its effect is the most seen.
        allowed = min(allowed + 20 * change, 0.3)
    for process, mode in ((plain, "compiled"), (onednn, "eager"), (onednn, "compiled")):
        difference = np.linalg.norm(flat(process, mode, kind) - reference) / length
        assert difference <= allowed, mode
