# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A classifier's Keras model: one backbone, and a linear layer that scores labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.classification.labels import MODALITIES, check_labels
from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs.metadata import checked_metadata
from mmv_tf.inference.network import AUDIO, IMAGE, VIDEO
from mmv_tf.layers import LogMel
from mmv_tf.util.safe_files import Count, check_form
from mmv_tf.version import __version__

BEFORE_HEAD, LAST_CONV = "before_head", "last_conv"
FEATURES = {VIDEO: (BEFORE_HEAD,), AUDIO: (BEFORE_HEAD, LAST_CONV), IMAGE: (BEFORE_HEAD,)}
# Ours: limit on the values in all windows of a file, which are in memory at once: 2 GiB.
MAX_WINDOWS, MAX_VALUES = 1000, 1 << 29
_SHAPES = {VIDEO: (None, None, None, None, 3), AUDIO: (None, None, None, 1)}
_RANKS = {VIDEO: (5,), AUDIO: (2, 4), IMAGE: (4,)}
_FORM = {"source_sha256?": (str, None), "version?": (str, None)}


@keras.saving.register_keras_serializable("mmv_tf")
class ClassifierNetwork(keras.Model):
    """Backbone of one modality with a linear layer: windows -> label scores.

    Args:
      tower: the backbone of `modality`; for images, a deflated model (`ImageEncoder`), or the video
        backbone, which then receives static clips of `metadata["num_frames"]` frames.
      labels: class names, at most 20,000, which must differ in more than case and blanks.
      modality: "video", "audio" or "image".
      feature: the backbone output that feeds the linear layer: "before_head", or for audio
        "last_conv", averaged over time and frequency.
      multi_label: whether scores are an independent sigmoid for each label; otherwise they are a
        softmax over the labels, which sums to 1.
      log_mel: layer that maps waveforms to the backbone's input; for audio.
      windows: maximum number of windows per file, over which scores are averaged.
      metadata: "num_frames", "frame_rate", "size", "square_crop", "source_sha256" (fingerprint of
        the model that the backbone came from), "version" (of this package) and other plain values.

    Call arguments:
      inputs: video float32 [B, T, H, W, 3] in [0, 1], image float32 [B, H, W, 3] in [0, 1], or
        audio: waveforms float32 [B, samples] in [-1, 1] at `log_mel.sample_rate`, or log-mels
        float32 [B, frames, mel bins, 1].

    Returns scores float32 [B, labels] in [0, 1].
    """

    def __init__(
        self,
        tower: keras.layers.Layer,
        labels: Sequence[str],
        modality: str,
        feature: str = BEFORE_HEAD,
        multi_label: bool = False,
        log_mel: LogMel | None = None,
        windows: int = 10,
        metadata: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ):
        del dtype  # The backbone has its own; scores are float32.
        super().__init__(name=name, trainable=trainable, dtype="float32", autocast=False)
        metadata = checked_metadata({"version": __version__, **(metadata or {})})
        _check_arguments(labels, modality, feature, multi_label, windows, metadata)
        _check_tower(tower, modality, log_mel, metadata)
        _check_size(modality, log_mel, windows, metadata)
        self.metadata = metadata
        self.tower = tower
        self.labels = tuple(labels)
        self.modality = modality
        self.feature = feature
        self.multi_label = multi_label
        self.log_mel: Any = log_mel
        self.windows = windows
        if not isinstance(tower, ImageEncoder) and not tower.built:
            tower.build(_SHAPES[VIDEO if modality == IMAGE else modality])
        self.linear = keras.layers.Dense(len(self.labels), dtype="float32", name="linear")
        self.linear.build((None, _feature_dim(tower)))
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: the constructor creates the variables."""
        self.built = True

    def features(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the backbone's output, float32 [B, d].

        Raises:
          ValueError: the inputs' rank does not match the modality.
        """
        inputs = tf.convert_to_tensor(inputs)
        ranks = _RANKS[self.modality]
        if inputs.shape.rank not in ranks or not inputs.dtype.is_floating:
            raise ValueError(
                f"The {self.modality} is {inputs.dtype.name} {tuple(inputs.shape)}; expected "
                f"floats with {' or '.join(map(str, ranks))} dimensions."
            )
        if self.modality == AUDIO and inputs.shape.rank == 2:
            inputs = self.log_mel(inputs)
        if isinstance(self.tower, ImageEncoder):
            return self.tower.features(inputs)
        if self.modality == IMAGE:
            inputs = tf.repeat(inputs[:, tf.newaxis], self.metadata["num_frames"], axis=1)
        if self.feature == LAST_CONV:
            endpoints = self.tower(inputs, training=False, return_endpoints=True)
            return tf.cast(tf.reduce_mean(endpoints["last_conv"], [1, 2]), tf.float32)
        return tf.cast(self.tower(inputs, training=False), tf.float32)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return scores. `training` has no effect: batch norms keep their statistics."""
        return self.scores(self.features(inputs))

    def scores(self, features: tf.Tensor) -> tf.Tensor:
        """Return the scores for features [B, d]."""
        logits = self.linear(features)
        return tf.sigmoid(logits) if self.multi_label else tf.nn.softmax(logits)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [B, labels]."""
        return (input_shape[0], len(self.labels))

    def set_linear(self, kernel: np.ndarray, bias: np.ndarray) -> None:
        """Set the linear layer's kernel [d, labels] and bias [labels].

        Raises:
          ValueError: a value is not finite, or a shape differs.
        """
        for name, values in {"kernel": kernel, "bias": bias}.items():
            if not np.isfinite(values).all():
                raise ValueError(f"The classifier's {name} has values that are not finite.")
        self.linear.set_weights([np.asarray(kernel, np.float32), np.asarray(bias, np.float32)])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments; weights are saved separately."""
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "trainable": self.trainable,
            "tower": serialize(self.tower),
            "labels": list(self.labels),
            "modality": self.modality,
            "feature": self.feature,
            "multi_label": self.multi_label,
            "log_mel": None if self.log_mel is None else serialize(self.log_mel),
            "windows": self.windows,
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ClassifierNetwork:
        """Create a classifier from the result of `get_config`."""
        config = dict(config)
        for name in ("tower", "log_mel"):
            if isinstance(config.get(name), dict):
                config[name] = keras.saving.deserialize_keras_object(
                    config[name], custom_objects=custom_objects
                )
        return cls(**config)


def _check_arguments(
    labels: Any, modality: Any, feature: Any, multi_label: Any, windows: Any, metadata: Any
) -> None:
    """Check values that may come from an untrusted file."""
    if modality not in MODALITIES:
        raise ValueError(f"modality is {modality!r:.80}; use one of {', '.join(MODALITIES)}.")
    if feature not in FEATURES[modality]:
        raise ValueError(
            f"feature is {feature!r:.80}; for {modality}, use {' or '.join(FEATURES[modality])}."
        )
    check_form(multi_label, bool, "multi_label")
    check_form(windows, Count, "windows")
    if not 1 <= windows <= MAX_WINDOWS:
        raise ValueError(f"windows is {windows}; expected 1 to {MAX_WINDOWS}.")
    check_form(list(labels) if isinstance(labels, tuple) else labels, [str], "labels")
    if len(set(labels)) < len(labels):
        raise ValueError("labels contains a duplicate; expected each name once.")
    check_labels(labels, "the classifier")
    check_form(metadata, _FORM)


def _check_tower(tower: Any, modality: str, log_mel: Any, metadata: Mapping[str, Any]) -> None:
    if isinstance(tower, ImageEncoder):
        right = modality == IMAGE
    else:
        right = isinstance(tower, keras.layers.Layer) and hasattr(tower, "feature_dim")
    if not right:
        raise ValueError(
            f"tower is a {type(tower).__name__}; expected a backbone for {modality}"
            f"{', or a deflated model' if modality == IMAGE else ''}."
        )
    if (modality == AUDIO) != isinstance(log_mel, LogMel):
        raise ValueError(f"log_mel is {log_mel!r:.80}; expected a LogMel, for audio only.")
    needed = {VIDEO: ("num_frames", "frame_rate", "size"), AUDIO: ("num_frames", "frame_rate")}
    static = ("size",) if isinstance(tower, ImageEncoder) else ("num_frames", "size")
    for name in needed.get(modality, static):
        if metadata.get(name) is None:
            raise ValueError(f"metadata lacks {name}, which is needed to read {modality}.")


def _check_size(modality: str, log_mel: Any, windows: int, metadata: Mapping[str, Any]) -> None:
    """Reject windows that would exhaust memory."""
    frames = metadata.get("num_frames") or 1
    if modality == AUDIO:
        values = windows * frames / metadata["frame_rate"] * log_mel.sample_rate
    else:
        values = (windows if modality == VIDEO else 1) * frames * metadata["size"] ** 2 * 3
    if values > MAX_VALUES:
        raise ValueError(
            f"{windows} windows of a file have {values:.3g} values; expected at most {MAX_VALUES}; "
            "use fewer windows."
        )


def _feature_dim(tower: Any) -> int:
    if not isinstance(tower, ImageEncoder):
        return int(tower.feature_dim)
    outputs = tower.network.output
    found = outputs[BEFORE_HEAD] if isinstance(outputs, Mapping) else outputs
    return int(found.shape[-1])
