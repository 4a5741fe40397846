# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Names that a pickle may use, and their stand-ins for `pickle_machine`.

Every allowed name maps to a function in this file. Each function checks the type of each argument,
and compares an array's declared size with the available bytes before creating the array.
"""

from __future__ import annotations

import codecs
import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import numpy as np

_MAX_RANK = 32
_DTYPE = re.compile(r"[<>=|]?(f[248]|[iu][1248]|b1)")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """Contents that a kind of file may have.

    Attributes:
      names: allowed name -> the function that builds what calling the name would, or None.
      holds: the contents, as worded in errors.
      key_types: types of dict keys.
      largest_character: limit on strings; a character beyond Latin-1 makes Python use 4 bytes each.
      load: returns the value of a persistent id; None rejects such ids.
      ignored: attributes of mappings that have no effect.
    """

    names: Mapping[str, Callable[..., Any] | None]
    holds: str
    key_types: tuple[type, ...] = (str,)
    largest_character: str = "\xff"
    load: Callable[[Any], Any] | None = None
    ignored: frozenset[str] = frozenset()


class Budget(Protocol):
    """The part of the machine that constructors use."""

    text_budget: int

    @property
    def names(self) -> Mapping[str, Callable[..., Any] | None]:
        """Names that the program may use."""


class RefusedError(ValueError):
    """The file is not a plain pickle of arrays; nothing in it was executed."""


class Name:
    """Stand-in for an allowed global. `make` builds what calling it would, or is None."""

    def __init__(self, name: str, make: Callable[..., Any] | None):
        self.name = name
        self.make = make


class Module:
    """Stand-in for a module that dill names; only `dill._get_attr` accepts it."""

    def __init__(self, name: str):
        self.name = name


class Dtype:
    """Stand-in for a numpy dtype; BUILD may set its byte order."""

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype


class Array:
    """Stand-in for an array whose contents follow with BUILD."""

    array: np.ndarray | None = None
    words: list[str] | None = None


class LongText:
    """UTF-8 bytes of a long string, not decoded."""

    def __init__(self, view: memoryview):
        self.view = view


def describe(value: Any) -> str:
    """Return a value's description for errors."""
    if type(value) is Name:
        return value.name
    kinds = {
        Module: "a module",
        Dtype: "a dtype",
        Array: "an array",
        LongText: "a long string",
        memoryview: "bytes",
    }
    noun: str = getattr(value, "noun", f"a {type(value).__name__}")
    return kinds.get(type(value), noun)


def find(budget: Budget, module: str, name: str) -> Name:
    """Return the stand-in for an allowed name; refuse any other."""
    full = f"{module}.{name}"
    if full not in budget.names:
        raise RefusedError(f"the pickle names {short(full)}, which is not allowed")
    return Name(full, budget.names[full])


def call(budget: Budget, function: Name, arguments: Any) -> Any:
    """Return a stand-in, built by `make`, for the object that calling an allowed name creates."""
    make = cast(Callable[..., Any], function.make)
    try:
        return make(budget, *arguments)
    except TypeError as error:
        raise RefusedError(
            f"{function.name} with {len(arguments)} arguments of types that an array does not have "
            "is not allowed"
        ) from error


# Constructors: they build what the allowed names would, and check the types of their arguments.


def _reconstruct(budget: Budget, kind: Any, shape: Any, code: Any) -> Array:
    if type(kind) is not Name or kind.name != "numpy.ndarray":
        raise RefusedError(f"an array of the kind {describe(kind)} is not allowed")
    if type(shape) is not tuple or [type(size) for size in shape] != [int] or shape[0] != 0:
        raise RefusedError(f"an empty array of shape {short(shape)} is not allowed")
    return Array()


def _dtype(budget: Budget, code: Any, *flags: Any) -> Dtype:
    if type(code) is not str or not _DTYPE.fullmatch(code):
        raise RefusedError(f"an array of dtype {short(code)} is not allowed; only numbers are read")
    return Dtype(np.dtype(code))


def _object_dtype(budget: Budget, code: Any, *flags: Any) -> Dtype:
    if type(code) is not str or code not in ("O", "O8", "O4", "|O"):
        raise RefusedError(f"an array of dtype {short(code)} is not allowed; only words are read")
    return Dtype(np.dtype(object))


def _from_buffer(budget: Budget, data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _make_array(data, dtype, shape, type(order) is str and order == "F")


def _scalar(budget: Budget, dtype: Any, data: Any) -> np.ndarray:
    return _make_array(data, dtype, (), False)


def _encode(budget: Budget, text: Any, encoding: Any) -> memoryview:
    if type(encoding) is not str or encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"the encoding {short(encoding)} is not allowed")
    if type(text) is LongText:
        decoder = codecs.getincrementaldecoder("utf-8")()
        pieces = bytearray()
        budget.text_budget -= len(text.view)
        _check_budget(budget)
        for start in range(0, len(text.view), 1 << 20):
            pieces += decoder.decode(bytes(text.view[start : start + (1 << 20)])).encode("latin-1")
        decoder.decode(b"", final=True)
        return memoryview(pieces)
    if type(text) is not str:
        raise RefusedError(f"encoding {describe(text)} is not allowed")
    budget.text_budget -= len(text)
    _check_budget(budget)
    return memoryview(text.encode("latin-1"))


def _check_budget(budget: Budget) -> None:
    if budget.text_budget < 0:
        raise RefusedError("the pickle copies the same bytes again and again")


def _no_bytes(budget: Budget) -> memoryview:
    return memoryview(b"")


def _mapping(budget: Budget, *contents: Any) -> Any:
    if not contents:
        return {}
    # Not a copy: a program could request copies of a large dict again and again.
    if len(contents) == 1 and type(contents[0]) is dict:
        return contents[0]
    raise RefusedError("a mapping made from anything but a dict is not allowed")


def _default_mapping(budget: Budget, factory: Any = None) -> Any:
    if factory is not None and (type(factory) is not Name or factory.make is not _mapping):
        raise RefusedError(f"a defaultdict of {describe(factory)} is not allowed")
    return {}


def _import_module(budget: Budget, name: Any, safe: Any = False) -> Module:
    if type(name) is not str or name not in _MODULES:
        raise RefusedError(f"the pickle imports {short(name)}, which is not allowed")
    return Module(name)


def _get_attribute(budget: Budget, module: Any, name: Any) -> Name:
    if type(module) is not Module or type(name) is not str:
        raise RefusedError(f"taking an attribute of {describe(module)} is not allowed")
    return find(budget, module.name, name)


def _dill_array(budget: Budget, make: Any, arguments: Any, state: Any, extra: Any = None) -> Any:
    if extra is not None and (type(extra) is not dict or extra):
        raise RefusedError("an array with attributes of its own is not allowed")
    array = _rebuild(budget, make, arguments)
    fill(array, state)
    return array


def _jax_array(budget: Budget, make: Any, arguments: Any, state: Any, aval: Any = None) -> Any:
    # `aval` tells jax about weak types; it changes no value.
    array = _rebuild(budget, make, arguments)
    fill(array, state)
    return array


def _rebuild(budget: Budget, make: Any, arguments: Any) -> Array:
    if type(make) is not Name or make.make is not _reconstruct or type(arguments) is not tuple:
        raise RefusedError(f"an array made by {describe(make)} is not allowed")
    return call(budget, make, arguments)


def fill(target: Array, state: Any) -> None:
    """Set an array's contents as numpy's `__setstate__` would."""
    if type(state) is not tuple or len(state) != 5:
        raise RefusedError("an array whose state does not have numpy's form is not allowed")
    _, shape, dtype, fortran, data = state
    if target.array is not None or target.words is not None:
        raise RefusedError("an array receives its contents twice")
    if type(dtype) is Dtype and dtype.dtype == object:
        target.words = _make_words(data, shape)
    else:
        target.array = _make_array(data, dtype, shape, fortran is True)


def set_byte_order(target: Dtype, state: Any) -> None:
    """Set a dtype's byte order from the argument of numpy's `__setstate__`."""
    if (
        type(state) is not tuple
        or len(state) < 5
        or type(state[1]) is not str
        or state[1] not in ("<", ">", "|", "=")
        or any(field is not None for field in state[2:5])
    ):
        raise RefusedError("a dtype with fields or a shape of its own is not allowed")
    order: Any = state[1]
    target.dtype = target.dtype.newbyteorder(order)


def _make_words(data: Any, shape: Any) -> list[str]:
    if type(data) is not list or type(shape) is not tuple or shape != (len(data),):
        raise RefusedError(f"{describe(data)} instead of {short(shape)} words is not allowed")
    for index, word in enumerate(data):
        if type(word) is not str:
            raise RefusedError(f"{describe(word)} instead of word {index} is not allowed")
    return data


def _make_array(data: Any, dtype: Any, shape: Any, fortran: bool) -> np.ndarray:
    if type(dtype) is not Dtype:
        raise RefusedError(f"an array whose dtype is {describe(dtype)} is not allowed")
    if type(data) is not memoryview:
        raise RefusedError(f"an array whose contents are {describe(data)} is not allowed")
    if type(shape) is not tuple or len(shape) > _MAX_RANK:
        raise RefusedError(f"an array of shape {short(shape)} is not allowed")
    count = 1
    for size in shape:
        if type(size) is not int or size < 0:
            raise RefusedError(f"an array of shape {short(shape)} is not allowed")
        count *= size
    declared = count * dtype.dtype.itemsize
    if declared != len(data):
        raise RefusedError(
            f"an array of shape {short(shape)} and dtype {dtype.dtype} needs {declared} bytes, but "
            f"there are {len(data)}"
        )
    if count == 0:
        raise RefusedError(f"an array of shape {short(shape)} holds nothing")
    array = np.ndarray(shape, dtype.dtype, data, order="F" if fortran else "C")
    array.flags.writeable = False
    return array


def short(value: Any) -> str:
    """Return a value from a file as text for an error, at most 80 characters long."""
    # A tuple could hold deeply nested values, whose repr would fail.
    plain = isinstance(value, str | int | float | bool | None) or (
        type(value) is tuple and all(type(item) is int for item in value)
    )
    text = repr(value) if plain else describe(value)
    return text if len(text) <= 80 else text[:77] + "..."


_ARRAY_MODULES = (
    "numpy.core.multiarray",
    "numpy.core._multiarray_umath",
    "numpy._core.multiarray",
    "numpy._core._multiarray_umath",
)
_DILL_MODULES = ("dill._dill", "dill.dill")
_HAIKU_MODULES = ("haiku._src.data_structures", "haiku.data_structures")

# Modules that dill's `_import_module` may name, for `_get_attr` on a name in this table.
_MODULES = frozenset({"numpy", *_ARRAY_MODULES})

# NumPy arrays and Python mappings, common to all kinds of files.
ARRAYS: dict[str, Callable[..., Any] | None] = {
    "numpy.ndarray": None,
    "numpy.dtype": _dtype,
    **{f"{module}._reconstruct": _reconstruct for module in _ARRAY_MODULES},
    **{f"{module}.scalar": _scalar for module in _ARRAY_MODULES},
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy._core.numeric._frombuffer": _from_buffer,
    "_codecs.encode": _encode,
    "builtins.bytes": _no_bytes,
    "__builtin__.bytes": _no_bytes,
    "builtins.dict": _mapping,
    "__builtin__.dict": _mapping,
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _default_mapping,
}

# A NumPy array of Python strings, and nothing else.
WORDS: dict[str, Callable[..., Any] | None] = {
    "numpy.ndarray": None,
    "numpy.dtype": _object_dtype,
    "_codecs.encode": _encode,
    **{f"{module}._reconstruct": _reconstruct for module in _ARRAY_MODULES},
}

# Names of dill, Haiku and jax.
FLAVOURS: dict[str, Callable[..., Any] | None] = {
    **{
        f"{module}.{name}": _mapping
        for module in _HAIKU_MODULES
        for name in ("FlatMapping", "FlatMap", "frozendict", "FrozenDict")
    },
    **{f"{module}._import_module": _import_module for module in _DILL_MODULES},
    **{f"{module}._get_attr": _get_attribute for module in _DILL_MODULES},
    **{f"{module}._create_array": _dill_array for module in _DILL_MODULES},
    "jax._src.array._reconstruct_array": _jax_array,
    "jax._src.device_array.reconstruct_device_array": _jax_array,
}
