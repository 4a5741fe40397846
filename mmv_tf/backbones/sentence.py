# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Text backbone: word vectors, a linear map per word, ReLU, and the maximum over words."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.backbones.base import Backbone
from mmv_tf.layers.base import check_sizes, float32_policy


@keras.saving.register_keras_serializable("mmv_tf")
class Sentence(Backbone):
    """Word ids [B, words] -> representations [B, dim].

    MMV (Alayrac et al., 2020) uses 300-d word2vec vectors, dim 2048 and 16 words. Word vectors are
    initialized randomly; `set_embeddings` sets trained vectors.

    Args:
      vocabulary_size: number of rows in the embedding table; id 0 is padding.
      embedding_dim: size of a word vector.
      dim: size of the representation.
      trainable_embedding: whether to train the word vectors, which are frozen in MMV.
      mask_padding: whether to exclude padding from the maximum. The released models include the
        vector for id 0.
    """

    def __init__(
        self,
        vocabulary_size: int = 65_536,
        embedding_dim: int = 300,
        dim: int = 2048,
        trainable_embedding: bool = False,
        mask_padding: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_sizes(vocabulary_size=vocabulary_size, embedding_dim=embedding_dim, dim=dim)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.dim = dim
        self.trainable_embedding = trainable_embedding
        self.mask_padding = mask_padding
        self.feature_dim = dim
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            embedding_dim,
            trainable=trainable_embedding,
            # The linear map casts the vectors that it receives, which is cheaper than casting the
            # table.
            dtype=float32_policy(self.dtype_policy),
            name="embedding",
        )
        self.projection = keras.layers.Dense(dim, dtype=self.dtype_policy, name="projection")

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """Return "embedding" and "projection"."""
        return {"embedding": self.embedding, "projection": self.projection}

    def build(self, input_shape: Any = None) -> None:
        """Create the variables."""
        self.embedding.build()
        self.projection.build((None, None, self.embedding_dim))
        self.built = True

    def set_embeddings(self, vectors: np.ndarray) -> None:
        """Set the word vectors.

        Args:
          vectors: float [vocabulary_size, embedding_dim].

        Raises:
          ValueError: the shape differs, or values are not finite.
        """
        expected = (self.vocabulary_size, self.embedding_dim)
        if vectors.shape != expected:
            raise ValueError(f"The word vectors have shape {vectors.shape}; expected {expected}.")
        if not np.isfinite(vectors).all():
            raise ValueError("The word vectors have values that are not finite.")
        self.embedding.embeddings.assign(vectors)

    def call(self, inputs: tf.Tensor, training: bool = False, valid: Any = None) -> tf.Tensor:
        """Apply the backbone; `valid` has no effect because there are no batch statistics."""
        vectors = self.embedding(inputs)
        if not self.trainable_embedding:
            vectors = tf.stop_gradient(vectors)
        words = tf.nn.relu(self.projection(vectors))
        if self.mask_padding:
            # Zeros do not change a maximum after a ReLU. A sentence of padding alone becomes all
            # zeros.
            words *= tf.cast(inputs != 0, words.dtype)[..., tf.newaxis]
        return tf.reduce_max(words, axis=-2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [B, dim]."""
        return (*input_shape[:-1], self.dim)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "dim": self.dim,
            "trainable_embedding": self.trainable_embedding,
            "mask_padding": self.mask_padding,
        }
