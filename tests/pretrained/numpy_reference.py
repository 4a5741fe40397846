# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The released FAC networks in evaluation mode, in NumPy float64, from a checkpoint's arrays.

An oracle: slow, written from the published description and the names in the checkpoints, sharing no
code with the package. `haiku_test.py` holds it against the reference outputs in
../shared/haiku_fixture where those are there.
"""

from __future__ import annotations

import itertools

import numpy as np

EPSILON = 1e-5


class Network:
    """Evaluates {"params": ..., "state": ...} with the root module `root`."""

    def __init__(self, tree, root="text_audio_video"):
        self.params, self.state, self.root = tree["params"], tree["state"], root

    def __call__(self, images, log_mel, word_ids):
        visual = f"{self.root}/visual_module/~"
        images = images.astype(np.float64)
        if f"{visual}/S3D/Conv2d_1a_7x7/~/conv3_d" in self.params:
            video = self.s3d(images, f"{visual}/S3D")
        else:
            video = self.tsm(images, f"{visual}/TSMResNetV2")
        audio = self.audio(log_mel.astype(np.float64))
        text = self.sentence(word_ids)
        video_fine = self.head(video, "vid2audio_embd")
        audio_fine = self.head(audio, "audio_embd")
        return {
            "video": {
                "before_head": video,
                "va": video_fine,
                "vat": self.head(relu(video_fine), "vis_embd"),
            },
            "audio": {
                "before_head": audio,
                "va": audio_fine,
                "vat": self.head(relu(audio_fine), "vis_embd"),
            },
            "text": {"before_head": text, "vat": self.head(text, "txt_embd")},
        }

    # Building blocks.

    def norm(self, x, path):
        scale, offset = (self.params[path][name].ravel() for name in ("scale", "offset"))
        mean, variance = (
            self.state[f"{path}/~/{name}_ema"]["average"].ravel() for name in ("mean", "var")
        )
        return (x - mean) / np.sqrt(variance.astype(np.float64) + EPSILON) * scale + offset

    def linear(self, x, path):
        arrays = self.params[path]
        return x @ arrays["w"].astype(np.float64) + arrays.get("b", 0.0)

    def conv(self, x, path, stride=1):
        return convolve(x, self.params[path]["w"].astype(np.float64), stride)

    def head(self, x, name):
        path = f"{self.root}/~_get_pair_embedding_heads/{name}"
        norms = [f"{path}/__cross_replica_batch_norm{end}" for end in ("", "_1")]
        norms = [norm for norm in norms if norm in self.params]
        if f"{path}/final_projection_inner" in self.params:
            x = self.linear(x, f"{path}/final_projection_inner")
            x = relu(self.norm(x, norms.pop(0)))
        x = self.linear(x, f"{path}/final_projection")
        return self.norm(x, norms[0]) if norms else x

    # Towers.

    def unit(self, x, path, stride=1):
        for end in ("", "_1"):
            if f"{path}/~/conv3_d{end}" in self.params:
                x = self.conv(x, f"{path}/~/conv3_d{end}", stride)
                x = relu(self.norm(x, f"{path}/__cross_replica_batch_norm{end}"))
        if f"{path}/self_gating" in self.params:
            gate = self.linear(x.mean((1, 2, 3)), f"{path}/self_gating")
            x = x / (1 + np.exp(-gate))[:, None, None, None]
        return x

    def s3d(self, x, path):
        depth = self.params[f"{path}/Conv2d_1a_7x7/~/conv3_d"]["w"].shape[-2]
        if depth == 24:
            b, t, h, w, c = x.shape
            x = x.reshape(b, t // 2, 2, h // 2, 2, w // 2, 2, c)
            x = x.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, t // 2, h // 2, w // 2, 8 * c)
        x = self.unit(x, f"{path}/Conv2d_1a_7x7", 1 if depth == 24 else 2)
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        x = self.unit(x, f"{path}/Conv2d_2b_1x1")
        x = self.unit(x, f"{path}/Conv2d_2c_3x3")
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        for stage, pool in ((3, None), (4, (3, 3, 3)), (5, (2, 2, 2))):
            if pool:
                x = max_pool(x, pool, (2, 2, 2))
            for letter in "bcdef":
                block = f"{path}/Mixed_{stage}{letter}"
                if f"{block}/Branch_0_Conv2d_0a_1x1/~/conv3_d" in self.params:
                    x = self.inception(x, block)
        return x.mean((1, 2, 3))

    def inception(self, x, path):
        branches = [self.unit(x, f"{path}/Branch_0_Conv2d_0a_1x1")]
        for branch in (1, 2):
            inner = self.unit(x, f"{path}/Branch_{branch}_Conv2d_0a_1x1")
            branches.append(self.unit(inner, f"{path}/Branch_{branch}_Conv2d_0b_3x3"))
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1))
        branches.append(self.unit(pooled, f"{path}/Branch_3_Conv2d_0b_1x1"))
        return np.concatenate(branches, -1)

    def residual(self, x, norms, convolutions, stride, frames=None):
        shortcut = x
        for index in itertools.count():
            if f"{convolutions}conv_{index}" not in self.params:
                return x + shortcut
            end = f"_{index}" if index else ""
            x = relu(self.norm(x, f"{norms}/__cross_replica_batch_norm{end}"))
            if index == 0:
                if f"{convolutions}shortcut_conv" in self.params:
                    shortcut = self.conv(x, f"{convolutions}shortcut_conv", stride)
                if frames is not None:
                    x = shift(x, frames)
            x = self.conv(x, f"{convolutions}conv_{index}", stride if index == 1 else 1)

    def tsm(self, x, path):
        batch, frames = x.shape[:2]
        x = x.reshape(-1, *x.shape[2:])
        x = max_pool(self.conv(x, f"{path}/tsm_resnet_stem", 2), (3, 3), (2, 2))
        for group, block in itertools.product(range(4), range(30)):
            name = f"{path}/tsm_resnet_unit_{group}/block_{block}"
            if f"{name}/conv_0" in self.params:
                x = self.residual(x, name, f"{name}/", 2 if group and not block else 1, frames)
        x = relu(self.norm(x, f"{path}/__cross_replica_batch_norm"))
        return x.mean((1, 2)).reshape(batch, frames, -1).mean(1)

    def audio(self, x):
        path = f"{self.root}/audio_module/~/res_net_v2"
        x = max_pool(self.conv(x, f"{path}/~/initial_conv", 2), (3, 3), (2, 2))
        for group, block in itertools.product(range(4), range(30)):
            name = f"{path}/~/block_group_{group}/block_{block}"
            if f"{name}/~/conv_0" in self.params:
                x = self.residual(x, name, f"{name}/~/", 2 if group and not block else 1)
        return relu(self.norm(x, f"{path}/__cross_replica_batch_norm")).mean((1, 2))

    def sentence(self, word_ids):
        path = f"{self.root}/text_module/~"
        arrays = self.params[f"{path}/text_conv1"]
        words = self.params[f"{path}/embed"]["embeddings"][word_ids].astype(np.float64)
        return relu(words @ arrays["w"][0] + arrays["b"]).max(1)


def relu(x):
    return np.maximum(x, 0.0)


def _taps(x, sizes, strides, fill):
    """For each place in the window: its index and the SAME-padded input seen through it."""
    pads, ends = [(0, 0)], []
    for length, size, stride in zip(x.shape[1:-1], sizes, strides, strict=True):
        out = -(-length // stride)
        total = max((out - 1) * stride + size - length, 0)
        pads.append((total // 2, total - total // 2))
        ends.append((out - 1) * stride + 1)
    padded = np.pad(x, [*pads, (0, 0)], constant_values=fill)
    for index in itertools.product(*(range(size) for size in sizes)):
        slices = [
            slice(start, start + end, stride)
            for start, end, stride in zip(index, ends, strides, strict=True)
        ]
        yield index, padded[(slice(None), *slices)]


def convolve(x, kernel, stride=1):
    """SAME convolution over all axes but the first and last."""
    sizes = kernel.shape[:-2]
    return sum(view @ kernel[index] for index, view in _taps(x, sizes, (stride,) * len(sizes), 0.0))


def max_pool(x, sizes, strides):
    """SAME max-pooling; padding never wins."""
    result = -np.inf
    for _, view in _taps(x, sizes, strides, -np.inf):
        result = np.maximum(result, view)
    return result


def shift(x, frames):
    """[last n from the next frame | middle | first n from the frame before], n = C / 8."""
    x = x.reshape(-1, frames, *x.shape[1:])
    n = int(x.shape[-1] * 0.125)
    if n == 0:
        return x.reshape(-1, *x.shape[2:])
    later, earlier = np.zeros_like(x[..., :n]), np.zeros_like(x[..., :n])
    later[:, :-1] = x[:, 1:, ..., -n:]
    earlier[:, 1:] = x[:, :-1, ..., :n]
    out = np.concatenate([later, x[..., n:-n], earlier], -1)
    return out.reshape(-1, *out.shape[2:])
