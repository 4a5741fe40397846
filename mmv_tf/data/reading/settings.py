# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reader settings, and checks that records have a model's rates."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ml_collections
import tensorflow as tf

Example = dict[str, tf.Tensor]

Tokenizer = Callable[[tf.Tensor], tf.Tensor]


class LogMel(Protocol):
    """The part of `mmv_tf.layers.LogMel` that the reader needs."""

    sample_rate: int
    step: int
    mel_bins: int

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        """Convert waveforms [N, samples] to spectrograms [N, frames, mel_bins, 1]."""

    def get_config(self) -> dict[str, Any]:
        """Return the spectrogram's settings."""


def stride(stored: float, wanted: float) -> float:
    """Return the number of stored frames per frame, as an int if it is whole.

    Args:
      stored, wanted: frames per second.
    """
    ratio = stored / wanted
    return round(ratio) if abs(ratio - round(ratio)) < 1e-6 else ratio


def check_frame_rate(stored: float, wanted: float) -> None:
    """Reject a frame rate unless the stored rate is a multiple of it.

    Raises:
      ValueError: `stored` is not a multiple of `wanted`.
    """
    step = stride(stored, wanted)
    if not (isinstance(step, int) and step >= 1):
        raise ValueError(
            f"The records have {stored:g} frames a second; expected a multiple of {wanted:g}; set "
            f"data.frame_rate to {stored:g} or a whole fraction of it, prepare the data again, or "
            "set data.resample, which takes the nearest frames."
        )


def check_sample_rate(stored: float, wanted: float) -> None:
    """Reject audio with a different sample rate.

    Raises:
      ValueError: the rates, in Hz, differ.
    """
    if stored != wanted:
        raise ValueError(
            f"The records' audio has {stored} samples a second, but the model expects {wanted}; "
            f"prepare the data with --sample_rate={wanted}, or set data.resample."
        )


def check_log_mel(stored: Mapping[str, Any], log_mel: LogMel, directory: pathlib.Path) -> None:
    """Reject spectrograms unless they were made with the model's settings.

    Args:
      stored: settings of the log-mel in the records.
      log_mel: the model's layer.
      directory: the records' directory, for the message.

    Raises:
      ValueError: the settings differ.
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
            "model the same settings, or prepare the data again."
        )


# Decoders of frames; see docs/reading.md.
TENSORFLOW, OPENCV = "tensorflow", "opencv"

PIXELS = (TENSORFLOW, OPENCV)

# Ways to fill a window that is longer than its clip; see docs/reading.md.
HOLD, LOOP = "hold", "loop"

SHORT_CLIPS = (HOLD, LOOP)

# Ours: holds two hours of records at 3 MB a second, and takes little of a machine's disk.
CACHE_GB = 20.0


def default_config() -> ml_collections.ConfigDict:
    """Return the reader's settings; comments give the sources of the defaults."""
    return ml_collections.ConfigDict(
        {
            "directory": "",
            "split": "train",
            # Several data sets in one batch; see `mixing.parts_of`. "directory" is then unused.
            "mixture": (),
            # MMV (Alayrac et al., 2020) trains on 32 frames at 10 a second, 200 x 200 pixels.
            "num_frames": 32,
            "frame_rate": 10.0,
            "size": 200,
            # False: wide frames are distorted instead of cut off at the sides.
            "square_crop": True,
            # VATT (Akbari et al., 2021), which follows MMV: 5 candidate narrations for MIL-NCE.
            "candidates": 5,
            "batch_size": 8,
            # For a window longer than its clip, "hold" repeats the last frame in silence; "loop"
            # repeats the clip with its audio, as the released code (deepmind/deepmind-research,
            # mmv/) does in evaluation.
            "short_clips": HOLD,
            # "opencv" is faster, but needs mmv_tf[fast] and reading in this process.
            "pixels": TENSORFLOW,
            # Evaluation: windows spaced evenly over a clip; VATT, appendix A.3.3, uses 4.
            "windows": 1,
            # The following are for training only.
            "scale_jitter": 0.2,
            "flip": True,
            "colour": 1.0,
            # Ours: largest masked fraction of a spectrogram's frames and of its bins.
            "audio_mask": 0.0,
            # Ours: see `augmentation.jitter_log_mel` and `augmentation.drop_words`.
            "audio_gain": 0.0,
            "audio_noise": 0.0,
            "word_dropout": 0.0,
            # Ours: size of the shuffle buffer in records; chunks of 16 are shuffled before that.
            "shuffle_buffer": 1024,
            # Resample records that have other rates instead of rejecting them.
            "resample": False,
            # "stop", or "skip" to leave out damaged records and count them; see `Reader.damage`.
            "on_bad_record": "stop",
            # Ours: fraction of damaged records above which "skip" stops too.
            "max_bad_fraction": 0.01,
            # Inspect shards before reading: "always", "never", or "auto", which inspects them if
            # they are small or if damaged records are skipped.
            "inspect": "auto",
            # Format of the records: "mmv", "dmvr" or "mediasequence". The last two have no
            # manifest, so set the files and rates.
            "records": "mmv",
            "files": "*.tfrecord*",
            "stored_frame_rate": 0.0,
            "stored_sample_rate": 0,
            # For shards in an object store: the local folder that keeps parts of them ("" for one
            # in $MMV_TF_STORAGE_CACHE), and its maximum size in 10^9 bytes; 0 keeps nothing.
            # Several programs may share the folder.
            "cache_dir": "",
            "cache_gb": CACHE_GB,
            # Address of a tf.data service that reads for this program, such as grpc://host:5000.
            "service": "",
        }
    )


# Settings kept in a model's metadata, so that it later gets the kind of input it was trained on.
METADATA_KEYS = ("num_frames", "frame_rate", "size", "square_crop")


def config_for_network(
    metadata: Mapping[str, Any], directory: str, split: str, **settings: Any
) -> ml_collections.ConfigDict:
    """Return settings that read a split in the form that a model was trained on.

    Args:
      metadata: the model's metadata.
      directory, split: directory and split to read.
      settings: other entries of `default_config`, which override the metadata.

    Raises:
      ValueError: the metadata are incomplete.
    """
    missing = [key for key in METADATA_KEYS if key not in metadata]
    if missing:
        raise ValueError(
            f"The model's metadata lacks {', '.join(missing)}, needed to read videos for the "
            "model; set them in model.metadata."
        )
    config = default_config()
    config.update({key: metadata[key] for key in METADATA_KEYS})
    config.update({"directory": directory, "split": split, **settings})
    return config.lock()
