# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Fits a deflated network's batch norms so that it answers like the original on static clips."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.deflation.rewrite import leaves
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.layers import BatchNorm
from mmv_tf.progress import Progress

# Arrays or tensors [N, H, W, 3], or a tf.data.Dataset of images or batches.
Images: TypeAlias = Any


def fit_deflated(
    model: EmbeddingGraph,
    image_model: ImageEncoder,
    images: Images,
    held_out: Images | None = None,
    num_frames: int = 32,
    epochs: int = 20,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> dict[str, Any]:
    """Trains gamma and beta of the batch norms, and nothing else, in place.

    Two stages. First a closed form of ours: each batch norm in turn gets the gamma and beta with
    which its output has, channel by channel, the mean and deviation that the original's has on
    static clips; it is kept if that brings the representations nearer. Then the paper's (section
    4): Adam on the L1 distance of the representations. Moving means and variances stay as they are.
    Step size, epochs and batch are ours; the paper's are not known.

    Args:
      model: the original network.
      image_model: `deflate(model)`.
      images: float32 [N, H, W, 3] in [0, 1], or a dataset of (batches of) such images of one size.
      held_out: images to measure the agreement on; a fifth of `images` if None.
      num_frames: length of the static clips; the original's training length is right.
      epochs, batch_size, learning_rate, seed: of the second stage.

    Returns:
      {"naive": agreement, "closed_form": agreement, "fitted": agreement, "closed_form_kept": bool,
      "images": n, "held_out": n, "seconds": wall time of the two stages}; see `agreement`.

    Raises:
      ValueError: for images of another form, or fewer than 10.
    """
    train = _as_array(images)
    if held_out is None:
        order = np.random.default_rng(seed).permutation(len(train))
        split = len(train) // 5
        train, test = train[order[split:]], train[order[:split]]
    else:
        test = _as_array(held_out)
    if len(train) < 8 or len(test) < 2:
        raise ValueError(f"Got {len(train) + len(test)} images; a fit needs 10 or more.")
    targets = _static_features(model, train, num_frames, batch_size)
    test_targets = _static_features(model, test, num_frames, batch_size)

    report: dict[str, Any] = {"images": len(train), "held_out": len(test)}
    report["naive"] = agreement(_features(image_model, test, batch_size), test_targets)
    started = time.perf_counter()
    norms = batch_norms(image_model.backbone)
    unfitted = [norm.get_weights() for norm in norms]
    gap = agreement(_features(image_model, train, batch_size), targets)["l1"]
    _fit_closed_form(model, image_model, train[: 16 * batch_size], num_frames)
    # Matching each layer's moments need not bring the last one's values nearer.
    kept = agreement(_features(image_model, train, batch_size), targets)["l1"] < gap
    if not kept:
        for norm, weights in zip(norms, unfitted, strict=True):
            norm.set_weights(weights)
    report["closed_form_kept"] = kept
    closed_form_seconds = time.perf_counter() - started
    report["closed_form"] = agreement(_features(image_model, test, batch_size), test_targets)
    started = time.perf_counter()
    _fit_l1(image_model, train, targets, epochs, batch_size, learning_rate, seed)
    report["seconds"] = {
        "closed_form": closed_form_seconds,
        "l1": time.perf_counter() - started,
    }
    report["fitted"] = agreement(_features(image_model, test, batch_size), test_targets)
    return report


def agreement(features: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """How near features are to targets, both float [N, d].

    Returns:
      "l1" (mean absolute difference), "cosine" (mean over rows), "relative_error" (norm of the
      difference over the norm of the targets).
    """
    difference = features - targets
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(targets, axis=1)
    cosine = (features * targets).sum(axis=1) / np.maximum(lengths, 1e-12)
    return {
        "l1": float(np.abs(difference).mean()),
        "cosine": float(cosine.mean()),
        "relative_error": float(np.linalg.norm(difference) / np.linalg.norm(targets)),
    }


def static_clips(images: tf.Tensor, num_frames: int) -> tf.Tensor:
    """[B, H, W, 3] -> [B, T, H, W, 3], every frame the image."""
    return tf.repeat(images[:, tf.newaxis], num_frames, axis=1)


def _as_array(images: Images) -> np.ndarray:
    if isinstance(images, tf.data.Dataset):
        parts = [np.asarray(element) for element in images]
        parts = [part[np.newaxis] if part.ndim == 3 else part for part in parts]
        if len({part.shape[1:] for part in parts}) > 1:
            raise ValueError("The images have several sizes; resize them to one.")
        images = np.concatenate(parts) if parts else np.zeros([0, 0, 0, 3])
    array: np.ndarray = np.asarray(images)
    if array.ndim != 4 or array.shape[-1] != 3 or array.dtype.kind != "f":
        raise ValueError(
            f"Images are {array.dtype} {array.shape}; expected float [N, H, W, 3] in [0, 1]."
        )
    if len(array) and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"Images range over {array.min()}..{array.max()}; expected [0, 1].")
    return array.astype(np.float32, copy=False)


def _static_features(
    model: EmbeddingGraph, images: np.ndarray, num_frames: int, batch_size: int
) -> np.ndarray:
    @tf.function(reduce_retracing=True, autograph=False)
    def features(batch: tf.Tensor) -> tf.Tensor:
        return model({"video": static_clips(batch, num_frames)})["video"]["before_head"]

    parts = []
    with Progress(len(images), "static clips", "images") as progress:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            parts.append(features(tf.constant(batch)).numpy())
            progress.update(len(batch))
    return np.concatenate(parts)


def _features(image_model: ImageEncoder, images: np.ndarray, batch_size: int) -> np.ndarray:
    call = tf.function(
        lambda batch: image_model(batch)["before_head"], reduce_retracing=True, autograph=False
    )
    return np.concatenate(
        [
            call(tf.constant(images[start : start + batch_size])).numpy()
            for start in range(0, len(images), batch_size)
        ]
    )


def batch_norms(layer: keras.layers.Layer) -> list[BatchNorm]:
    """All batch norms of a backbone, in the order of their making."""
    return [leaf for leaf in leaves(layer) if isinstance(leaf, BatchNorm)]


@contextlib.contextmanager
def _replaced_calls(layers: list[Any], make: Any) -> Iterator[None]:
    """Within the block `layer.call` is `make(index, layer.call)`; networks have to run eagerly."""
    originals = [layer.call for layer in layers]
    try:
        for index, layer in enumerate(layers):
            layer.call = make(index, originals[index])
        yield
    finally:
        for layer in layers:
            del layer.call


def _fit_closed_form(
    model: EmbeddingGraph, image_model: ImageEncoder, images: np.ndarray, num_frames: int
) -> None:
    """Gives each batch norm's output the original's mean and deviation on static clips.

    One pass through each network does it for all layers in turn: while the image network runs, each
    batch norm is fitted on what reaches it, so the next one already sees the fitted output.
    """
    video: Any = model.video
    originals, deflated = batch_norms(video), batch_norms(image_model.backbone)
    wanted: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def record(index: int, call: Any) -> Any:
        def wrapped(inputs: tf.Tensor, **kwargs: Any) -> tf.Tensor:
            outputs = call(inputs, **kwargs)
            wanted[index] = _channel_moments(outputs)
            return outputs

        return wrapped

    def fit(index: int, call: Any) -> Any:
        layer = deflated[index]

        def wrapped(inputs: tf.Tensor, **kwargs: Any) -> tf.Tensor:
            mean, deviation = _channel_moments(inputs)
            target_mean, target_deviation = wanted[index]
            # y = gamma (x - moving mean) / sqrt(moving variance + epsilon) + beta
            scale = target_deviation / np.maximum(deviation, 1e-6)
            spread = np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
            layer.gamma.assign(scale * spread)
            layer.beta.assign(target_mean + scale * (layer.moving_mean.numpy() - mean))
            return call(inputs, **kwargs)

        return wrapped

    with _replaced_calls(originals, record):
        video(static_clips(tf.constant(images), num_frames))
    with _replaced_calls(deflated, fit):
        image_model.backbone(tf.constant(images))


def _channel_moments(values: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    values = tf.cast(values, tf.float32)
    mean, variance = tf.nn.moments(values, list(range(values.shape.rank - 1)))
    return mean.numpy(), np.sqrt(variance.numpy())


def _fit_l1(
    image_model: ImageEncoder,
    images: np.ndarray,
    targets: np.ndarray,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    batch_size = min(batch_size, len(images))
    steps = epochs * (len(images) // batch_size)
    if steps == 0:
        return
    variables = [
        variable
        for layer in batch_norms(image_model.backbone)
        for variable in (layer.gamma, layer.beta)
    ]
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step(batch: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            features = image_model.backbone(batch, training=False)
            loss = tf.reduce_mean(tf.abs(tf.cast(features, tf.float32) - target))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return loss

    generator = np.random.default_rng(seed)
    with Progress(steps, "fit batch norms", "steps") as progress:
        for _ in range(epochs):
            order = generator.permutation(len(images))
            for start in range(0, len(order) - batch_size + 1, batch_size):
                chosen = order[start : start + batch_size]
                loss = step(tf.constant(images[chosen]), tf.constant(targets[chosen]))
                progress.update(1, l1=float(loss))
