# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairs each batch norm of an image model with the original's, and reads their outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation.image_encoder import ImageEncoder, main_output
from mmv_tf.deflation.measures import static_clips
from mmv_tf.deflation.rewrite import walk_network
from mmv_tf.deflation.simplify import NORMS
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.util.keras_networks import Graph, replaced_calls
from mmv_tf.util.progress import Progress

# Ours: maximum number of feature-map positions per image for fitting and comparing a layer, since
# neighboring positions are similar.
_PLACES = 256


@dataclasses.dataclass(frozen=True)
class NormPair:
    """A batch norm of the image model and its counterpart in the video model.

    Attributes:
      name: name of the image model's layer.
      image, original: the layers.
      activation: the activation that is the only consumer of the batch norm's output, or None.
      rectified: whether the activation is a ReLU.
    """

    name: str
    image: Any
    original: Any
    activation: Any
    rectified: bool

    def activate(self, values: tf.Tensor) -> tf.Tensor:
        """Apply the activation that follows the batch norm, if any, to its output."""
        return values if self.activation is None else self.activation(values)


def norm_pairs(model: Any, image_model: ImageEncoder) -> list[NormPair]:
    """Return the batch norms that the representation depends on, in the order of computation.

    Raises:
      ValueError: `image_model` was not made from `model`, its batch norms are folded, or it has
        none.
    """
    if image_model.metadata.get("folded"):
        raise ValueError(
            "This image encoder's batch norms are folded into its convolutions; fit it before "
            "folding."
        )
    origins = walk_network(model)[1]
    network = image_model.network
    features = keras.Model(network.input, main_output(network.output))
    after = Graph(features).consumers()
    pairs = []
    for layer in features.operations:
        if not isinstance(layer, NORMS):
            continue
        if layer.name not in origins:
            raise ValueError(
                f"The image encoder's batch norm {layer.name} has no counterpart in the video "
                "network; pass the network that it was deflated from."
            )
        activation = _activation(after.get(layer.name, []))
        rectified = (
            isinstance(activation, keras.layers.ReLU)
            and activation.max_value is None
            and not activation.negative_slope
            and not activation.threshold
        ) or getattr(activation, "activation", None) is keras.activations.relu
        pairs.append(NormPair(layer.name, layer, origins[layer.name], activation, rectified))
    if not pairs:
        raise ValueError("The image encoder has no batch norms, so there is nothing to fit.")
    return pairs


@dataclasses.dataclass
class Original:
    """The original's outputs on images as static clips, computed once.

    Attributes:
      features: float32 [N, d].
      maps: batch norm's name -> float32 [n, positions, C]: its activated output, averaged over
        time, for the first n images.
    """

    features: np.ndarray
    maps: dict[str, np.ndarray]


def ask_original(
    model: Any,
    pairs: Sequence[NormPair],
    images: np.ndarray,
    num_frames: int,
    batch_size: int,
    num_maps: int,
) -> Original:
    """Run the video model over static clips of all images."""
    is_graph = isinstance(model, EmbeddingGraph)

    def run(batch: tf.Tensor) -> tf.Tensor:
        clips = static_clips(batch, num_frames)
        if is_graph:
            return model({"video": clips})["video"]["before_head"]
        return main_output(model(clips, training=False))

    @tf.function(reduce_retracing=True, autograph=False)
    def features_only(batch: tf.Tensor) -> tf.Tensor:
        return run(batch)

    @tf.function(reduce_retracing=True, autograph=False)
    def with_maps(batch: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        maps: dict[str, tf.Tensor] = {}

        def record(pair: NormPair) -> Callable[..., Any]:
            call = pair.original.call

            def wrapped(*args: Any, **kwargs: Any) -> Any:
                outputs = call(*args, **kwargs)
                values = tf.cast(pair.activate(outputs), tf.float32)
                maps.setdefault(pair.name, at_places(_time_mean(values, tf.shape(batch)[0])))
                return outputs

            return wrapped

        with replaced_calls([(pair.original, record(pair)) for pair in pairs]):
            return run(batch), maps

    features, maps = [], {pair.name: [] for pair in pairs}  # type: ignore[var-annotated]
    with Progress(len(images), "static clips", "images") as progress:
        for start in range(0, len(images), batch_size):
            batch = tf.constant(images[start : start + batch_size])
            if start < num_maps:
                outputs, found = with_maps(batch)
                for name, values in found.items():
                    maps[name].append(values.numpy())
            else:
                outputs = features_only(batch)
            features.append(tf.cast(outputs, tf.float32).numpy())
            progress.update(len(batch))
    joined = {name: np.concatenate(parts)[:num_maps] for name, parts in maps.items() if parts}
    return Original(np.concatenate(features), joined)


Answers: TypeAlias = tuple[np.ndarray, dict[str, np.ndarray]]


def image_probe(
    encoder: ImageEncoder, names: Sequence[str]
) -> Callable[[np.ndarray, int], Answers]:
    """Return a function that runs the image model; it is traced once and uses the latest weights.

    Args:
      encoder: the model.
      names: names of its batch norms.

    Returns:
      (images float32 [N, H, W, C], batch size) -> representations [N, d], and for each name the
      activated output float32 [N, positions, C] at the positions of `Original.maps`.
    """
    network = encoder.network
    after = Graph(network).consumers()
    probed = {}
    for name in names:
        following = _activation(after.get(name, []))
        probed[name] = (following or network.get_layer(name)).output
    probe = keras.Model(network.input, {"": main_output(network.output), **probed})

    @tf.function(input_signature=[tf.TensorSpec(network.input.shape)], autograph=False)
    def run(batch: tf.Tensor) -> dict[str, tf.Tensor]:
        values = probe(batch, training=False)
        outputs = {name: at_places(tf.cast(values[name], tf.float32)) for name in probed}
        return {"": tf.cast(values[""], tf.float32), **outputs}

    def ask(images: np.ndarray, batch_size: int) -> Answers:
        batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
        parts = [keras.tree.map_structure(np.asarray, run(tf.constant(batch))) for batch in batches]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return joined.pop(""), joined

    return ask


def _activation(following: Sequence[Any]) -> Any:
    """Return the activation that is the only consumer of a layer's output, or None."""
    if len(following) == 1 and isinstance(
        following[0], keras.layers.ReLU | keras.layers.Activation
    ):
        return following[0]
    return None


def _time_mean(values: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Average [B, T, ..., C] or [B * T, ..., C] over time to [B, ..., C]."""
    if values.shape.rank == 5:
        return tf.reduce_mean(values, 1)
    frames = tf.reshape(values, tf.concat([[batch, -1], tf.shape(values)[1:]], axis=0))
    outputs = tf.reduce_mean(frames, 1)
    outputs.set_shape([None, *values.shape[1:]])
    return outputs


def at_places(values: tf.Tensor) -> tf.Tensor:
    """Select evenly spaced positions, at most `_PLACES`: [B, h, w, C] -> [B, positions, C]."""
    batch, channels = tf.shape(values)[0], values.shape[-1]
    flat = tf.reshape(values, [batch, -1, channels])
    count = tf.shape(flat)[1]
    wanted = tf.minimum(count, _PLACES)
    # Fractional steps, so that the selected positions are not all in one column.
    chosen = tf.cast(
        tf.floor(
            tf.range(tf.cast(wanted, tf.float64), dtype=tf.float64)
            * tf.cast(count, tf.float64)
            / tf.cast(wanted, tf.float64)
        ),
        tf.int32,
    )
    return tf.gather(flat, chosen, axis=1)
