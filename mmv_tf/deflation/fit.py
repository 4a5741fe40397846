# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Fits a deflated model's batch norms to the original's output on static clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation.closed_form import fit_closed_form
from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.deflation.l1 import fit_l1, norm_variables, pointwise_kernels
from mmv_tf.deflation.measures import agreement
from mmv_tf.deflation.probes import (
    Answers,
    Original,
    ask_original,
    image_probe,
    norm_pairs,
)
from mmv_tf.deflation.rewrite import deflate_naively

# Arrays or tensors [N, H, W, C], or a tf.data.Dataset of images or batches.
Images: TypeAlias = Any
_Variables: TypeAlias = Sequence[keras.Variable]

# Ours. A fit on fewer images is meaningless. Memory limits the closed form, which holds every
# feature map of this many pixels at once.
_LEAST_IMAGES = 10
_CLOSED_FORM_PIXELS = 64 * 128 * 128
# Ours. A kernel sums more terms than gamma and beta, so the same step has a larger effect.
_POINTWISE_RATE = 1 / 3


def fit_deflated(
    model: Any,
    image_model: ImageEncoder,
    images: Images,
    held_out: Images | None = None,
    num_frames: int = 32,
    epochs: int = 20,
    batch_size: int = 16,
    learning_rate: float = 1e-2,
    seed: int = 0,
    pointwise_epochs: int = 0,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> dict[str, Any]:
    """Train gamma and beta of the batch norms, and by default nothing else, in place.

    There are two stages. The first, ours, is a closed form: each batch norm in turn gets the gamma
    and beta that bring its activated output closest to the original's on static clips
    (`fit_closed_form`). The second is MMV's method (Alayrac et al., 2020): Adam on the L1 distance
    between the representations. Moving means and variances do not change. A stage is undone unless
    it brings the representations of the training images closer to the original's. Step size, epochs
    and batch size are ours; the paper's are not published. The original runs once on each image.

    An optional third stage, ours, also trains the kernels of 1x1 convolutions with the same loss.

    Args:
      model: the original model: the argument of `deflate_naively`.
      image_model: `deflate_naively(model)`, with or without `num_frames`.
      images: float32 [N, H, W, C] (RGB in [0, 1] for MMV's models), or a dataset of such images or
        batches of them, all of one size.
      held_out: images to measure the agreement on; a fifth of `images` if None.
      num_frames: length of the static clips; use the number of frames that the original was trained
        with.
      epochs, batch_size, learning_rate, seed: settings of the second stage.
      pointwise_epochs: epochs of the third stage, which uses a third of the learning rate.
      on_stage: called with "start", "closed_form", "fitted" and, if requested, "pointwise" when
        `image_model` has reached that stage.

    Returns:
      Agreement on the held-out images, in the form of `agreement`: "naive" for
      `deflate_naively(model)`, "start" for the given `image_model`, and "closed_form", "fitted"
      and, if requested, "pointwise" after those stages; "layers": [{"name", and for each stage the
      agreement of a batch norm's activated output, averaged over time}]; "kept": [stages that
      brought the representations closer]; "images", "held_out", "num_frames": counts; "seconds":
      {"original", and the stages that ran}.

    Raises:
      ValueError: the images have an unsupported form, there are fewer than 10, or the image model
        was not made from the model.
    """
    pairs = norm_pairs(model, image_model)
    train, test = _split(images, held_out, seed)
    _check_sizes(train, test, image_model)
    few = min(len(train), max(8, _CLOSED_FORM_PIXELS // (train.shape[1] * train.shape[2])))
    seconds = {}

    started = time.perf_counter()
    targets = ask_original(model, pairs, train, num_frames, batch_size, few)
    test_targets = ask_original(model, pairs, test, num_frames, batch_size, few)
    seconds["original"] = time.perf_counter() - started

    names = [pair.name for pair in pairs]
    ask = image_probe(image_model, names)

    def measure(answers: Answers) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        return _agreements(answers, test_targets)

    stages = {"naive": measure(image_probe(deflate_naively(model), names)(test, batch_size))}

    def reached(stage: str) -> None:
        stages[stage] = measure(ask(test, batch_size))
        on_stage(stage)

    network = image_model.network
    norms = norm_variables(pairs)
    points = [*norms, *pointwise_kernels(network)]

    def closed_form() -> None:
        fit_closed_form(network, pairs, targets.maps, train[:few])

    def descend(variables: _Variables, epochs: int, rate: float, what: str) -> None:
        steps = epochs * (len(train) // min(batch_size, len(train)))
        fit_l1(network, variables, train, targets.features, steps, batch_size, rate, seed, what)

    def l1() -> None:
        descend(norms, epochs, learning_rate, "batch norms")

    def pointwise() -> None:
        descend(points, pointwise_epochs, _POINTWISE_RATE * learning_rate, "1x1 kernels too")

    def distance() -> float:
        return agreement(ask(train[:few], batch_size)[0], targets.features[:few])["l1"]

    changes: dict[str, tuple[_Variables, Callable[[], None]]]
    changes = {"closed_form": (norms, closed_form), "fitted": (norms, l1)}
    if pointwise_epochs:
        changes["pointwise"] = points, pointwise
    reached("start")
    kept = []
    for stage, (variables, change) in changes.items():
        started = time.perf_counter()
        if _improve(variables, change, distance):
            kept.append(stage)
        seconds[stage] = time.perf_counter() - started
        reached(stage)
    return {
        **{stage: whole for stage, (whole, _) in stages.items()},
        "kept": kept,
        "layers": [
            {"name": name, **{stage: by_layer[name] for stage, (_, by_layer) in stages.items()}}
            for name in dict.fromkeys(pair.name for pair in pairs)
        ],
        "images": len(train),
        "held_out": len(test),
        "num_frames": num_frames,
        "seconds": seconds,
    }


def _split(images: Images, held_out: Images | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    train = as_array(images)
    if held_out is None:
        order = np.random.default_rng(seed).permutation(len(train))
        split = len(train) // 5
        train, test = train[order[split:]], train[order[:split]]
    else:
        test = as_array(held_out)
    if len(train) + len(test) < _LEAST_IMAGES or len(test) < 2:
        raise ValueError(
            f"Got {len(train) + len(test)} images; a fit needs {_LEAST_IMAGES} or more, two of "
            "them held out."
        )
    return train, test


def _check_sizes(train: np.ndarray, test: np.ndarray, image_model: ImageEncoder) -> None:
    if train.shape[1:] != test.shape[1:]:
        raise ValueError(
            f"Training images are {train.shape[1:]} and held-out images {test.shape[1:]}; "
            "resize them to one size."
        )
    channels = image_model.network.input.shape[-1]
    if train.shape[-1] != channels:
        raise ValueError(f"Images have {train.shape[-1]} channels; the network expects {channels}.")


def as_array(images: Images) -> np.ndarray:
    """Convert images in any supported form to float32 [N, H, W, C].

    Raises:
      ValueError: the form is not supported, the sizes differ, or values lie outside [0, 1].
    """
    if isinstance(images, tf.data.Dataset):
        parts = [np.asarray(element) for element in images]
        parts = [part[np.newaxis] if part.ndim == 3 else part for part in parts]
        if len({part.shape[1:] for part in parts}) > 1:
            raise ValueError("The images differ in size; resize them to one size.")
        images = np.concatenate(parts) if parts else np.zeros([0, 1, 1, 3], np.float32)
    elif isinstance(images, list | tuple):
        if len({np.shape(image) for image in images}) > 1:
            raise ValueError("The images differ in size; resize them to one size.")
        images = np.stack(images) if images else np.zeros([0, 1, 1, 3], np.float32)
    array: np.ndarray = np.asarray(images)
    if array.ndim != 4 or array.dtype.kind != "f":
        hint = " Divide uint8 images by 255." if array.dtype.kind in "iu" else ""
        raise ValueError(
            f"Images are {array.dtype} {array.shape}; expected float [N, H, W, C] in [0, 1].{hint}"
        )
    if len(array) and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"Images range from {array.min()} to {array.max()}; expected [0, 1].")
    return array.astype(np.float32, copy=False)


def _improve(
    variables: _Variables, change: Callable[[], None], distance: Callable[[], float]
) -> bool:
    """Apply a change, and undo it unless it reduces the distance."""
    old = [variable.numpy() for variable in variables]
    before = distance()
    change()
    # Written so that a distance of NaN is also undone.
    if distance() < before:
        return True
    for variable, value in zip(variables, old, strict=True):
        variable.assign(value)
    return False


def _agreements(
    answers: Answers, targets: Original
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return the agreement of the representations and of each batch norm's activated output."""
    features, maps = answers
    by_layer = {
        name: _map_agreement(maps[name][: len(target)], target)
        for name, target in targets.maps.items()
    }
    return agreement(features, targets.features), by_layer


def _map_agreement(values: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return the agreement of [n, positions, C], each image flattened to one vector."""
    return agreement(values.reshape(len(values), -1), targets.reshape(len(targets), -1))
