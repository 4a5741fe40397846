# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""TSM-ResNet-50 in PyTorch's own layers, for comparison; see `benchmarks/torch_peer.py`.

Written from the descriptions of ResNet v2 (arXiv 1603.05027) and of the temporal shift (arXiv
1811.08383), as used in MMV: with a shift on each block's first pre-activation and without batch
norm in the stem.
"""

import torch
from torch import nn
from torch.nn import functional

# Blocks, output channels and stride of each group.
_GROUPS = [(3, 256, 1), (4, 512, 2), (6, 1024, 2), (3, 2048, 2)]
_SHIFTED = 8  # one channel in this many is shifted each way


def shift(x, frames):
    """Shift [B * T, C, H, W]: the first channels one frame later, the last channels one earlier."""
    channels = x.shape[1]
    count = channels // _SHIFTED
    clips = x.view(-1, frames, *x.shape[1:])
    later = functional.pad(clips[:, 1:, -count:], [0, 0] * 3 + [0, 1])
    earlier = functional.pad(clips[:, :-1, :count], [0, 0] * 3 + [1, 0])
    return torch.cat([later, clips[:, :, count:-count], earlier], dim=2).flatten(0, 1)


class Block(nn.Module):
    """Pre-activation bottleneck."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        inner = outputs // 4
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in (inputs, inner, inner))
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(inputs, inner, 1, bias=False),
                nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False),
                nn.Conv2d(inner, outputs, 1, bias=False),
            ]
        )
        self.shortcut = None
        if inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x, frames):
        """Apply the block to [B * T, C, H, W] and return [B * T, outputs, H', W']."""
        shortcut = x
        for index, (norm, convolution) in enumerate(zip(self.norms, self.convolutions)):  # noqa: B905
            x = functional.relu(norm(x), inplace=True)
            if index == 0:
                if self.shortcut is not None:
                    shortcut = self.shortcut(x)
                x = shift(x, frames)
            x = convolution(x)
        return x + shortcut


class TSMResNet50(nn.Module):
    """Model from clips [B, 3, T, H, W] to [B, 2048]."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        blocks, channels = [], 64
        for count, outputs, stride in _GROUPS:
            for index in range(count):
                blocks.append(Block(channels, outputs, stride if index == 0 else 1))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        """Apply the model to clips."""
        clips, _, frames = x.shape[:3]
        x = x.transpose(1, 2).flatten(0, 1)
        if self.stem.weight.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.pool(self.stem(x))
        for block in self.blocks:
            x = block(x, frames)
        x = functional.relu(self.norm(x), inplace=True)
        return x.mean(dim=[2, 3]).view(clips, frames, -1).mean(dim=1)

    def folded(self):
        """Fold batch norms into the previous convolutions, for inference."""
        for block in self.blocks:
            for index in (1, 2):
                block.convolutions[index - 1] = nn.utils.fusion.fuse_conv_bn_eval(
                    block.convolutions[index - 1], block.norms[index]
                )
                block.norms[index] = nn.Identity()
        return self
