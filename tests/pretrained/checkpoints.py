# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Small checkpoints with the names and shapes of the released ones, for tests.

`python -m tests.pretrained.checkpoints` writes the committed one and what the NumPy oracle makes of
it. It has to go on loading for ever: write a new one beside it rather than over it.
"""

from __future__ import annotations

import gzip
import pathlib
import pickle

import numpy as np

ROOT = "text_audio_video"
TESTDATA = pathlib.Path(__file__).parent / "testdata"
COMMITTED = TESTDATA / "tiny_s3d_fac.pkl.gz"
COMMITTED_OUTPUTS = TESTDATA / "tiny_s3d_fac.npz"

# Branch 0; 1 reduce, 1; 2 reduce, 2; 3: S3D-G's 3c, 4f and 5c at a sixteenth of the width.
_S3D_BLOCKS = {
    "Mixed_3c": (8, 8, 12, 4, 8, 4),
    "Mixed_4f": (16, 8, 20, 4, 8, 8),
    "Mixed_5c": (24, 12, 24, 4, 8, 8),
}


class _Writer:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.tree = {"params": {}, "state": {}}

    def param(self, path, name, values):
        # Few digits, so that the committed file compresses to half.
        short = (values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        self.tree["params"].setdefault(path, {})[name] = short

    def weights(self, path, shape, bias=False):
        scale = np.sqrt(2.0 / np.prod(shape[:-1]))
        self.param(path, "w", scale * self.random.standard_normal(shape))
        if bias:
            self.param(path, "b", 0.1 * self.random.standard_normal(shape[-1:]))

    def norm(self, path, channels, rank):
        shape = (1,) * (rank - 1) + (channels,)
        self.param(path, "scale", 1 + 0.1 * self.random.standard_normal(shape))
        self.param(path, "offset", 0.1 * self.random.standard_normal(shape))
        for name, values in {
            "mean": 0.2 * self.random.standard_normal(shape),
            "var": 0.5 + self.random.random(shape),
        }.items():
            average = values.astype(np.float32)
            self.tree["state"][f"{path}/~/{name}_ema"] = {
                "average": average,
                "hidden": average * np.float32(1 - 0.9**10),
                "counter": np.array(10, np.int32),
            }

    def unit(self, path, inputs, outputs, kernels, gate):
        for end, kernel in zip(("", "_1"), kernels, strict=False):
            self.weights(f"{path}/~/conv3_d{end}", (*kernel, inputs, outputs))
            self.norm(f"{path}/__cross_replica_batch_norm{end}", outputs, 5)
            inputs = outputs
        if gate:
            self.weights(f"{path}/self_gating", (outputs, outputs), bias=True)

    def s3d(self, space_to_depth):
        path, cube = f"{ROOT}/visual_module/~/S3D", [(1, 3, 3), (3, 1, 1)]
        stem = ((2, 4, 4), 24) if space_to_depth else ((7, 7, 7), 3)
        self.unit(f"{path}/Conv2d_1a_7x7", stem[1], 4, [stem[0]], False)
        self.unit(f"{path}/Conv2d_2b_1x1", 4, 4, [(1, 1, 1)], False)
        self.unit(f"{path}/Conv2d_2c_3x3", 4, 12, cube, True)
        channels = 12
        for name, (one, reduce_2, two, reduce_3, three, four) in _S3D_BLOCKS.items():
            point, block = [(1, 1, 1)], f"{path}/{name}"
            self.unit(f"{block}/Branch_0_Conv2d_0a_1x1", channels, one, point, True)
            self.unit(f"{block}/Branch_1_Conv2d_0a_1x1", channels, reduce_2, point, False)
            self.unit(f"{block}/Branch_1_Conv2d_0b_3x3", reduce_2, two, cube, True)
            self.unit(f"{block}/Branch_2_Conv2d_0a_1x1", channels, reduce_3, point, False)
            self.unit(f"{block}/Branch_2_Conv2d_0b_3x3", reduce_3, three, cube, True)
            self.unit(f"{block}/Branch_3_Conv2d_0b_1x1", channels, four, point, True)
            channels = one + two + three + four
        return channels

    def block(self, norms, convolutions, inputs, outputs, project, bottleneck):
        inner = outputs // 4 if bottleneck else outputs
        plan = [(1, inputs, inner), (3, inner, inner), (1, inner, outputs)]
        for index, (size, before, after) in enumerate(plan if bottleneck else plan[:2]):
            end = f"_{index}" if index else ""
            self.norm(f"{norms}/__cross_replica_batch_norm{end}", before, 4)
            self.weights(f"{convolutions}conv_{index}", (size, size, before, after))
        if project:
            self.weights(f"{convolutions}shortcut_conv", (1, 1, inputs, outputs))

    def tsm50(self, stem=4):
        path, channels, base = f"{ROOT}/visual_module/~/TSMResNetV2", stem, 4 * stem
        self.weights(f"{path}/tsm_resnet_stem", (7, 7, 3, channels))
        for group, count in enumerate((3, 4, 6, 3)):
            for block in range(count):
                name = f"{path}/tsm_resnet_unit_{group}/block_{block}"
                self.block(name, f"{name}/", channels, base * 2**group, block == 0, True)
                channels = base * 2**group
        self.norm(f"{path}/__cross_replica_batch_norm", channels, 4)
        return channels

    def audio(self, stem=4, blocks=(2, 2, 2, 2), bottleneck=False):
        path, channels = f"{ROOT}/audio_module/~/res_net_v2", stem
        self.weights(f"{path}/~/initial_conv", (7, 7, 1, channels))
        for group, count in enumerate(blocks):
            outputs = stem * (4 if bottleneck else 1) * 2**group
            for block in range(count):
                name = f"{path}/~/block_group_{group}/block_{block}"
                self.block(name, f"{name}/~/", channels, outputs, channels != outputs, bottleneck)
                channels = outputs
        self.norm(f"{path}/__cross_replica_batch_norm", channels, 4)
        return channels

    def heads(self, video, audio, fine=16, coarse=8, hidden=12, words=10, text=24, vocabulary=40):
        self.param(
            f"{ROOT}/text_module/~/embed",
            "embeddings",
            self.random.standard_normal((vocabulary, words)),
        )
        self.weights(f"{ROOT}/text_module/~/text_conv1", (1, words, text), bias=True)
        path = f"{ROOT}/~_get_pair_embedding_heads"
        self.weights(f"{path}/vid2audio_embd/final_projection_inner", (video, hidden), bias=True)
        self.norm(f"{path}/vid2audio_embd/__cross_replica_batch_norm", hidden, 2)
        self.weights(f"{path}/vid2audio_embd/final_projection", (hidden, fine))
        self.norm(f"{path}/vid2audio_embd/__cross_replica_batch_norm_1", fine, 2)
        self.weights(f"{path}/vis_embd/final_projection", (fine, coarse), bias=True)
        self.norm(f"{path}/vis_embd/__cross_replica_batch_norm", coarse, 2)
        self.weights(f"{path}/audio_embd/final_projection", (audio, fine), bias=True)
        self.weights(f"{path}/txt_embd/final_projection", (text, coarse), bias=True)
        # Created and never used by the released networks.
        self.weights(f"{path}/audio2txt_embd/final_projection", (audio, fine), bias=True)
        self.weights(f"{path}/txt2audio_embd/final_projection", (text, fine), bias=True)


def tiny_tree(video, seed=0):
    """Arrays of a tiny FAC network; video is "s3d", "s3d_rgb" or "tsm50"."""
    writer = _Writer(seed)
    dim = writer.tsm50() if video == "tsm50" else writer.s3d(video == "s3d")
    writer.heads(dim, writer.audio())
    return writer.tree


def released_tree(video, seed=0):
    """Arrays of a released TSM network's size; video is "tsm50" or "tsm50x2"."""
    writer = _Writer(seed)
    dim = writer.tsm50({"tsm50": 64, "tsm50x2": 128}[video])
    audio = writer.audio(64, (3, 4, 6, 3), bottleneck=True)
    writer.heads(dim, audio, 512, 256, 512, words=300, text=2048, vocabulary=65_536)
    return writer.tree


def tiny_inputs(seed=0):
    """Images, log-mel and word ids for a network of `tiny_tree`."""
    random = np.random.default_rng(seed + 1000)
    return {
        "video": random.random((2, 4, 32, 48, 3), np.float32),
        "audio": random.standard_normal((2, 30, 20, 1)).astype(np.float32),
        "text": random.integers(0, 40, (2, 5)).astype(np.int32),
    }


def write(path, tree, protocol=4):
    """Writes a tree as a plain pickle."""
    pathlib.Path(path).write_bytes(pickle.dumps(tree, protocol=protocol))


def main():
    from tests.pretrained.numpy_reference import Network

    TESTDATA.mkdir(exist_ok=True)
    tree = tiny_tree("s3d")
    COMMITTED.write_bytes(gzip.compress(pickle.dumps(tree, protocol=4), 9, mtime=0))
    inputs = tiny_inputs()
    outputs = Network(tree)(inputs["video"], inputs["audio"], inputs["text"])
    flat = {f"{m}.{k}": v.astype(np.float32) for m, d in outputs.items() for k, v in d.items()}
    np.savez_compressed(COMMITTED_OUTPUTS, **flat)


if __name__ == "__main__":
    main()
