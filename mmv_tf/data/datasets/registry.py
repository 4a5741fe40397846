# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The data sets that can be prepared by name. To add one, write a module and name it here."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable

from mmv_tf.data.datasets import (
    audioset,
    esc50,
    hmdb51,
    howto100m,
    kinetics,
    msrvtt,
    tfds_images,
    ucf101,
    youcook2,
)
from mmv_tf.data.preparation.sources import Collection, check_unique

DATA_SETS: dict[str, Callable[[pathlib.Path], Collection]] = {
    "audioset": audioset.read,
    **{name: functools.partial(esc50.read, name=name) for name in ("esc10", "esc50")},
    "hmdb51": hmdb51.read,
    "howto100m": howto100m.read,
    **{name: functools.partial(kinetics.read, name=name) for name in kinetics.CLASSES},
    "msrvtt": msrvtt.read,
    **{name: functools.partial(tfds_images.read, name=name) for name in tfds_images.NAMES},
    "ucf101": ucf101.read,
    "youcook2": youcook2.read,
}


# Data sets that were published without held-out parts; their readers take `validation_one_in`.
WITHOUT_HELD_OUT = ("howto100m",)


def read_data_set(
    name: str, directory: str | pathlib.Path, validation_one_in: int | None = None
) -> Collection:
    """Reads a data set's own lists.

    Args:
      name: a key of `DATA_SETS`.
      directory: the folder that holds it, laid out as it was published.
      validation_one_in: of a data set in `WITHOUT_HELD_OUT`: about one video in so many is the
        split "validation" (0: none); None is that data set's default.

    Raises:
      ValueError: the name or the folder is wrong, a list can't be read, or the data set has splits
        of its own and `validation_one_in` was given.
    """
    if name not in DATA_SETS:
        raise ValueError(f"There is no data set {name!r}; use one of {', '.join(DATA_SETS)}.")
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such folder; give the one that holds the data set.")
    read: Callable[..., Collection] = DATA_SETS[name]
    if validation_one_in is not None:
        if name not in WITHOUT_HELD_OUT:
            raise ValueError(
                f"{name} has published splits, so validation_one_in={validation_one_in} can't "
                f"apply; it is for {', '.join(WITHOUT_HELD_OUT)}: leave it out."
            )
        read = functools.partial(read, validation_one_in=validation_one_in)
    collection = read(directory)
    check_unique(collection.sources, directory)
    return collection
