# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Infers the architecture of a released JAX/Haiku checkpoint from its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from mmv_tf.layers import LogMel
from mmv_tf.pretrained.checks import some

Tree = Mapping[str, Mapping[str, np.ndarray]]

HEADS = "~_get_pair_embedding_heads"
# Residual blocks in each group -> depth, for bottleneck and for basic blocks.
_BOTTLENECK_DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101}
_BASIC_DEPTHS = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34}


def find_architecture(params: Tree, root: str) -> ml_collections.ConfigDict:
    """Return the `create_model` config of the model whose arrays are in `params`."""
    heads = f"{root}/{HEADS}"
    words = _shape(params, f"{root}/text_module/~/embed", "embeddings", 2)
    log_mel = LogMel()
    return ml_collections.ConfigDict(
        {
            "graph": {
                "name": "fac",
                "fine_dim": _shape(params, f"{heads}/vid2audio_embd/final_projection", "w", 2)[-1],
                "coarse_dim": _shape(params, f"{heads}/vis_embd/final_projection", "w", 2)[-1],
                "hidden_dim": _shape(
                    params, f"{heads}/vid2audio_embd/final_projection_inner", "w", 2
                )[-1],
                "variant": "fac_relu",
            },
            "video": _video_architecture(params, root),
            "audio": _audio_architecture(params, root),
            "text": {
                "vocabulary_size": words[0],
                "embedding_dim": words[1],
                "dim": _shape(params, f"{root}/text_module/~/text_conv1", "w", 3)[-1],
            },
            "log_mel": {},
            "metadata": {
                "input_range": [0.0, 1.0],
                # MMV (Alayrac et al., 2020): crops of 200 x 200.
                "size": 200,
                "square_crop": True,
                # MMV (Alayrac et al., 2020).
                "frame_rate": 10.0,
                "num_frames": 32,
                "sample_rate": log_mel.sample_rate,
                # Ours: the compression that MMV used is not published.
                "log_mel": {
                    name: getattr(log_mel, name)
                    for name in (
                        "window",
                        "step",
                        "mel_bins",
                        "lower_hz",
                        "upper_hz",
                        "compression",
                    )
                },
                "max_words": 16,
            },
        }
    )


def _video_architecture(params: Tree, root: str) -> dict[str, Any]:
    visual = f"{root}/visual_module/~"
    found = sorted({name[len(visual) + 1 :].split("/")[0] for name in params if visual in name})
    if found == ["S3D"]:
        stem = _shape(params, f"{visual}/S3D/Conv2d_1a_7x7/~/conv3_d", "w", 5)
        names = {name[len(visual) + 1 :].split("/")[1] for name in params if visual in name}
        blocks = tuple(sum(name.startswith(f"Mixed_{stage}") for name in names) for stage in "345")
        kinds: dict[tuple[int, ...], str] = {(7, 7, 7, 3): "rgb", (2, 4, 4, 24): "space_to_depth"}
        if stem[:-1] not in kinds:
            raise ValueError(f"the stem's kernel has shape {stem}; expected one of {list(kinds)}.")
        return {
            "backbone": "s3d",
            "stem": kinds[stem[:-1]],
            "width": stem[-1] / 64,
            "blocks": blocks,
        }
    if found == ["TSMResNetV2"]:
        stem = _shape(params, f"{visual}/TSMResNetV2/tsm_resnet_stem", "w", 4)
        depth = _depth(params, f"{visual}/TSMResNetV2/tsm_resnet_unit_", "conv_2")
        return {"backbone": "tsm_resnet", "depth": depth, "width": stem[-1] / 64}
    raise ValueError(f"its visual module holds {some(found)}; expected 'S3D' or 'TSMResNetV2'.")


def _audio_architecture(params: Tree, root: str) -> dict[str, Any]:
    network = f"{root}/audio_module/~/res_net_v2/~"
    stem = _shape(params, f"{network}/initial_conv", "w", 4)
    depth = _depth(params, f"{network}/block_group_", "~/conv_2")
    return {"depth": depth, "width": stem[-1] / 64}


def _depth(params: Tree, prefix: str, last_convolution: str) -> int:
    counts = tuple(
        len({name.split("/block_")[-1].split("/")[0] for name in params if name.startswith(group)})
        for group in (f"{prefix}{index}/" for index in range(4))
    )
    bottleneck = f"{prefix}0/block_0/{last_convolution}" in params
    depths = _BOTTLENECK_DEPTHS if bottleneck else _BASIC_DEPTHS
    if counts not in depths:
        raise ValueError(
            f"{prefix}0 to 3 have {counts} blocks, so some are missing or extra; expected one of "
            f"{sorted(depths)}."
        )
    return depths[counts]


def _shape(params: Tree, module: str, name: str, rank: int) -> tuple[int, ...]:
    if name not in params.get(module, {}):
        raise ValueError(f"params {module}/{name} is missing.")
    shape = params[module][name].shape
    if len(shape) != rank:
        raise ValueError(f"params {module}/{name} has shape {shape}; expected {rank} axes.")
    return shape
