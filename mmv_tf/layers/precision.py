# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which part of a network computes in float32 under a mixed dtype policy.

A bfloat16 convolution rounds its input and its kernel to 8 bits. Deep networks amplify what is
rounded early, so under "mixed_bfloat16" the first layers of a backbone compute in float32: with the
shared fixture's random weights, which amplify much, the features' cosine with float32 features is
(lowest of 6 clips of 8 x 64 x 64, and of 6 spectrograms of 96 x 40)

                     everything in bfloat16   default   default + heads' "va"
    S3D-G                   0.9950             0.9993          0.9989
    TSM-ResNet-50           0.9944             0.9995          0.9985
    audio ResNet-50         0.9944             0.9994          0.9984

Rounding the operands alone, all else exact, gives 0.9957, 0.9959 and 0.9965 there: no way of doing
the rest (residual sums, batch norm, gates in float32; kernels whose rounding keeps their sum) gets
further. By layer, the first three convolutions make up two thirds of the loss.

A clip of 32 x 224 x 224 on 2 cores (AVX512-BF16) took, against float32, 1.67 times less with
everything in bfloat16 and 1.14 times less by default (S3D-G); and 1.85 times less with everything,
1.55 and 1.29 with bfloat16 from one block before and three after the default (TSM-ResNet-50). Where
speed counts more, as it mostly does in training, set `bfloat16_from` of the backbone to its first
layer ("Conv2d_1a_7x7", or "stem"), or use the "bfloat16" policy, which is not mixed.

Gates and heads, small, always compute in float32 under a mixed policy. "mixed_float16" is treated
the same: `bfloat16_from` names the first layer in 16 bits, of whichever kind.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras


def float32_policy(policy: keras.DTypePolicy) -> keras.DTypePolicy:
    """The policy of a part that a mixed policy leaves in the dtype of its variables.

    "mixed_bfloat16" gives "float32"; "float32" and "bfloat16", which are not mixed, stay.
    """
    return keras.DTypePolicy(policy.variable_dtype)


def policies_from(
    policy: keras.DTypePolicy, names: Sequence[str], first: str
) -> dict[str, keras.DTypePolicy]:
    """The policy of each part, by name, in order: float32 before the part `first`.

    Raises:
      ValueError: if there is no part of that name.
    """
    if first not in names:
        raise ValueError(f"bfloat16_from is {first!r}; use one of {tuple(names)}.")
    start = list(names).index(first)
    return {
        name: policy if index >= start else float32_policy(policy)
        for index, name in enumerate(names)
    }
