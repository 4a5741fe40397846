# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MIL-NCE's S3D-G in evaluation mode, in NumPy float64, from a checkpoint's arrays.

An oracle: slow, channels first as the checkpoint is, written from the published description and the
names in the checkpoints (https://github.com/antoine77340/S3D_HowTo100M), sharing no code with the
package. `mil_nce_test.py` holds it against the reference outputs in ../shared/mil_nce_fixture where
those are there.
"""

from __future__ import annotations

import itertools
import re

import numpy as np

EPSILON = 1e-5


class Network:
    """Evaluates a state dict."""

    def __init__(self, state):
        self.state = {
            name: np.asarray(array, np.float64) if array.dtype.kind == "f" else array
            for name, array in state.items()
        }

    def video(self, clips):
        """[B, T, H, W, 3] -> (mixed_5c [B, d], embedding [B, dim])."""
        x = np.moveaxis(np.asarray(clips, np.float64), -1, 1)
        if self.state["conv1.conv1.weight"].shape[1] == 24:
            b, c, t, h, w = x.shape
            x = x.reshape(b, c, t // 2, 2, h // 2, 2, w // 2, 2)
            x = x.transpose(0, 3, 5, 7, 1, 2, 4, 6).reshape(b, 8 * c, t // 2, h // 2, w // 2)
            x = self.unit(x, "conv1", 1, (1, 2, 2))[:, :, 1:, 1:, 1:]
        else:
            x = self.unit(x, "conv1", 2, (1, 3, 3))
        x = pool(x, (1, 3, 3), (1, 2, 2))
        x = self.unit(x, "conv_2b")
        x = self.gate(self.unit(x, "conv_2c"), "gating")
        x = pool(x, (1, 3, 3), (1, 2, 2))
        for stage, sizes in (("3", None), ("4", (3, 3, 3)), ("5", (2, 2, 2))):
            if sizes:
                x = pool(x, sizes, (2, 2, 2))
            for letter in "bcdef":
                if f"mixed_{stage}{letter}.conv_b0.conv1.weight" in self.state:
                    x = self.inception(x, f"mixed_{stage}{letter}")
        x = x.mean((2, 3, 4))
        return x, self.linear(x, "fc")

    def text(self, ids):
        """Ids [B, words] -> [B, dim]."""
        words = self.state["text_module.word_embd.weight"][ids]
        words = np.maximum(self.linear(words, "text_module.fc1"), 0)
        return self.linear(words.max(1), "text_module.fc2")

    # Parts.

    def linear(self, x, path):
        return x @ self.state[f"{path}.weight"].T + self.state[f"{path}.bias"]

    def gate(self, x, path):
        weights = 1 / (1 + np.exp(-self.linear(x.mean((2, 3, 4)), f"{path}.fc")))
        return x * weights[:, :, None, None, None]

    def unit(self, x, path, stride=1, padding=None):
        for index in (1, 2):
            if f"{path}.conv{index}.weight" in self.state:
                kernel = self.state[f"{path}.conv{index}.weight"]
                pads = padding or tuple(size // 2 for size in kernel.shape[2:])
                x = convolve(x, kernel, stride, pads)
                x = np.maximum(self.norm(x, f"{path}.bn{index}"), 0)
        return x

    def norm(self, x, path):
        gamma, beta, mean, variance = (
            self.state[f"{path}.{name}"][:, None, None, None]
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta

    def inception(self, x, path):
        pooled = pool(np.pad(x, [(0, 0)] * 2 + [(1, 1)] * 3), (3, 3, 3), (1, 1, 1), end=0)
        branches = [
            self.unit(x, f"{path}.conv_b0"),
            self.unit(self.unit(x, f"{path}.conv_b1_a"), f"{path}.conv_b1_b"),
            self.unit(self.unit(x, f"{path}.conv_b2_a"), f"{path}.conv_b2_b"),
            self.unit(pooled, f"{path}.conv_b3_b"),
        ]
        gated = [self.gate(x, f"{path}.gating_b{index}") for index, x in enumerate(branches)]
        return np.concatenate(gated, 1)


def taps(x, sizes, strides):
    """Each place of a window, and the input seen through it (windows inside of the input only)."""
    counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], sizes, strides, strict=True)]
    for place in itertools.product(*(range(size) for size in sizes)):
        slices = (
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(place, counts, strides, strict=True)
        )
        yield place, x[(slice(None), slice(None), *slices)]


def convolve(x, kernel, stride, padding):
    """Padded by zeros on both sides."""
    x = np.pad(x, [(0, 0), (0, 0), *((size, size) for size in padding)])
    return sum(
        np.einsum("oi,bithw->bothw", kernel[(..., *place)], view, optimize=True)
        for place, view in taps(x, kernel.shape[2:], (stride,) * 3)
    )


def pool(x, sizes, strides, end=None):
    """Windows from the first place on, zeros behind the last, as many windows as begin inside."""
    ends = [(0, size - 1 if end is None else end) for size in sizes]
    result = 0.0
    for _, view in taps(np.pad(x, [(0, 0), (0, 0), *ends]), sizes, strides):
        result = np.maximum(result, view)
    return result


def word_ids(sentence, dictionary, length=16):
    """Ids by the rules of MIL-NCE's code."""
    rows = {word: row for row, word in enumerate(dictionary, start=1)}
    ids = [rows[word] for word in re.findall(r"[\w']+", sentence.lower()) if word in rows]
    return (ids + [0] * length)[:length]
