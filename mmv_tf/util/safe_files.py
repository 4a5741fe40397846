# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads untrusted JSON, npy and npz files within limits."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.util.files import check_regular, read_regular

# Ours. Models nest deepest, about 30 levels; 200 stay far below Python's 1000.
MAX_DEPTH = 200

# Ours. A 64-bit integer has at most 20 digits; floats hold numbers of up to 308.
MAX_DIGITS = 300

# Ours. Manifests of a million clips are about 200 MB.
MAX_BYTES = 1 << 30


# Allowed values for `check_form`: a type, a tuple of alternative forms, a list with the form of its
# items, a dict with the forms of its values ("name?" may be missing), or a dict with the single key
# `str` and the form of all its values.
Form = Any

NUMBER = (int, float)


class Count:
    """The form of whole numbers from 0 to 2^63 - 1."""


class Positive:
    """The form of finite numbers above 0."""


class Name:
    """The form of file names without a folder."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Args:
      text: text, or bytes in UTF-8.

    Raises:
      ValueError: it is not JSON, is nested more than `MAX_DEPTH` deep, or holds an integer of more
        than `MAX_DIGITS` digits. The message does not name the file.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        value = json.loads(text, parse_int=_integer)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}: " if "\n" in error.doc else ""
        raise ValueError(f"{where}not JSON ({error.msg})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not JSON (byte {error.start} is not UTF-8)") from None
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check_depth(value)
    return value


def read_json(path: str | os.PathLike[str], form: Form = object, max_bytes: int = MAX_BYTES) -> Any:
    """Read a JSON file and check its form.

    Args:
      path: the file.
      form: see `check_form`.
      max_bytes: largest size to read.

    Raises:
      ValueError: it is not JSON, too large, or of another form; the message names the file.
      OSError: it does not exist or can't be read.
    """
    data = read_regular(path, max_bytes)
    try:
        value = parse_json(data)
        check_form(value, form)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return value


def check_form(value: Any, form: Form, where: str = "") -> None:
    """Compare a value read from JSON with its expected form.

    Keys that the form does not name may have any value.

    Raises:
      ValueError: it differs; the message gives the place, the value and the expected form.
    """
    if isinstance(form, list):
        _expect(value, list, where)
        for index, item in enumerate(value):
            check_form(item, form[0], f"{where}[{index}]")
    elif isinstance(form, dict):
        _expect(value, dict, where)
        if list(form) == [str]:
            form = dict.fromkeys(value, form[str])
        for key, inner in form.items():
            name = key.removesuffix("?")
            if name in value:
                check_form(value[name], inner, f"{where}.{name}" if where else name)
            elif name == key:
                raise ValueError(f"lacks {f'{where}.{name}' if where else name}")
    elif isinstance(form, tuple) and any(isinstance(one, dict | list) for one in form):
        simple = tuple(one for one in form if not isinstance(one, dict | list))
        if not _fits(value, simple):
            nested = next(one for one in form if isinstance(one, dict | list))
            check_form(value, nested, where)
    else:
        _expect(value, form, where)


def _expect(value: Any, form: Any, where: str) -> None:
    forms = form if isinstance(form, tuple) else (form,)
    if not _fits(value, forms):
        expected = " or ".join(_TITLES.get(one, str(one)) for one in forms)
        raise ValueError(f"{where or 'it'} is {_shown(value)}; expected {expected}")


def _fits(value: Any, forms: tuple[Any, ...]) -> bool:
    for form in forms:
        if form is object or (form is None and value is None):
            return True
        if form is Count and type(value) is int and 0 <= value < 1 << 63:
            return True
        if form is Positive and type(value) in NUMBER and 0 < value < math.inf:
            return True
        if form is Name and isinstance(value, str) and value == os.path.basename(value) != "":
            return value not in (".", "..") and "\0" not in value
        if isinstance(form, type) and type(value) is form:
            return not isinstance(value, float) or math.isfinite(value)
    return False


_TITLES: dict[Any, str] = {
    None: "null",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    list: "a list",
    dict: "an object",
    Count: "a whole number, 0 or more",
    Positive: "a number above 0",
    Name: "the name of a file",
}


def _shown(value: Any) -> str:
    """Return a few characters of a value."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits; at most {MAX_DIGITS} are read")
    return int(digits)


def _check_depth(value: Any) -> None:
    """Check the depth level by level: a recursion would itself reach the limit being protected."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(_too_deep())


def _too_deep() -> str:
    return f"nested more than {MAX_DEPTH} deep"


# Ours. Compressed scores need a tenth of their size; a zip bomb uses zip's best, a thousandth.
_MAX_EXPANSION = 100

_FREE_BYTES = 64 << 20


def map_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """Map an array's file into memory, so that only the parts that are read use memory.

    Raises:
      ValueError: it is damaged.
      OSError: it is not a regular file.
    """
    check_regular(path)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    # NumPy evaluates the header: SyntaxError, TypeError, TokenError, OverflowError, ...
    except Exception as error:
        raise ValueError(f"{os.fspath(path)} is not a complete .npy file ({error})") from error


def read_npz(
    path: str | os.PathLike[str], names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Return the arrays in a file by name; nothing is unpickled.

    Args:
      path: the file.
      names: names of the arrays to read; None for all.

    Raises:
      ValueError: the file is damaged, lacks an array, or unpacks to over 100 times its size.
      OSError: it does not exist or can't be read.
    """
    room = _MAX_EXPANSION * check_regular(path) + _FREE_BYTES
    with open(path, "rb"):
        pass  # raises the system's errors, which are not damage
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > room:
                raise ValueError(f"it unpacks to over {_MAX_EXPANSION} times its size")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (file.files if names is None else names)}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it holds more than arrays")
        return arrays
    # zipfile and NumPy raise many types: OSError, zlib.error, NotImplementedError, ...
    except Exception as error:
        raise ValueError(f"{os.fspath(path)} is not a complete .npz file ({error})") from error
