# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A training step of S3D-G in PyTorch, the peer of `benchmarks.train_step`.

Written in PyTorch's own layers from the description of the network (arXiv 1712.04851; the
space-to-depth stem is that of arXiv 1912.06430), for a Python that has torch and numpy; it needs
nothing of mmv_tf. It is run as a program by `benchmarks.train_step`: for each line that it reads
it takes one step and prints the seconds that it took.

  python benchmarks/torch_s3dg.py --dtype=bfloat16 --layout=channels_last
"""

import argparse
import json
import resource
import sys
import time

import torch
from torch import nn

# Branch 0; branch 1 reduce, branch 1; branch 2 reduce, branch 2; branch 3.
_BLOCKS = [
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    "pool333",
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    "pool222",
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
]


class Unit(nn.Module):
    """(Convolution, batch norm, ReLU), once or in space and then in time, with a gate if asked."""

    def __init__(self, inputs, outputs, kernel, padding, separable=False, gating=False):
        super().__init__()
        if separable:
            plan = [((1, *kernel[1:]), (0, *padding[1:])), ((kernel[0], 1, 1), (padding[0], 0, 0))]
        else:
            plan = [(kernel, padding)]
        layers = []
        for size, pad in plan:
            layers += [
                nn.Conv3d(inputs, outputs, size, padding=pad, bias=False),
                nn.BatchNorm3d(outputs),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.gate = nn.Linear(outputs, outputs) if gating else None

    def forward(self, x):
        """[B, C, T, H, W] -> [B, outputs, T, H, W]."""
        x = self.layers(x)
        if self.gate is None:
            return x
        weights = torch.sigmoid(self.gate(x.mean(dim=[2, 3, 4])))
        return x * weights[:, :, None, None, None]


class Block(nn.Module):
    """Four branches, concatenated."""

    def __init__(self, inputs, filters):
        super().__init__()

        def point(i, o, gating):
            return Unit(i, o, (1, 1, 1), (0, 0, 0), gating=gating)

        def cube(i, o):
            return Unit(i, o, (3, 3, 3), (1, 1, 1), separable=True, gating=True)

        a, b1, b2, c1, c2, d = filters
        self.branch_0 = point(inputs, a, True)
        self.branch_1 = nn.Sequential(point(inputs, b1, False), cube(b1, b2))
        self.branch_2 = nn.Sequential(point(inputs, c1, False), cube(c1, c2))
        self.branch_3 = nn.Sequential(nn.MaxPool3d(3, stride=1, padding=1), point(inputs, d, True))
        self.outputs = a + b2 + c2 + d

    def forward(self, x):
        """[B, C, T, H, W] -> [B, outputs, T, H, W]."""
        branches = (self.branch_0, self.branch_1, self.branch_2, self.branch_3)
        return torch.cat([branch(x) for branch in branches], dim=1)


class S3DG(nn.Module):
    """Clips [B, 3, T, H, W] -> [B, 1024]."""

    def __init__(self):
        super().__init__()
        pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        layers = [
            Unit(24, 64, (2, 4, 4), (1, 2, 2)),
            pool,
            Unit(64, 64, (1, 1, 1), (0, 0, 0)),
            Unit(64, 192, (3, 3, 3), (1, 1, 1), separable=True, gating=True),
            pool,
        ]
        channels = 192
        for block in _BLOCKS:
            if block == "pool333":
                layers.append(nn.MaxPool3d(3, stride=2, padding=1))
            elif block == "pool222":
                layers.append(nn.MaxPool3d(2, stride=2))
            else:
                layers.append(Block(channels, block))
                channels = layers[-1].outputs
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        """See the class."""
        b, c, t, h, w = x.shape
        x = x.view(b, c, t // 2, 2, h // 2, 2, w // 2, 2).permute(0, 3, 5, 7, 1, 2, 4, 6)
        x = x.reshape(b, 8 * c, t // 2, h // 2, w // 2)
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index == 0:
                x = x[:, :, 1:, 1:, 1:]  # an even kernel with padding gives one too many
        return x.mean(dim=[2, 3, 4])


def main():
    """Serves steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", default="4,16,112,112", help="Clips, frames, height, width.")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--layout", default="channels_last", choices=["channels_last", "default"])
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    clips, frames, height, width = map(int, arguments.shape.split(","))
    x = torch.rand(clips, 3, frames, height, width)
    network = S3DG()
    if arguments.layout == "channels_last":
        network = network.to(memory_format=torch.channels_last_3d)
        x = x.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    count = sum(parameter.numel() for parameter in network.parameters())
    print(json.dumps({"parameters": count, "torch": torch.__version__}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.dtype == "bfloat16"):
            loss = network(x).float().square().mean()
        loss.backward()
        optimizer.step()
        seconds = time.perf_counter() - started
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": seconds, "peak_bytes": peak}), flush=True)


if __name__ == "__main__":
    main()
