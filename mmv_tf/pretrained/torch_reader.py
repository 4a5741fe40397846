# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads the state dict in a file written by `torch.save`, without torch and without unpickling.

Such a file is a pickle of tensors, with the bytes of their storages outside it, in two formats:
- Up to torch 1.5: a stream of pickles (a magic number, a version, the machine's properties, the
  object, the keys of its storages), then the length and bytes of each storage.
- From torch 1.6: a zip archive of uncompressed files, `NAME/data.pkl` and `NAME/data/KEY`.

The pickles are run by `pickle_machine`, which has no import and no call. Arrays are views of the
mapped file: nothing is unpacked, and declared sizes are compared with the available bytes.

Source: https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
"""

from __future__ import annotations

import io
import math
import mmap
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mmv_tf.pretrained import pickle_names
from mmv_tf.pretrained.pickle_machine import Machine
from mmv_tf.pretrained.pickle_names import Budget, Dialect, RefusedError, describe, short
from mmv_tf.pretrained.pickle_reader import explained, map_file
from mmv_tf.util.files import check_regular

_HOLDS = "state dicts of torch"
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_ZIP = b"PK\x03\x04"
# A zip's local header: size of its fixed part, and offset of the lengths of name and extra field.
_LOCAL_SIZE, _LOCAL_LENGTHS = 30, 26
# Ours: a table of contents of about 15,000 files; a training checkpoint's is 0.2 MB.
_MAX_CONTENTS = 1 << 20
_CODES = {"Double": "<f8", "Float": "<f4", "Half": "<f2", "Long": "<i8", "Int": "<i4"}
_CODES.update({"Short": "<i2", "Char": "|i1", "Byte": "|u1", "Bool": "|b1"})
_STORAGES = {f"torch.{name}Storage": np.dtype(code) for name, code in _CODES.items()}


def is_torch_file(path: str | os.PathLike[str]) -> bool:
    """Return whether `torch.save` wrote a file, judging by its first bytes (any zip counts).

    Raises:
      OSError: the file can't be read.
    """
    check_regular(path)
    with open(path, "rb") as file:
        start = file.read(64)
    magic = _MAGIC.to_bytes(10, "little")
    return start.startswith(_ZIP) or (start.startswith(b"\x80") and magic in start)


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a torch state dict, safely.

    The file holds the state dict itself, or a dict with a key "state_dict" (its other keys are
    ignored). If all names begin with "module.", as after training on several devices, that
    prefix is removed.

    Args:
      path: the file.

    Returns:
      Name -> a read-only array over the mapped file, in the file's order.

    Raises:
      RefusedError: a ValueError that names what was found, and where.
      OSError: the file can't be read.
    """
    data = map_file(path, "a checkpoint that torch.save wrote")
    reader = _Zip(path, data) if data[:4] == _ZIP else _Stream(path, data)
    state = reader.root
    if isinstance(state, dict) and "state_dict" in state:
        state = state["state_dict"]
    name = os.fspath(path)
    if not isinstance(state, dict) or not state:
        raise RefusedError(
            f"{name} holds {describe(state)}; expected a state dict, or a dict that has one under "
            "'state_dict': save `model.state_dict()`."
        )
    for key, value in state.items():
        if type(key) is not str or type(value) is not _Tensor or not value.count:
            raise RefusedError(
                f"{name} holds {describe(value)} under {short(key)}; expected a state dict of "
                "tensors, each with at least one value: save `model.state_dict()`."
            )
    declared = sum(tensor.count * tensor.storage.dtype.itemsize for tensor in state.values())
    if declared > len(data):
        raise RefusedError(
            f"{name}: its tensors need {declared} bytes, but the file has {len(data)}, so some "
            "share their values; save a copy of each."
        )
    arrays = {key: reader.array(key, tensor) for key, tensor in state.items()}
    if all(key.startswith("module.") for key in arrays):
        return {key.removeprefix("module."): array for key, array in arrays.items()}
    return arrays


# Stand-ins for torch's objects.


class _Storage:
    """Values elsewhere in the file."""

    noun = "a storage"

    def __init__(self, key: str, dtype: np.dtype, count: int):
        self.key, self.dtype, self.count = key, dtype, count


class _Tensor:
    """A view of a storage."""

    noun = "a tensor"

    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides
        self.count = math.prod(shape)


def _rebuild_tensor(
    budget: Budget,
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> _Tensor:
    if type(storage) is not _Storage:
        raise RefusedError(f"a tensor over {describe(storage)} is not allowed")
    for numbers in ((offset,), shape, strides):
        if type(numbers) is not tuple or not all(type(n) is int and n >= 0 for n in numbers):
            raise RefusedError(f"a tensor with {short(numbers)} as its position is not allowed")
    if len(shape) != len(strides) or len(shape) > 32:
        raise RefusedError(f"shape {short(shape)} with strides {short(strides)} is not allowed")
    # An axis of size 1 takes no step.
    strides = tuple(stride if n > 1 else 1 for n, stride in zip(shape, strides, strict=True))
    tensor = _Tensor(storage, offset, shape, strides)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if tensor.count and (last >= storage.count or tensor.count > storage.count):
        raise RefusedError(
            f"a tensor of shape {short(shape)} at {offset} is not inside its storage of "
            f"{storage.count} values"
        )
    return tensor


def _rebuild_parameter(budget: Budget, tensor: Any, *rest: Any) -> Any:
    if type(tensor) is not _Tensor:
        raise RefusedError(f"a parameter of {describe(tensor)} is not allowed")
    return tensor


_NAMES: dict[str, Callable[..., Any] | None] = {
    **pickle_names.ARRAYS,
    **dict.fromkeys(_STORAGES, None),
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
}


# The two formats.


class _Reader:
    """The common part of both formats: the object in `root`, and its tensors' arrays."""

    root: Any

    def __init__(self, path: str | os.PathLike[str], data: mmap.mmap):
        self.path, self.data = os.fspath(path), data
        self.storages: dict[str, _Storage] = {}
        self.dialect = Dialect(
            _NAMES,
            _HOLDS,
            # Optimizers number their parameters.
            key_types=(str, int),
            load=self.load,
            # Versions of modules, stored on the mapping.
            ignored=frozenset({"_metadata"}),
        )

    def load(self, identity: Any) -> _Storage:
        """Return the storage of a persistent id ("storage", type, key, device, count[, view])."""
        if (
            type(identity) is not tuple
            or len(identity) not in (5, 6)
            or identity[0] != "storage"
            or type(identity[1]) is not pickle_names.Name
            or identity[1].name not in _STORAGES
            or type(identity[2]) is not str
            or type(identity[4]) is not int
            or any(view is not None for view in identity[5:])
        ):
            raise RefusedError(f"{short(identity)} instead of a storage of numbers is not allowed")
        dtype, key, count = _STORAGES[identity[1].name], identity[2], identity[4]
        declared = count * dtype.itemsize
        if not 0 <= declared <= len(self.data):
            raise RefusedError(
                f"a storage of {declared} bytes is declared, but the file has {len(self.data)}: "
                "it is cut short"
            )
        storage = self.storages.setdefault(key, _Storage(key, dtype, count))
        if (storage.dtype, storage.count) != (dtype, count):
            raise RefusedError(f"storage {short(key)} is declared twice, differently")
        return storage

    def place(self, storage: _Storage) -> int:
        """Return a storage's offset in the file, after checking its length."""
        raise NotImplementedError

    def array(self, name: str, tensor: _Tensor) -> np.ndarray:
        """Return a read-only view of the file."""
        dtype = tensor.storage.dtype
        try:
            array: np.ndarray = np.ndarray(
                tensor.shape,
                dtype,
                self.data,
                self.place(tensor.storage) + tensor.offset * dtype.itemsize,
                tuple(stride * dtype.itemsize for stride in tensor.strides),
            )
        except RefusedError as error:
            raise RefusedError(f"{self.path}: {error} (tensor {short(name)}).") from error
        array.flags.writeable = False
        return array


class _Stream(_Reader):
    """The format up to torch 1.5."""

    def __init__(self, path: str | os.PathLike[str], data: mmap.mmap):
        super().__init__(path, data)
        machine = Machine(data, self.dialect)
        with explained(path, machine):
            magic, version, system = (machine.run() for _ in range(3))
            if magic != _MAGIC or version != _VERSION or type(system) is not dict:
                raise RefusedError("it does not begin like a file written by torch.save")
            if system.get("little_endian") is not True:
                raise RefusedError("its numbers are big-endian; save it on a little-endian machine")
            self.root = machine.run()
            keys = machine.run()
            if type(keys) is not list or not all(type(key) is str for key in keys):
                raise RefusedError("the list of its storages is missing")
            self.places = self._places(machine, keys)

    def _places(self, machine: Machine, keys: list[str]) -> dict[str, int]:
        places = {}
        for key in keys:
            machine.start = machine.position
            if key not in self.storages or key in places:
                raise RefusedError(f"storage {short(key)} is in the file but not in its pickle")
            storage = self.storages[key]
            count = machine.number("<q")
            if count != storage.count:
                raise RefusedError(
                    f"storage {short(key)} has {count} values; its pickle declares {storage.count}"
                )
            places[key] = machine.position
            machine.take(count * storage.dtype.itemsize)
        if machine.position != len(self.data):
            left = len(self.data) - machine.position
            raise RefusedError(f"{left} bytes follow the last storage")
        return places

    def place(self, storage: _Storage) -> int:
        """Return a storage's offset in the file, after checking its length."""
        if storage.key not in self.places:
            raise RefusedError(f"storage {short(storage.key)} is not in the file; it is cut short")
        return self.places[storage.key]


class _Zip(_Reader):
    """The format since torch 1.6."""

    def __init__(self, path: str | os.PathLike[str], data: mmap.mmap):
        super().__init__(path, data)
        self.files = self._contents()
        pickles = [name for name in self.files if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise RefusedError(
                f"{self.path} is a zip archive with {len(pickles)} files NAME/data.pkl; expected "
                "one, as torch.save writes it (a .keras file is read with `mmv_tf.load_model`)."
            )
        self.folder = pickles[0].removesuffix("data.pkl")
        if f"{self.folder}byteorder" in self.files:  # only later versions of torch write it
            start, end = self._entry("byteorder")
            if data[start : min(end, start + 16)] != b"little":
                raise RefusedError(
                    f"{self.path}: its numbers are big-endian; save it on a little-endian machine."
                )
        machine = Machine(data, self.dialect, *self._entry("data.pkl"))
        with explained(path, machine, f"{pickles[0]}, "):
            self.root = machine.run()

    def _contents(self) -> Mapping[str, zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(_Bounded(self.data)) as archive:
                return {info.filename: info for info in archive.infolist()}
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            OSError,
            ValueError,
            struct.error,
        ) as error:
            raise RefusedError(
                f"{self.path} is not a complete zip archive ({error}): it is cut short or damaged; "
                "get it again."
            ) from error

    def _entry(self, name: str) -> tuple[int, int]:
        """Return the beginning and end of a file other than the storages."""
        try:
            start, size = self._find(f"{self.folder}{name}")
        except RefusedError as error:
            raise RefusedError(f"{self.path}: {error}.") from error
        return start, start + size

    def _find(self, name: str) -> tuple[int, int]:
        """Return the offset and number of bytes of an archived file."""
        info = self.files[name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise RefusedError(
                f"{short(name)} is compressed ({info.compress_size} bytes for {info.file_size}) or "
                "encrypted, which torch.save does not do; load it with torch and save it again"
            )
        header = self.data[info.header_offset : info.header_offset + _LOCAL_SIZE]
        if len(header) < _LOCAL_SIZE or not header.startswith(_ZIP):
            raise RefusedError(f"{short(name)} is not where the archive's table places it")
        lengths = struct.unpack_from("<HH", header, _LOCAL_LENGTHS)
        start = info.header_offset + _LOCAL_SIZE + sum(lengths)
        if start + info.file_size > len(self.data):
            raise RefusedError(
                f"{short(name)} has {info.file_size} bytes according to the archive's table, but "
                f"{max(len(self.data) - start, 0)} are left: it is cut short"
            )
        return start, info.file_size

    def place(self, storage: _Storage) -> int:
        """Return a storage's offset in the file, after checking its length."""
        name = f"{self.folder}data/{storage.key}"
        if name not in self.files:
            raise RefusedError(f"storage {short(storage.key)} is not in the archive")
        start, size = self._find(name)
        declared = storage.count * storage.dtype.itemsize
        if size < declared:
            raise RefusedError(
                f"storage {short(storage.key)} has {size} bytes; its pickle declares {declared}"
            )
        return start


class _Bounded(io.RawIOBase):
    """Mapped file for `zipfile`, which would read a table of contents of any size at once."""

    def __init__(self, data: mmap.mmap):
        super().__init__()
        self.data, self.position = data, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: len(self.data)}[whence]
        if start + offset < 0:
            raise OSError("a position before the file's beginning")
        self.position = start + offset
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        left = max(len(self.data) - self.position, 0)
        size = left if size is None or size < 0 else size
        if size > _MAX_CONTENTS:
            raise ValueError(f"its table of contents has {size} bytes, more than {_MAX_CONTENTS}")
        found = self.data[self.position : self.position + size]
        self.position += len(found)
        return found
