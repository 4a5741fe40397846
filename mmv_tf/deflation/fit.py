# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Fits a deflated network's batch norms so that it answers like the original on static clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from mmv_tf.deflation.agreement import agreement
from mmv_tf.deflation.closed_form import fit_closed_form
from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.deflation.l1 import fit_l1
from mmv_tf.deflation.probes import (
    Answers,
    NormPair,
    Original,
    ask_original,
    image_probe,
    norm_pairs,
)
from mmv_tf.deflation.rewrite import deflate

# Arrays or tensors [N, H, W, C], or a tf.data.Dataset of images or batches.
Images: TypeAlias = Any

# Ours. A fit on fewer says nothing, and memory is what limits the closed form: it holds all
# feature maps of this many pixels at once.
_LEAST_IMAGES = 10
_CLOSED_FORM_PIXELS = 64 * 128 * 128


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
) -> dict[str, Any]:
    """Trains gamma and beta of the batch norms, and nothing else, in place.

    Two stages. First a closed form of ours: each batch norm in turn gets the gamma and beta that
    bring its activated output nearest to the original's on static clips (`fit_closed_form`); it is
    kept if that brings the representations nearer. Then the paper's (PAPER section 4): Adam on the
    L1 distance of the representations. Moving means and variances stay as they are. Step size,
    epochs and batch are ours; the paper's are not known. The original is run once on each image.

    Args:
      model: the original network: what `deflate` was given.
      image_model: `deflate(model)`, or that with `num_frames`.
      images: float32 [N, H, W, C], for MMV's networks RGB in [0, 1], or a dataset of (batches of)
        such images of one size.
      held_out: images to measure the agreement on; a fifth of `images` if None.
      num_frames: length of the static clips; the original's training length is right.
      epochs, batch_size, learning_rate, seed: of the second stage.

    Returns:
      Agreement on the held-out images at each stage, as from `agreement`:
      {"naive": of `deflate(model)`, "start": of `image_model` as given, "closed_form", "fitted":
      after the stages, "closed_form_kept": bool, "layers": [{"name", "naive", "closed_form",
      "fitted"}] of each batch norm's activated output, its mean over time, "images", "held_out",
      "num_frames": counts, "seconds": {"original", "closed_form", "l1"}}.

    Raises:
      ValueError: for images of another form, or fewer than 10; or if the two networks don't belong
        together.
    """
    pairs = norm_pairs(model, image_model)
    train, test = _split(images, held_out, seed)
    _check_sizes(train, test, image_model)
    few = max(8, _CLOSED_FORM_PIXELS // (train.shape[1] * train.shape[2]))
    seconds = {}

    started = time.perf_counter()
    targets = ask_original(model, pairs, train, num_frames, batch_size, min(few, len(train)))
    test_targets = ask_original(model, pairs, test, num_frames, batch_size, min(few, len(test)))
    seconds["original"] = time.perf_counter() - started

    names = [pair.name for pair in pairs]
    ask = image_probe(image_model, names)

    def measure(answers: Answers) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        return _agreements(answers, test_targets)

    stages = {"naive": measure(image_probe(deflate(model), names)(test, batch_size))}
    stages["start"] = measure(ask(test, batch_size))

    started = time.perf_counter()
    kept = _closed_form(image_model, ask, pairs, train, targets, batch_size)
    seconds["closed_form"] = time.perf_counter() - started
    stages["closed_form"] = measure(ask(test, batch_size))

    started = time.perf_counter()
    steps = epochs * (len(train) // min(batch_size, len(train)))
    fit_l1(
        image_model.network, pairs, train, targets.features, steps, batch_size, learning_rate, seed
    )
    seconds["l1"] = time.perf_counter() - started
    stages["fitted"] = measure(ask(test, batch_size))
    return {
        **{stage: whole for stage, (whole, _) in stages.items()},
        "closed_form_kept": kept,
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
            f"Images to fit on are {train.shape[1:]} and held-out ones {test.shape[1:]}; "
            "give one size."
        )
    channels = image_model.network.input.shape[-1]
    if train.shape[-1] != channels:
        raise ValueError(f"Images have {train.shape[-1]} channels; the network takes {channels}.")


def as_array(images: Images) -> np.ndarray:
    """Any form of images as float32 [N, H, W, C].

    Raises:
      ValueError: for another form, several sizes, or values out of [0, 1].
    """
    if isinstance(images, tf.data.Dataset):
        parts = [np.asarray(element) for element in images]
        parts = [part[np.newaxis] if part.ndim == 3 else part for part in parts]
        if len({part.shape[1:] for part in parts}) > 1:
            raise ValueError("The images have several sizes; resize them to one.")
        images = np.concatenate(parts) if parts else np.zeros([0, 1, 1, 3], np.float32)
    elif isinstance(images, list | tuple):
        if len({np.shape(image) for image in images}) > 1:
            raise ValueError("The images have several sizes; resize them to one.")
        images = np.stack(images) if images else np.zeros([0, 1, 1, 3], np.float32)
    array: np.ndarray = np.asarray(images)
    if array.ndim != 4 or array.dtype.kind != "f":
        hint = " Divide uint8 images by 255." if array.dtype.kind in "iu" else ""
        raise ValueError(
            f"Images are {array.dtype} {array.shape}; expected float [N, H, W, C] in [0, 1].{hint}"
        )
    if len(array) and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"Images range over {array.min()}..{array.max()}; expected [0, 1].")
    return array.astype(np.float32, copy=False)


def _closed_form(
    image_model: ImageEncoder,
    ask: Callable[[np.ndarray, int], Answers],
    pairs: Sequence[NormPair],
    images: np.ndarray,
    targets: Original,
    batch_size: int,
) -> bool:
    """Fits, and takes it back if the representations are no nearer for it."""
    count = len(next(iter(targets.maps.values())))
    few, wanted = images[:count], targets.features[:count]
    unfitted = [pair.image.get_weights() for pair in pairs]
    before = agreement(ask(few, batch_size)[0], wanted)["l1"]
    fit_closed_form(image_model.network, pairs, targets.maps, few)
    after = agreement(ask(few, batch_size)[0], wanted)["l1"]
    if after < before:
        return True
    for pair, weights in zip(pairs, unfitted, strict=True):
        pair.image.set_weights(weights)
    return False


def _agreements(
    answers: Answers, targets: Original
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Agreement of the representations, and of each batch norm's activated output."""
    features, maps = answers
    by_layer = {
        name: _map_agreement(maps[name][: len(target)], target)
        for name, target in targets.maps.items()
    }
    return agreement(features, targets.features), by_layer


def _map_agreement(values: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Of [n, places, C]: all places and channels of an image are one vector."""
    return agreement(values.reshape(len(values), -1), targets.reshape(len(targets), -1))
