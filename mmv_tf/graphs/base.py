# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the embedding graphs share: the towers, the call, the checks and the file format."""

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

# The graphs that the entry `graph.name` of a model config chooses among.
GRAPHS: Registry[type[EmbeddingGraph]] = Registry("graph.name", package="mmv_tf.graphs")

_SHAPES: dict[str, tuple[int | None, ...]] = {
    "video": (None, None, None, None, 3),
    "audio": (None, None, None, 1),
    "text": (None, None),
}


class EmbeddingGraph(keras.Model):
    """A backbone for each modality and heads into spaces in which modalities can be compared.

    Subclasses (`FineAndCoarse`, `Shared`, `Disjoint`) create their heads and say in `chain` which
    modality passes which. At least two modalities have to be there; video-audio and video-text
    networks are the paper's ablations (Table 1a).

    Args:
      video, audio, text: backbones, Keras layers that map their input to [B, d] and have a
        `feature_dim`; None leaves the modality out.
      tokenizer: optional; turns sentences into the ids that the text tower takes.
      log_mel: optional; turns waveforms into what the audio tower takes.
      metadata: plain values saved with the model: frame rate, licence of the weights, ...
      check_inputs: when values are looked at for NaN and range: "eager" calls only, "always" (in
        traced and exported functions too, where a fault is an InvalidArgumentError), or "never".
        Rank, channels and dtype are checked always. See `mmv_tf.graphs.inputs`.
      name: of the network.
      trainable: whether its weights are trained.
      dtype: the Keras dtype policy of the heads and of what is made for the network; each tower
        has its own.

    Call arguments:
      inputs: a dict with any non-empty subset of "video" (float32 [B, T, H, W, 3] in [0, 1]),
        "audio" (float32 [B, frames, mel_bins, 1] or [B, frames, mel_bins]) and "text" (int32
        [B, words]). Batch sizes may differ between modalities. Only the towers asked for run.
      training: as in `BatchNorm`.
      valid: optional dict, modality -> [B] booleans: rows to leave out of batch statistics.

    Returns a dict, modality -> {"before_head": [B, d], space: [B, dim], ...}; embeddings are
    float32 and not normalised.
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
        # Each tower casts by its own policy.
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
                f"An embedding graph needs video and one modality more, got {self.modalities}."
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that this network has."""
        return tuple(name for name in MODALITIES if self.backbone(name) is not None)

    def backbone(self, modality: str) -> Any:
        """The tower f_m of a modality, a Keras layer, or None."""
        return {"video": self.video, "audio": self.audio, "text": self.text}[modality]

    def chain(self, modality: str) -> list[tuple[str, ProjectionHead, str]]:
        """How a modality reaches its spaces.

        Returns:
          (space, head, source) in the order of computation, finest space first; the source is
          "before_head" or an earlier space.
        """
        raise NotImplementedError

    def spaces(self, modality: str) -> tuple[str, ...]:
        """Names of the spaces that a modality reaches, finest first."""
        return tuple(space for space, _, _ in self.chain(modality))

    def sentence_tokenizer(self) -> WordTokenizer:
        """The tokenizer, for what can't do without sentences.

        Raises:
          ValueError: the network takes no sentences; the message says what to do.
        """
        if "text" not in self.modalities:
            raise ValueError(
                f"This network takes no sentences: it has towers for {', '.join(self.modalities)} "
                "and none for text; use one that was trained with narrations."
            )
        if self.tokenizer is None:
            raise ValueError(
                "This network takes no sentences: it has a table of word vectors and not the words "
                "that they are of; import its checkpoint again (binaries.import_checkpoint) with "
                "--word_vectors=FILE, the word2vec file that the table was made of, or with "
                "--vocabulary=FILE, the words in the order of its rows."
            )
        return self.tokenizer

    def common_space(self, first: str, second: str) -> str:
        """The space in which two modalities are compared, the finer one where there are two.

        Raises:
          ValueError: where the network has no such space.
        """
        for modality in (first, second):
            if modality not in self.modalities:
                raise ValueError(
                    f"This network has no {modality!r} tower; it has {self.modalities}."
                )
        reached = self.spaces(second)
        for space in self.spaces(first):
            if space in reached:
                return space
        raise ValueError(
            f"{first} and {second} share no space in a {type(self).__name__} network; "
            "train a FineAndCoarse or Shared one to compare them."
        )

    def project(
        self, modality: str, features: tf.Tensor, training: bool, valid: Any
    ) -> dict[str, tf.Tensor]:
        """Heads of a modality: [B, d] -> one embedding for each space it reaches."""
        values = {"before_head": features}
        for space, head, source in self.chain(modality):
            mode = training and self.trains_head(modality, space)
            values[space] = head(values[source], training=mode, valid=valid)
        del values["before_head"]
        return values

    def trains_head(self, modality: str, space: str) -> bool:
        """Whether a modality takes part in the batch statistics of its head into a space."""
        return True

    def build_towers(self) -> None:
        """Creates all weights; called at the end of a subclass's constructor.

        All sizes are known by then, so that a new network can be counted, saved and loaded without
        being called first.
        """
        for modality in self.modalities:
            backbone = self.backbone(modality)
            if not backbone.built:
                # With a shape, for `summary` to show; no size in it matters but the channels'.
                backbone.build(_SHAPES[modality])
            dims = {"before_head": backbone.feature_dim}
            for space, head, source in self.chain(modality):
                if not head.built:
                    head.build((None, dims[source]))
                dims[space] = head.dim
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """The constructor has done it."""
        self.built = True

    def call(
        self,
        inputs: Mapping[str, tf.Tensor],
        training: bool = False,
        valid: Mapping[str, Any] | None = None,
    ) -> dict[str, dict[str, tf.Tensor]]:
        """See the class."""
        rows = None if self.text is None else getattr(self.text, "vocabulary_size", None)
        checked = checked_inputs(inputs, self.modalities, rows, training, self.check_inputs)
        unknown = sorted(set(valid or {}) - set(MODALITIES))
        if unknown:
            raise ValueError(f"valid names {unknown[0]!r}; modalities are {MODALITIES}.")
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
        """Shapes of `call`'s result."""
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
        """Return the shapes and the dtype, float32, of `call`'s result."""
        del training, valid
        shapes = self.compute_output_shape({name: x.shape for name, x in inputs.items()})
        return {
            modality: {
                space: keras.KerasTensor(shape, "float32") for space, shape in spaces.items()
            }
            for modality, spaces in shapes.items()
        }

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, towers included; weights and vocabulary are saved apart."""
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
        """The reverse of `get_config`."""
        config = dict(config)
        for name in ("video", "audio", "text", "tokenizer", "log_mel"):
            if isinstance(config.get(name), dict):
                config[name] = keras.saving.deserialize_keras_object(
                    config[name], custom_objects=custom_objects
                )
        return cls(**config)
