# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads `.keras` files that may be damaged or untrusted.

Keras executes nothing in such a file (its safe mode). In addition, the file is compared with its
own checksums before Keras reads it, its settings are read within limits, and it can't declare a
model that is larger than the file itself.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import math
import os
import pathlib
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import keras
import tensorflow as tf

from mmv_tf.util.files import check_regular
from mmv_tf.util.safe_files import parse_json

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_ASSETS = "assets"
# Ours: the settings of a deflated ResNet are 1 MB.
_MAX_CONFIG_BYTES = 64 << 20
# Ours. A file holds all its model's weights, float16 weights at half their size in memory, and a
# repacked zip is about 10 % smaller. The constant part is for untrained heads.
_ROOM_FACTOR, _ROOM_BYTES = 4, 64 << 20
# Additional MB, for a model that its file does not hold.
ROOM_VARIABLE = "MMV_TF_EXTRA_NETWORK_MB"
# Ours: the largest of MMV's models has 1,200.
_MAX_VARIABLES = 20_000
# Ours: an array has a few groups above it.
_MAX_ENTRIES = 5 * _MAX_VARIABLES
_MEGABYTE = 1e6


def load_keras_file(path: str | os.PathLike[str]) -> keras.Model:
    """Read a model.

    Raises:
      ValueError: the file is damaged, not an mmv_tf model, or declares a model that is larger than
        the file.
      OSError: it does not exist or can't be read.
    """
    check_regular(path)
    with open(path, "rb"):
        pass  # raises the system's errors, which are not damage
    try:
        _check_archive(path)
        # All values come from the file: a file that lacks some is rejected.
        with bounded_by(path, blank=True), warnings.catch_warnings():
            # Keras only warns if a file lacks a list of layers, and leaves them uninitialized.
            warnings.filterwarnings("error", category=UserWarning, module=r"keras\.")
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Damage shows up as nearly any error of zipfile, h5py, Keras and the layers' constructors.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{os.fspath(path)} is not a network saved by mmv_tf, or is damaged: {lines[0][:300]}"
        ) from error


@contextlib.contextmanager
def bounded_by(path: str | os.PathLike[str], *, blank: bool = False) -> Iterator[None]:
    """Allow no more variables in the block than the file can hold.

    Args:
      path: the file.
      blank: initialize variables with zeros, which saves a third of the time to read a model.


    Raises:
      ValueError: the model needs more than 4 times the file's size, plus 64 MiB and the megabytes
        in the environment variable `ROOM_VARIABLE`, or has more than 20,000 variables; none of it
        was allocated.
    """
    room = _room(path)
    total = count = 0
    scratch = tf.Graph()

    def create(next_creator: Any, **kwargs: Any) -> tf.Variable:
        nonlocal total, count
        count += 1
        value = kwargs["initial_value"]
        shape, dtype = _form_of(value, kwargs.get("dtype"), scratch)
        total += math.prod(shape) * dtype.size
        if total > room or count > _MAX_VARIABLES:
            raise ValueError(
                f"the file declares a network of more than {total / _MEGABYTE:,.0f} MB in {count} "
                f"variables, but has only {os.path.getsize(path) / _MEGABYTE:,.0f} MB; get a "
                f"complete copy, or set {ROOM_VARIABLE} if you trust it."
            )
        if blank and callable(value):
            kwargs["initial_value"] = lambda: tf.zeros(shape, dtype)
        return next_creator(**kwargs)

    with tf.variable_creator_scope(create):
        yield


def _form_of(value: Any, dtype: Any, scratch: tf.Graph) -> tuple[tuple[int, ...], tf.DType]:
    """Return the shape and dtype of a variable with this initial value, without computing it."""
    if inspect.isfunction(value):
        # Keras' own variable states its shape at once; without it, a graph does.
        declared = inspect.getclosurevars(value).nonlocals.get("self")
        if isinstance(declared, keras.Variable):
            return tuple(declared.shape), tf.as_dtype(dtype or declared.dtype)
    with scratch.as_default():
        value = value() if callable(value) else value
        value = value if hasattr(value, "shape") else tf.convert_to_tensor(value)
    return tuple(value.shape), tf.as_dtype(dtype or value.dtype)


def _room(path: str | os.PathLike[str]) -> float:
    """Return the size in bytes of the largest model that a file may declare."""
    given = os.environ.get(ROOM_VARIABLE, "0")
    if not given.isdecimal():
        raise ValueError(f"{ROOM_VARIABLE} is {given!r}; expected a whole number of megabytes")
    return _ROOM_FACTOR * os.path.getsize(path) + _ROOM_BYTES + int(given) * _MEGABYTE


def _check_archive(path: str | os.PathLike[str]) -> None:
    """Check the file's checksums, and its parts.

    Raises:
      ValueError: one does not match.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > _room(path):
            raise ValueError(f"it unpacks to over {_ROOM_FACTOR} times its size")
        _check_names(archive.namelist())
        if archive.getinfo(_CONFIG).file_size > _MAX_CONFIG_BYTES:
            raise ValueError(f"its {_CONFIG} has over {_MAX_CONFIG_BYTES} bytes")
        parse_json(archive.read(_CONFIG))
        for name in archive.namelist():
            if name.startswith(_ASSETS):
                archive.read(name)  # zipfile compares checksums
        member = archive.getinfo(_WEIGHTS)
        # From memory, as Keras does: h5py seeks often, and zipfile reads again at each seek.
        with h5py.File(io.BytesIO(archive.read(member)), "r") as file:
            _check_weights(file, member.file_size)


def _check_names(names: list[str]) -> None:
    """Reject names that Keras does not write: unpacking them fails and leaves a folder behind."""
    there = set(names)
    if len(there) < len(names):
        raise ValueError("it holds two files with the same name")
    for name in names:
        path = pathlib.PurePosixPath(name)
        known = name in (_CONFIG, _METADATA, _WEIGHTS) or path.parts[:1] == (_ASSETS,)
        inside_a_file = any(str(parent) in there for parent in path.parents)
        if not known or ".." in path.parts or inside_a_file:
            raise ValueError(f"{name[:80]!r} does not belong in such a file")


def _check_weights(file: h5py.File, size: int) -> None:
    """Reject arrays that are not in the file: stored in other files, or only declared."""
    total = entries = 0
    groups, seen = [file], {file}
    while groups:
        group = groups.pop()
        for name in group:
            entries += 1
            if entries > _MAX_ENTRIES:
                raise ValueError(f"its weights are in more than {_MAX_ENTRIES} groups and arrays")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"its weights {name} are a link to elsewhere")
            item = group[name]
            if isinstance(item, h5py.Group):
                if item in seen:
                    raise ValueError(f"its weights {name} contain themselves")
                seen.add(item)
                groups.append(item)
                continue
            if item.external or item.is_virtual:
                raise ValueError(f"its weights {name} are in another file")
            total += item.nbytes
    if total > _ROOM_FACTOR * size:
        raise ValueError(f"its weights declare {total} bytes, but there are {size}")
