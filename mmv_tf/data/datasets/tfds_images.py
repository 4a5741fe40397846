# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""VOC2007 and ImageNet through TensorFlow Datasets, one image per example.

TensorFlow Datasets is an extra. It downloads VOC2007 itself; put ImageNet's archives in its folder
`downloads/manual`, as its documentation describes. Images are read in their stored form and decoded
later, so nothing is decoded twice.
"""

from __future__ import annotations

import itertools
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from mmv_tf.data.datasets.published import Folder
from mmv_tf.data.datasets.registry import DATA_SETS
from mmv_tf.data.preparation.sources import TFDS, Collection, ListedClip, Source
from mmv_tf.util.storage.urls import url_of

# Their names in TensorFlow Datasets.
NAMES = {"voc2007": "voc/2007", "imagenet2012": "imagenet2012"}
_IMAGES_A_SOURCE = 500  # Ours: images that one task decodes.


@DATA_SETS.register("imagenet2012")
def read_imagenet(folder: Folder) -> Collection:
    """List ImageNet's images."""
    return read(folder.directory, folder.name)


def read(directory: pathlib.Path, name: str) -> Collection:
    """List a data set's images in a `data_dir` folder, with their classes.

    Args:
      directory: TensorFlow Datasets' `data_dir`.
      name: a key of `NAMES`.

    Raises:
      ValueError: TensorFlow Datasets is not installed, or can't provide the data set.
    """
    if url_of(directory) is not None:
        raise ValueError(
            f"{directory}: TensorFlow Datasets reads only local folders; copy this one to this "
            "machine."
        )
    builder = _builder(NAMES[name], directory)
    try:
        builder.download_and_prepare()
    except (AssertionError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{directory}: TensorFlow Datasets can't prepare {NAMES[name]} ({reason}); see its "
            "documentation for the data set."
        ) from error
    feature = "labels" if "labels" in builder.info.features else "label"
    classes = list(builder.info.features[feature].names)
    sources = []
    for split in sorted(builder.info.splits):
        listed = enumerate(_facts(builder, split, feature))
        for first in itertools.count(0, _IMAGES_A_SOURCE):
            group = list(itertools.islice(listed, _IMAGES_A_SOURCE))
            if not group:
                break
            selection = f"{NAMES[name]}:{split}[{first}:{first + len(group)}]"
            clips = tuple(
                ListedClip(
                    labels=tuple(classes[index] for index in indices),
                    example_id=f"{split}/{number:08d}_{file}",
                )
                for number, (file, indices) in group
            )
            sources.append(
                Source(
                    selection, directory, kind=TFDS, split=split, clips=clips, selection=selection
                )
            )
    return Collection(name, tuple(sources), labels=tuple(classes))


def read_images(data_dir: str, selection: str) -> Iterator[bytes]:
    """Yield the stored images of "name:split[from:to]", in order."""
    match = re.fullmatch(r"(.+):([^:\[]+\[\d+:\d+\])", selection)
    if match is None:
        raise ValueError(f"{selection!r} is not of the form name:split[from:to].")
    name, split = match.groups()
    tfds = _tfds()
    builder = _builder(name, pathlib.Path(data_dir))
    dataset = builder.as_dataset(
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
        shuffle_files=False,
    )
    for example in dataset.as_numpy_iterator():
        yield example["image"]


def _facts(builder: Any, split: str, feature: str) -> Iterator[tuple[str, list[int]]]:
    """Yield (file name, class indices) for each image, in order, without decoding."""
    tfds = _tfds()
    dataset = builder.as_dataset(
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
        shuffle_files=False,
    )
    file_key = next(k for k in ("image/filename", "file_name") if k in builder.info.features)
    for example in dataset.as_numpy_iterator():
        indices = example[feature]
        listed = [int(index) for index in indices] if indices.ndim else [int(indices)]
        # -1 marks an unpublished class (ImageNet's test images).
        yield (
            pathlib.PurePosixPath(example[file_key].decode()).stem,
            [index for index in dict.fromkeys(listed) if index >= 0],
        )


def _builder(name: str, data_dir: pathlib.Path) -> Any:
    try:
        return _tfds().builder(name, data_dir=str(data_dir))
    except OSError as error:
        raise ValueError(f"{data_dir}: can't be read ({error}); check the path.") from error


def _tfds() -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ValueError(
            "This data set needs TensorFlow Datasets, which is an extra: "
            "pip install 'mmv_tf[tfds]'."
        ) from error
    return tfds
