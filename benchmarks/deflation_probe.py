# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares linear probes on an image encoder and on the video model with static clips.

  python -m benchmarks.deflation_probe --model=runs/quickstart/run \
    --image_model=runs/quickstart/image_encoder.keras --image_set=clothes.npz --image_set=digits.npz

The paper's claim for deflation (MMV, Alayrac et al., 2020, Table 3) is that a probe performs as
well on the fitted encoder as on clips of one repeated image. Each image is tested in several
two-fold cross-validations, and models are compared image by image. `benchmarks.picture_sets`
prepares the files.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags

from mmv_tf.deflation import deflate_naively, load_image_model
from mmv_tf.deflation.measures import static_features
from mmv_tf.evaluation.linear_probe import factor_predictions
from mmv_tf.training import load_model
from mmv_tf.util import command_line

_MODEL = flags.DEFINE_string(
    "model", None, "The video model: a .keras file or a run's folder.", required=True
)
_ENCODERS = flags.DEFINE_multi_string(
    "image_model", [], "Image encoder made from it; may be repeated."
)
_PICTURES = flags.DEFINE_multi_string(
    "image_set",
    None,
    "An image set: .npz with uint8 images [N, H, W, 3] and labels [N].",
    required=True,
)
_REPEATS = flags.DEFINE_integer(
    "repeats", 5, "Cross-validations with different halves.", lower_bound=1
)

_BATCH = 128
_NORMAL = 1.96  # of a 95 % interval

Features = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Labeled images of the same size.

    Attributes:
      name: name of the image set.
      images: uint8 [N, H, W, 3].
      labels: int [N].
    """

    name: str
    images: np.ndarray
    labels: np.ndarray


def read_pictures(path: str) -> Pictures:
    """Read an image set from an .npz file.

    Raises:
      ValueError: arrays are missing or have other shapes or dtypes.
    """
    with np.load(path, allow_pickle=False) as file:
        if not {"images", "labels"} <= set(file.files):
            raise ValueError(f"{path} holds {file.files}; expected 'images' and 'labels'.")
        images, labels = file["images"], file["labels"]
    if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{path} holds {images.dtype} images {images.shape} with labels {labels.shape}; "
            "expected uint8 [N, H, W, 3] and [N]."
        )
    return Pictures(pathlib.Path(path).stem, images, labels)


def extract(features: Features, images: np.ndarray) -> np.ndarray:
    """Return the features of images, float32 [N, D]."""
    parts = [
        features(tf.constant(images[start : start + _BATCH].astype(np.float32) / 255)).numpy()
        for start in range(0, len(images), _BATCH)
    ]
    return np.concatenate(parts)


def share_right(features: np.ndarray, labels: np.ndarray, repeats: int) -> np.ndarray:
    """Return how often probes not trained on an image predict its class correctly, [N]."""
    right = np.zeros(len(labels))
    for repeat in range(repeats):
        half = np.random.default_rng(repeat).permutation(len(labels)) % 2 == 0
        for learnt in (half, ~half):
            known = {"class": labels[learnt]}
            found = factor_predictions(features[learnt], known, features[~learnt])["class"]
            right[~learnt] += found == labels[~learnt]
    return right / repeats


def difference(share: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return the mean difference and half of its 95 % interval over images, in points."""
    values = 100 * (share - reference)
    return float(values.mean()), float(_NORMAL * values.std(ddof=1) / np.sqrt(len(values)))


def compare(
    pictures: Pictures, reference: Features, others: dict[str, Features], repeats: int
) -> list[str]:
    """Return a line of the table for each model.

    Args:
      pictures: images for training and testing the probes.
      reference: features of the video model on static clips.
      others: name -> image features, compared with the reference image by image.
      repeats: number of random splits into halves.
    """
    targets = extract(reference, pictures.images)
    right = share_right(targets, pictures.labels, repeats)
    majority = np.unique(pictures.labels, return_counts=True)[1].max() / len(pictures.labels)
    whole = f"{pictures.name} ({len(right):,}, {100 * majority:.0f})"
    lines = [f"| {whole} | static clip | {100 * right.mean():.1f} | - | - |"]
    for name, features in others.items():
        found = extract(features, pictures.images)
        share = share_right(found, pictures.labels, repeats)
        mean, half = difference(share, right)
        l1 = np.abs(found - targets).mean() / np.abs(targets).mean()
        lines.append(
            f"| {whole} | {name} | {100 * share.mean():.1f} | {mean:+.1f} ± {half:.1f} "
            f"| {100 * l1:.0f} |"
        )
    return lines


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    model = load_model(_MODEL.value)
    num_frames = model.metadata["num_frames"]
    others = {"naive deflation": _compiled(deflate_naively(model).features)}
    for path in _ENCODERS.value:
        others[path] = _compiled(load_image_model(path).features)

    def clip(images: tf.Tensor) -> tf.Tensor:
        return static_features(model, images, num_frames)

    print("| images (number, largest class %) | features | correct % | points | L1 % |")
    print("|---|---|---|---|---|")
    for path in _PICTURES.value:
        for line in compare(read_pictures(path), _compiled(clip), others, _REPEATS.value):
            print(line, flush=True)


def _compiled(features: Features) -> Features:
    spec = tf.TensorSpec([None, None, None, 3], tf.float32)
    return tf.function(features, input_signature=[spec], autograph=False)


if __name__ == "__main__":
    command_line.run(main)
