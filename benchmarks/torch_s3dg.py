# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""S3D-G in PyTorch's own layers, for comparison; see `benchmarks/torch_peer.py`.

Written from the description of the network (arXiv 1712.04851, with the space-to-depth stem of
arXiv 1912.06430).
"""

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
    """(Convolution, batch norm, ReLU), once or in space and then in time, with an optional gate."""

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
        """Apply the unit to [B, C, T, H, W] and return [B, outputs, T, H, W]."""
        x = self.layers(x)
        if self.gate is None:
            return x
        weights = torch.sigmoid(self.gate(x.mean(dim=[2, 3, 4])))
        return x * weights[:, :, None, None, None]


class Block(nn.Module):
    """Four concatenated branches."""

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
        """Apply the block to [B, C, T, H, W] and return [B, outputs, T, H, W]."""
        branches = (self.branch_0, self.branch_1, self.branch_2, self.branch_3)
        return torch.cat([branch(x) for branch in branches], dim=1)


class S3DG(nn.Module):
    """Model from clips [B, 3, T, H, W] to [B, 1024]."""

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
        """Apply the model to clips."""
        b, c, t, h, w = x.shape
        x = x.view(b, c, t // 2, 2, h // 2, 2, w // 2, 2).permute(0, 3, 5, 7, 1, 2, 4, 6)
        x = x.reshape(b, 8 * c, t // 2, h // 2, w // 2)
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index == 0:
                x = x[:, :, 1:, 1:, 1:]  # an even kernel with padding returns one too many
        return x.mean(dim=[2, 3, 4])

    def folded(self):
        """Fold batch norms into the previous convolutions, for inference."""
        for unit in self.modules():
            if isinstance(unit, Unit):
                plan = list(unit.layers)
                layers = []
                for convolution, norm, relu in zip(plan[::3], plan[1::3], plan[2::3]):  # noqa: B905
                    layers += [nn.utils.fusion.fuse_conv_bn_eval(convolution, norm), relu]
                unit.layers = nn.Sequential(*layers)
        return self
