# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Four-branch Inception block of S3D-G."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer
from mmv_tf.layers.conv3d_unit import Conv3DUnit, Shape, same_padding_shape
from mmv_tf.layers.max_pool import MaxPool
from mmv_tf.util.gradient_order import copies


@keras.saving.register_keras_serializable("mmv_tf")
class InceptionBlock(Layer):
    """Concatenate four branches: 1x1; 1x1 -> 3x3; 1x1 -> 3x3; max-pool -> 1x1.

    Args:
      filters: six channel counts: branch 0; branch 1 reduce, branch 1; branch 2 reduce, branch 2;
        branch 3.
      temporal_kernel_size: temporal size of the separable 3x3 convolutions.
      gating: whether to gate the last unit of each branch.
    """

    def __init__(
        self,
        filters: Sequence[int],
        temporal_kernel_size: int = 3,
        gating: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if len(filters) != 6:
            raise ValueError(f"An Inception block needs 6 channel counts; got {list(filters)}.")
        self.filters = tuple(filters)
        self.temporal_kernel_size = temporal_kernel_size
        self.gating = gating

        def unit(channels: int, kernel: Sequence[int], gate: bool) -> Conv3DUnit:
            return Conv3DUnit(
                channels,
                kernel,
                separable=kernel[1] != 1,
                gating=gate and gating,
                dtype=self.dtype_policy,
            )

        point, cube = (1, 1, 1), (temporal_kernel_size, 3, 3)
        self.branch_0 = unit(filters[0], point, True)
        self.branch_1_reduce = unit(filters[1], point, False)
        self.branch_1 = unit(filters[2], cube, True)
        self.branch_2_reduce = unit(filters[3], point, False)
        self.branch_2 = unit(filters[4], cube, True)
        self.pool = MaxPool((3, 3, 3), 1, "same", dtype=self.dtype_policy)
        self.branch_3 = unit(filters[5], point, True)

    def build(self, input_shape: Shape) -> None:
        """Create the variables."""
        lead = tuple(input_shape[:-1])
        for unit in (self.branch_0, self.branch_1_reduce, self.branch_2_reduce, self.branch_3):
            unit.build(input_shape)
        self.branch_1.build((*lead, self.filters[1]))
        self.branch_2.build((*lead, self.filters[3]))
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False, valid: Any = None) -> tf.Tensor:
        """Apply the layer to the inputs; see `BatchNorm` for `valid`."""
        mode: dict[str, Any] = {"training": training, "valid": valid}
        for_0, for_1, for_2, for_3 = copies(inputs, 4)
        branches = [
            self.branch_0(for_0, **mode),
            self.branch_1(self.branch_1_reduce(for_1, **mode), **mode),
            self.branch_2(self.branch_2_reduce(for_2, **mode), **mode),
            self.branch_3(self.pool(for_3), **mode),
        ]
        return tf.concat(branches, axis=-1)

    @property
    def output_channels(self) -> int:
        """The number of channels after concatenation."""
        return self.filters[0] + self.filters[2] + self.filters[4] + self.filters[5]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input shape with the output's channel count."""
        return same_padding_shape(input_shape, (1,) * (len(input_shape) - 2), self.output_channels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "temporal_kernel_size": self.temporal_kernel_size,
            "gating": self.gating,
        }
