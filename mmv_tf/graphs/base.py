# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Base class for the embedding graphs: backbones, calls, input checks and file format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.graphs.inputs import CHECKS, MODALITIES, checked_inputs
from mmv_tf.graphs.metadata import checked_metadata
from mmv_tf.layers import LogMel, ProjectionHead, WordTokenizer
from mmv_tf.layers.base import with_dtype
from mmv_tf.util.registry import Registry

# Choices for the setting `graph.name` in a model config.
GRAPHS: Registry[type[EmbeddingGraph]] = Registry("graph.name", package="mmv_tf.graphs")

_SHAPES: dict[str, tuple[int | None, ...]] = {
    "video": (None, None, None, None, 3),
    "audio": (None, None, None, 1),
    "text": (None, None),
}


class EmbeddingGraph(keras.Model):
    """A backbone for each modality, and heads that map into spaces where modalities are compared.

    Subclasses (`FineAndCoarse`, `Shared`, `Disjoint`) create the heads and return each modality's
    heads in `chain`. A model has video and at least one other modality; models with two modalities
    are ablations in MMV (Alayrac et al., 2020), Table 1.

    Args:
      video, audio, text: backbones, Keras layers that map their input to [B, d] and have a
        `feature_dim`; None for a modality that the model lacks.
      tokenizer: optional; converts sentences to word ids for the text backbone.
      log_mel: optional; converts waveforms to spectrograms for the audio backbone.
      metadata: plain values saved with the model: frame rate, license of the weights, ...
      check_inputs: when to check values for NaN and range: "eager" (in eager calls only), "always"
        (also in traced and exported functions, which raise an InvalidArgumentError), or "never".
        Rank, channels and dtype are always checked. See `mmv_tf.graphs.inputs`.
      name: the model's name.
      trainable: whether the weights are trained.
      dtype: Keras dtype policy of the heads; each backbone has its own.

    Call arguments:
      inputs: a dict with any non-empty subset of "video" (float32 [B, T, H, W, 3] in [0, 1]),
        "audio" (float32 [B, frames, mel_bins, 1] or [B, frames, mel_bins]) and "text" (int32
        [B, words]). Batch sizes may differ between modalities. Only the backbones of the given
        modalities run.
      training: see `BatchNorm`.
      valid: optional dict, modality -> [B] booleans; rows marked False are excluded from batch
        statistics.

    Returns a dict, modality -> {"before_head": [B, d], space: [B, dim], ...}; embeddings are
    float32 and not normalized.
    """

    def __init__(
        self,
        video: keras.layers.Layer | None = None,
        audio: keras.layers.Layer | None = None,
        text: keras.layers.Layer | None = None,
        tokenizer: WordTokenizer | None = None,
        log_mel: LogMel | None = None,
        metadata: Mapping[str, Any] | None = None,
        check_inputs: str = "eager",
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ):
        settings = with_dtype({"name": name, "trainable": trainable, "dtype": dtype})
        # Each backbone casts according to its own policy.
        super().__init__(**settings, autocast=False)
        self.video = video
        self.audio = audio
        self.text = text
        self.tokenizer = tokenizer
        self.log_mel = log_mel
        self.metadata = checked_metadata(metadata)
        if check_inputs not in CHECKS:
            raise ValueError(f"check_inputs is {check_inputs!r}; use one of {CHECKS}.")
        self.check_inputs = check_inputs
        if video is None or (audio is None and text is None):
            raise ValueError(
                f"An embedding graph needs video and one more modality; got {self.modalities}."
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The model's modalities."""
        return tuple(name for name in MODALITIES if self.backbone(name) is not None)

    def backbone(self, modality: str) -> Any:
        """Return a modality's backbone, a Keras layer, or None if it has none."""
        return {"video": self.video, "audio": self.audio, "text": self.text}[modality]

    def chain(self, modality: str) -> list[tuple[str, ProjectionHead, str]]:
        """Return the path from a modality to its spaces.

        Returns:
          A list of (space, head, source) in the order of computation, finest space first; the
          source is "before_head" or an earlier space.
        """
        raise NotImplementedError

    def parts(self) -> dict[str, keras.layers.Layer]:
        """Return the backbones by modality, and the heads as "heads/NAME" by attribute name."""
        backbones = {name: self.backbone(name) for name in self.modalities}
        heads = {
            f"heads/{name}": layer
            for name, layer in vars(self).items()
            if isinstance(layer, ProjectionHead)
        }
        return {**backbones, **heads}

    def spaces(self, modality: str) -> tuple[str, ...]:
        """Return the names of a modality's spaces, finest first."""
        return tuple(space for space, _, _ in self.chain(modality))

    def sentence_tokenizer(self) -> WordTokenizer:
        """Return the tokenizer.

        Raises:
          ValueError: the model has no text input.
        """
        if "text" not in self.modalities:
            raise ValueError(
                f"This model has no text input: it has backbones for {', '.join(self.modalities)} "
                "but none for text; use a model that was trained with narrations."
            )
        if self.tokenizer is None:
            raise ValueError(
                "This model has no text input: it has a table of word vectors but not their "
                "words; import its checkpoint again (mmv import_checkpoint) with "
                "--word_vectors=FILE, the word2vec file of the table, or with --vocabulary=FILE, "
                "the words in the order of its rows."
            )
        return self.tokenizer

    def common_space(self, first: str, second: str) -> str:
        """Return the finest space in which two modalities are compared.

        Raises:
          ValueError: the modalities share no space.
        """
        for modality in (first, second):
            if modality not in self.modalities:
                raise ValueError(
                    f"This model has no {modality!r} backbone; it has {self.modalities}."
                )
        reached = self.spaces(second)
        for space in self.spaces(first):
            if space in reached:
                return space
        raise ValueError(
            f"{first} and {second} share no space in a {type(self).__name__} model; "
            "train a FineAndCoarse or Shared model to compare them."
        )

    def project(
        self, modality: str, features: tf.Tensor, training: bool, valid: Any
    ) -> dict[str, tf.Tensor]:
        """Project features [B, d] of a modality into each of its spaces."""
        values = {"before_head": features}
        for space, head, source in self.chain(modality):
            mode = training and self.trains_head(modality, space)
            values[space] = head(values[source], training=mode, valid=valid)
        del values["before_head"]
        return values

    def trains_head(self, modality: str, space: str) -> bool:
        """Return whether a modality updates the batch statistics of its head for a space."""
        return True

    def build_towers(self) -> None:
        """Create the variables; call this at the end of a subclass's constructor.

        A new model can then be saved, loaded and summarized before its first call.
        """
        for modality in self.modalities:
            backbone = self.backbone(modality)
            if not backbone.built:
                # `summary` needs the shape; only the channel count matters.
                backbone.build(_SHAPES[modality])
            dims = {"before_head": backbone.feature_dim}
            for space, head, source in self.chain(modality):
                if not head.built:
                    head.build((None, dims[source]))
                dims[space] = head.dim
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: the constructor creates the variables."""
        self.built = True

    def call(
        self,
        inputs: Mapping[str, tf.Tensor],
        training: bool = False,
        valid: Mapping[str, Any] | None = None,
    ) -> dict[str, dict[str, tf.Tensor]]:
        """Embed the inputs."""
        rows = None if self.text is None else getattr(self.text, "vocabulary_size", None)
        checked = checked_inputs(inputs, self.modalities, rows, training, self.check_inputs)
        unknown = sorted(set(valid or {}) - set(MODALITIES))
        if unknown:
            raise ValueError(f"valid has the key {unknown[0]!r}; expected keys from {MODALITIES}.")
        outputs = {}
        for modality, tensor in checked.items():
            mask = None if valid is None else valid.get(modality)
            backbone = self.backbone(modality)
            features = backbone(tensor, training=training, valid=mask)
            spaces = self.project(modality, features, training, mask)
            outputs[modality] = {
                name: tf.cast(value, tf.float32)
                for name, value in {"before_head": features, **spaces}.items()
            }
        return outputs

    def compute_output_shape(self, input_shape: Mapping[str, Any]) -> dict[str, Any]:
        """Return the output shapes of `call`."""
        shapes: dict[str, Any] = {}
        for modality, shape in input_shape.items():
            batch = shape[0]
            dims = {space: head.dim for space, head, _ in self.chain(modality)}
            dims["before_head"] = self.backbone(modality).feature_dim
            shapes[modality] = {name: (batch, dim) for name, dim in dims.items()}
        return shapes

    def compute_output_spec(
        self, inputs: Mapping[str, Any], training: bool = False, valid: Any = None
    ) -> dict[str, dict[str, keras.KerasTensor]]:
        """Return the output shapes of `call`, and the dtype, float32."""
        del training, valid
        shapes = self.compute_output_shape({name: x.shape for name, x in inputs.items()})
        return {
            modality: {
                space: keras.KerasTensor(shape, "float32") for space, shape in spaces.items()
            }
            for modality, spaces in shapes.items()
        }

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments; weights and vocabulary are saved separately."""
        serialize = keras.saving.serialize_keras_object
        layers = {
            name: None if layer is None else serialize(layer)
            for name, layer in {
                "video": self.video,
                "audio": self.audio,
                "text": self.text,
                "tokenizer": self.tokenizer,
                "log_mel": self.log_mel,
            }.items()
        }
        return {
            **super().get_config(),
            **layers,
            "metadata": self.metadata,
            "check_inputs": self.check_inputs,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> EmbeddingGraph:
        """Create a graph from the result of `get_config`."""
        config = dict(config)
        for name in ("video", "audio", "text", "tokenizer", "log_mel"):
            if isinstance(config.get(name), dict):
                config[name] = keras.saving.deserialize_keras_object(
                    config[name], custom_objects=custom_objects
                )
        return cls(**config)
