# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Training on your own videos, from random weights or from a model's weights.

    --config=own_videos:data=DIR            video and audio, sized by the shards in DIR
    --config=own_videos:data=DIR,weights    from the weights of --init_from
    --config=own_videos:10h,vat             video, audio and captions, about ten hours

Arguments after the colon, in any order: "data=DIR", the output folder of prepare_data; "1h", "10h"
or "100h", the amount of video, if it is not to be taken from DIR; "weights" to start from a model;
"va", "vat" or "vt", the modalities (by default text is included if the training split has
captions); "runlocal" for a few steps with a tiny model. Captions need word vectors, unless these
come with the weights.

All values are ours. The values for one hour are the quickstart's, which were chosen on a real
film; the others are scaled from these by the number of clips and have not been tuned. The batch
fits into half of the machine's memory.
"""

from __future__ import annotations

import math
import os
from typing import Any

import ml_collections
import tensorflow as tf

from mmv_tf import data, training
from mmv_tf.data.records.manifests import read_manifest
from mmv_tf.util.configuration import choose

_CHOICES = {
    "start": ("random", "weights"),
    "modalities": ("", "va", "vat", "vt"),
    "amount": ("", "1h", "10h", "100h"),
    "size": ("full", "runlocal"),
}
# Clips of 3.6 s in three and in thirty hours: the boundaries between the columns.
_FEW, _MANY = 3_000, 30_000
# Maximum number of epochs, about as many as in the quickstart.
_PASSES = 130
# Memory per clip in a training step in bytes, measured with S3D-G and ResNet in float32 on a CPU.
_CLIP_BYTES = {"1h": 7e6, "10h": 35e6, "100h": 180e6, "weights": 800e6}
_RANDOM: dict[str, dict[str, Any]] = {
    "1h": {"width": 0.25, "blocks": (1, 2, 1), "depth": 18, "frames": 8, "size": 64,
           "batch": 64, "steps": 1_500, "rate": 1.5e-3, "dims": (256, 128)},
    "10h": {"width": 0.5, "blocks": (2, 5, 2), "depth": 18, "frames": 8, "size": 112,
            "batch": 128, "steps": 8_000, "rate": 1.5e-3, "dims": (512, 256)},
    "100h": {"width": 1.0, "blocks": (2, 5, 2), "depth": 50, "frames": 16, "size": 128,
             "batch": 256, "steps": 40_000, "rate": 2e-3, "dims": (512, 256)},
}  # fmt: skip
# From weights: with little data, the backbones are frozen.
_WEIGHTS: dict[str, dict[str, Any]] = {
    "1h": {"batch": 32, "steps": 400, "rate": 5e-4, "freeze": ("video", "audio"), "towers": 1.0},
    "10h": {"batch": 64, "steps": 3_000, "rate": 5e-4, "freeze": (), "towers": 0.1},
    "100h": {"batch": 128, "steps": 20_000, "rate": 1e-3, "freeze": (), "towers": 0.3},
}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Return the configuration.

    Args:
      arg: arguments as above, such as "data=shards,weights".

    Raises:
      ValueError: an argument is unknown, two arguments conflict, or the folder has no manifest.
    """
    words = [word for word in arg.split(",") if not word.startswith("data=")]
    folders = [word.removeprefix("data=") for word in arg.split(",") if word.startswith("data=")]
    if len(folders) > 1:
        raise ValueError(f"This config accepts one data=DIR; got {len(folders)}.")
    chosen = choose(",".join(words), _CHOICES)
    clips, captions = _contents(folders[0]) if folders else (0, False)
    amount = chosen["amount"] or _amount(clips)
    modalities = chosen["modalities"] or ("vat" if captions else "va")
    audio, text = "a" in modalities, "t" in modalities

    config = ml_collections.ConfigDict()
    config.seed = 0
    config.strategy = "one_device"
    config.init_from = ""  # a model from whose weights to start; see docs/finetuning.md
    config.init_partial = False  # start parts that do not match with random weights
    config.init_vocabulary = ""  # the vocabulary for a released file in init_from
    config.word_vectors = ""  # a file for `load_word_vectors`; set by the program
    config.unit_word_vectors = True  # GloVe's lengths reflect how common a word is

    config.data = data.default_config()
    config.data.directory = folders[0] if folders else ""
    config.data.split = "train"
    config.data.square_crop = False
    config.data.candidates = 2 if text else 1
    config.data.shuffle_buffer = 256
    config.optimizer = training.default_optimizer_config()
    config.optimizer.weight_decay = 0.05
    config.training = training.default_config()
    config.training.weights = {"va": float(audio), "vt": float(text)}
    config.training.temperature = 0.2 if amount == "1h" else 0.07
    config.training.average_decay = 0.98 if amount == "1h" else 0.999
    if chosen["start"] == "weights":
        _from_weights(config, amount, audio)
    else:
        _from_nothing(config, amount, audio, text)
    _fit_batch(config, _CLIP_BYTES["weights" if chosen["start"] == "weights" else amount], clips)
    if clips:
        passes = math.ceil(_PASSES * clips / config.data.batch_size)
        config.training.steps = min(config.training.steps, passes)
    config.optimizer.warmup_steps = config.training.steps // 10
    if chosen["size"] == "runlocal":
        _shrink(config)
    return config.lock()


def _contents(directory: str) -> tuple[int, bool]:
    """Return the number of training clips, and whether they have captions."""
    splits = read_manifest(directory)["splits"]
    if "train" not in splits:
        raise ValueError(
            f"{directory} has no split 'train', only {', '.join(splits) or 'none'}; prepare it."
        )
    return splits["train"]["num_examples"], bool(splits["train"].get("num_captions"))


def _amount(clips: int) -> str:
    """Return the nearest column; ten hours if the number of clips is unknown."""
    if not clips:
        return "10h"
    return "1h" if clips < _FEW else "10h" if clips < _MANY else "100h"


def _from_nothing(config: ml_collections.ConfigDict, amount: str, audio: bool, text: bool) -> None:
    chosen = _RANDOM[amount]
    fine, coarse = chosen["dims"]
    config.model = ml_collections.ConfigDict(
        {
            "graph": {"name": "fac", "fine_dim": fine, "coarse_dim": coarse, "hidden_dim": fine},
            "video": {"backbone": "s3d", "width": chosen["width"], "blocks": chosen["blocks"]},
            "dtype": "mixed_bfloat16" if _gpus() else "float32",
        }
    )
    if audio:
        config.model.audio = {"depth": chosen["depth"], "width": chosen["width"]}
        config.model.log_mel = {}
    if text:
        config.model.text = {"dim": 512, "mask_padding": True}
    config.data.num_frames = chosen["frames"]
    config.data.frame_rate = chosen["frames"] / 3.2  # 3.2 s, the length of the paper's clips
    config.data.size = chosen["size"]
    config.data.audio_mask = 0.5
    config.data.audio_gain = 0.5
    config.data.audio_noise = 0.3
    config.data.word_dropout = 0.4
    config.data.batch_size = chosen["batch"]
    config.optimizer.learning_rate = chosen["rate"]
    config.training.steps = chosen["steps"]


def _from_weights(config: ml_collections.ConfigDict, amount: str, audio: bool) -> None:
    chosen = _WEIGHTS[amount]
    # The architecture, the vocabulary and the clip format come from the weights.
    config.model = ml_collections.ConfigDict()
    config.data.num_frames = 0
    config.data.batch_size = chosen["batch"]
    config.optimizer.learning_rate = chosen["rate"]
    config.training.steps = chosen["steps"]
    config.training.freeze = chosen["freeze"] if audio else chosen["freeze"][:1]
    config.training.frozen_batch_norm = True  # batches from few films have poor statistics
    config.training.learning_rates.video = chosen["towers"]
    config.training.learning_rates.audio = chosen["towers"]


def _fit_batch(config: ml_collections.ConfigDict, clip_bytes: float, clips: int) -> None:
    """Halve the batch until the data have at least two batches; split it into pieces that fit."""
    while clips and config.data.batch_size > max(4, clips // 2):
        config.data.batch_size //= 2
    if _gpus():
        return  # the GPUs' memory is not known here
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    frozen = 0.2 if "video" in config.training.freeze else 1.0  # no activations are kept
    rows = config.data.batch_size
    while rows > 1 and rows * clip_bytes * frozen > memory / 2:
        rows //= 2
    config.training.gradient_cache = config.data.batch_size // rows


def _gpus() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def _shrink(config: ml_collections.ConfigDict) -> None:
    if "video" in config.model:
        config.model.video.width = 0.0625
        config.model.video.blocks = (1, 1, 1)
        if "audio" in config.model:
            config.model.audio = {"depth": 18, "width": 0.125}
        config.data.num_frames = 4
        config.data.frame_rate = 2.5
        config.data.size = 32
    config.data.batch_size = 4
    config.training.gradient_cache = 1
    config.training.steps = 4
    config.optimizer.warmup_steps = 1
