# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The reader's settings, and checks that records have the rates a network takes."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ml_collections
import tensorflow as tf

Example = dict[str, tf.Tensor]

Tokenizer = Callable[[tf.Tensor], tf.Tensor]


class LogMel(Protocol):
    """What the reader asks of `mmv_tf.layers.LogMel`."""

    sample_rate: int
    step: int
    mel_bins: int

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        """[N, samples] -> [N, frames, mel_bins, 1]."""

    def get_config(self) -> dict[str, Any]:
        """Settings of the spectrogram."""


def stride(stored: float, wanted: float) -> float:
    """Stored frames from one frame to the next; an int where it is whole.

    Args:
      stored, wanted: frames a second.
    """
    ratio = stored / wanted
    return round(ratio) if abs(ratio - round(ratio)) < 1e-6 else ratio


def check_frame_rate(stored: float, wanted: float) -> None:
    """Refuses frames that are not among the stored ones.

    Raises:
      ValueError: `wanted` is no whole part of `stored`.
    """
    step = stride(stored, wanted)
    if not (isinstance(step, int) and step >= 1):
        raise ValueError(
            f"The records have {stored:g} frames a second, {wanted:g} are asked for; take "
            f"{stored:g} or a whole part of it (data.frame_rate), prepare the data again, or "
            "set data.resample, which takes the nearest frames."
        )


def check_sample_rate(stored: float, wanted: float) -> None:
    """Refuses sound of another rate.

    Raises:
      ValueError: the rates, in Hz, differ.
    """
    if stored != wanted:
        raise ValueError(
            f"The records' sound has {stored} samples a second, the network takes {wanted}; "
            f"prepare the data with --sample_rate={wanted}, or set data.resample."
        )


def check_log_mel(stored: Mapping[str, Any], log_mel: LogMel, directory: pathlib.Path) -> None:
    """Refuses spectrograms made with other settings than the network's.

    Args:
      stored: settings that the records' log-mel was made with.
      log_mel: the network's layer.
      directory: of the records, for the message.

    Raises:
      ValueError: they differ.
    """
    own = log_mel.get_config()
    differing = [
        f"{name} {value!r} instead of {own.get(name)!r}"
        for name, value in stored.items()
        if name in own and own[name] != value
    ]
    if differing:
        raise ValueError(
            f"{directory}: the records' log-mel was made with {', '.join(differing)}; give the "
            "network the same settings, or prepare the data again."
        )


# Who makes the pixels of frames, see docs/reading.md.
TENSORFLOW, OPENCV = "tensorflow", "opencv"

PIXELS = (TENSORFLOW, OPENCV)

# What fills a window that is longer than its clip, see docs/reading.md.
HOLD, LOOP = "hold", "loop"

SHORT_CLIPS = (HOLD, LOOP)


def default_config() -> ml_collections.ConfigDict:
    """Settings of the reader; the comments say where the defaults come from."""
    return ml_collections.ConfigDict(
        {
            "directory": "",
            "split": "train",
            # Several data sets in one batch, see `make_dataset`; then "directory" is not used.
            "mixture": (),
            # PAPER section 3: 32 frames at 10 a second, 200 x 200 pixels, in training.
            "num_frames": 32,
            "frame_rate": 10.0,
            "size": 200,
            # False: wide frames are squeezed instead of cut at the sides.
            "square_crop": True,
            # PAPER section 2: MIL-NCE draws 5 candidate narrations.
            "candidates": 5,
            "batch_size": 8,
            # A window longer than its clip: "hold" repeats the last frame, in silence; "loop"
            # begins the clip again, picture and sound, as MMV's released evaluation does.
            "short_clips": HOLD,
            # "opencv" is faster: it needs mmv_tf[fast], and this process to read.
            "pixels": TENSORFLOW,
            # Evaluation: windows spread evenly over a clip (PAPER section 5: 4).
            "windows": 1,
            # Training only.
            "scale_jitter": 0.2,
            "flip": True,
            "colour": 1.0,
            # The share of a spectrogram's frames and of its bins that may be masked; ours.
            "audio_mask": 0.0,
            # See `augmentation.jitter_log_mel` and `augmentation.drop_words`; ours.
            "audio_gain": 0.0,
            "audio_noise": 0.0,
            "word_dropout": 0.0,
            # Ours: how many records are held to be shuffled; chunks of 16 are shuffled first.
            "shuffle_buffer": 1024,
            # Records of other rates are resampled instead of refused.
            "resample": False,
            # "stop" or "skip": leave damaged records out and count them, see `Reader.damage`.
            "on_bad_record": "stop",
            # Of the records written; with more of them damaged, "skip" stops too. Ours.
            "max_bad_fraction": 0.01,
            # Whether shards are looked through first: "always", "never", or "auto": if they are
            # small, or damaged records shall be skipped.
            "inspect": "auto",
            # Who wrote the records: "mmv", "dmvr" or "mediasequence"; the last two have no
            # manifest, so the files and rates must be told.
            "records": "mmv",
            "files": "*.tfrecord*",
            "stored_frame_rate": 0.0,
            "stored_sample_rate": 0,
            # Address of a tf.data service that reads for this program, such as grpc://host:5000.
            "service": "",
        }
    )


# What a network's metadata keep of these settings, so that it is shown later what it learnt from.
METADATA_KEYS = ("num_frames", "frame_rate", "size", "square_crop")


def config_for_network(
    metadata: Mapping[str, Any], directory: str, split: str, **settings: Any
) -> ml_collections.ConfigDict:
    """Settings that read a split as a network was trained to see it.

    Args:
      metadata: of the network.
      directory, split: what to read.
      settings: other entries of `default_config`; they go before the metadata.

    Raises:
      ValueError: if the metadata don't say all that is needed.
    """
    missing = [key for key in METADATA_KEYS if key not in metadata]
    if missing:
        raise ValueError(
            f"The network's metadata lack {', '.join(missing)}, so it can't be told how to read "
            "videos for it; set them in model.metadata."
        )
    config = default_config()
    config.update({key: metadata[key] for key in METADATA_KEYS})
    config.update({"directory": directory, "split": split, **settings})
    return config.lock()
