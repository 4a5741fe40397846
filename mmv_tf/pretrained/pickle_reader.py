# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads pickles of nested dicts of arrays without unpickling them.

A pickle is a program for a small stack machine, and Python's own machine imports and calls whatever
the program names. This one has its own machine, which knows no import and no call: a name is looked
up in a table of a few constructors of arrays and mappings (`pickle_names`), each of them a function
of ours, and any other name, opcode or combination is refused. What keeps that true:

- Values are None, booleans, numbers, strings, views of the file, tuples, lists, dicts with string
  keys, and the stand-ins of `pickle_names`. No object of a library but `numpy.ndarray` is ever
  made, and that by its `_make_array`, from a checked dtype and shape over bytes that are there.
- Payloads are views of the memory-mapped file: a declared size is compared with the file's before
  anything is read, and no array is copied here.
- The number of steps is bounded, so a small or a large file of tiny instructions can't fill memory.
"""

from __future__ import annotations

import mmap
import os
import pickletools
import re
import struct
from typing import Any

import numpy as np

from mmv_tf.pretrained import pickle_names
from mmv_tf.pretrained.pickle_names import LongText, RefusedError

# Ours. A released checkpoint takes some 60,000 steps; a million tiny objects are about 100 MB.
MAX_STEPS = 1_000_000
# Longer texts are array bytes written by protocols 0-2, and are decoded piece by piece.
_LONG_TEXT = 1024
_OPCODES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a pickle of (nested) dicts of arrays, safely.

    Written by any of `pickle` (protocols 0-5), `dill`, NumPy 1 and 2, with arrays of NumPy or jax
    and mappings of Python or Haiku. None of dill, jax and Haiku has to be installed.

    Args:
      path: of the file.

    Returns:
      The outermost dict. Its leaves are read-only arrays over the mapped file, so keep a copy of
      what has to outlive a change of it.

    Raises:
      RefusedError: a ValueError that says what stands in the file and where.
      OSError: the file can't be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise RefusedError(f"{os.fspath(path)} is empty; expected a pickled checkpoint.")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        raise RefusedError(
            f"{os.fspath(path)} is a zip file, not a pickle; extract the checkpoint first "
            "(a .keras file is read with `mmv_tf.load_model`)."
        )
    machine = _Machine(data)
    try:
        tree = _finish(machine.run())
        if machine.position != size:
            raise RefusedError(f"{size - machine.position} bytes follow the end of the pickle")
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        reason = str(error) if isinstance(error, RefusedError) else f"it is damaged ({error})"
        raise RefusedError(
            f"{os.fspath(path)}, byte {machine.start}: {reason}. Nothing was executed; only plain "
            "dicts of arrays are read."
        ) from error
    if not isinstance(tree, dict):
        raise RefusedError(
            f"{os.fspath(path)} holds a {type(tree).__name__}; expected a dict of arrays."
        )
    return tree


def forget_pages(array: np.ndarray) -> None:
    """Lets go of the memory of a mapped file; it is read again where an array still needs it."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    # Linux and macOS; elsewhere the system has to see to it.
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


class _Machine:
    """The stack machine; `op_NAME` for each instruction it knows (names of `pickletools`)."""

    def __init__(self, mapped: mmap.mmap):
        self.mapped = mapped
        self.data = memoryview(mapped)
        self.position = 0
        self.start = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        # Bytes that `_codecs.encode` may still produce: no text can become more than its own size,
        # but a program could ask for the same one again and again.
        self.text_budget = len(mapped)

    def run(self) -> Any:
        """Carries out the program; its result."""
        for _ in range(MAX_STEPS):
            self.start = self.position
            code = self.take(1)[0]
            name = _OPCODES.get(code)
            if name is None:
                raise RefusedError(f"{chr(code)!r} is not a pickle instruction; this is no pickle")
            if name == "STOP":
                if len(self.stack) != 1 or self.marks:
                    raise RefusedError("the pickle ends in the middle of a value")
                return self.stack.pop()
            step = getattr(self, f"op_{name.lower()}", None)
            if step is None:
                raise RefusedError(f"the pickle instruction {name} is refused")
            step()
        raise RefusedError(f"the pickle has more than {MAX_STEPS} instructions")

    # Reading.

    def take(self, count: int) -> memoryview:
        """The next `count` bytes."""
        left = len(self.data) - self.position
        if count > left:
            raise RefusedError(
                f"{count} bytes are declared, {left} are left: the file is cut short"
            )
        view = self.data[self.position : self.position + count]
        self.position += count
        return view

    def number(self, code: str) -> Any:
        """The next number, in the code of `struct`."""
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def line(self, limit: int = 4096) -> bytes:
        """The next line (protocols 0 and 1), without its end."""
        end = self.mapped.find(b"\n", self.position, self.position + limit + 1)
        if end < 0:
            raise RefusedError(f"a line does not end within {limit} bytes")
        line = bytes(self.take(end - self.position))
        self.position += 1
        return line

    # The stack.

    def push(self, value: Any) -> None:
        """Puts a value on top."""
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        """Takes everything above the topmost mark."""
        if not self.marks:
            raise RefusedError("the pickle takes a list that it did not begin")
        values, self.stack = self.stack, self.marks.pop()
        return values

    def top(self, kind: type, what: str) -> Any:
        """The topmost value, which has to be of a kind."""
        if type(self.stack[-1]) is not kind:
            raise RefusedError(f"{what} of {pickle_names.describe(self.stack[-1])} is refused")
        return self.stack[-1]

    # Instructions without an effect on the result.

    def op_proto(self) -> None:
        version = self.number("<B")
        if version > 5:
            raise RefusedError(f"pickle protocol {version} is not known (0 to 5 are)")

    def op_frame(self) -> None:
        size = self.number("<Q")
        left = len(self.data) - self.position
        if size > left:
            raise RefusedError(
                f"a frame of {size} bytes is declared, {left} are left: the file is cut short"
            )

    def op_readonly_buffer(self) -> None:
        self.top(memoryview, "READONLY_BUFFER")

    # Stack and memo.

    def op_mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def op_pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def op_pop_mark(self) -> None:
        self.since_mark()

    def op_dup(self) -> None:
        self.push(self.stack[-1])

    def op_memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def op_put(self) -> None:
        self.memo[_whole_number(self.line(20))] = self.stack[-1]

    def op_binput(self) -> None:
        self.memo[self.number("<B")] = self.stack[-1]

    def op_long_binput(self) -> None:
        self.memo[self.number("<I")] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Puts a remembered value on top."""
        if index not in self.memo:
            raise RefusedError(f"the pickle recalls value {index}, which it never stored")
        self.push(self.memo[index])

    def op_get(self) -> None:
        self.recall(_whole_number(self.line(20)))

    def op_binget(self) -> None:
        self.recall(self.number("<B"))

    def op_long_binget(self) -> None:
        self.recall(self.number("<I"))

    # Plain values.

    def op_none(self) -> None:
        self.push(None)

    def op_newtrue(self) -> None:
        self.push(True)

    def op_newfalse(self) -> None:
        self.push(False)

    def op_int(self) -> None:
        line = self.line(40)
        # Protocol 0 writes booleans so.
        self.push({b"00": False, b"01": True}.get(line))
        if self.stack[-1] is None:
            self.stack[-1] = _whole_number(line)

    def op_long(self) -> None:
        self.push(_whole_number(self.line(40).removesuffix(b"L")))

    def op_binint(self) -> None:
        self.push(self.number("<i"))

    def op_binint1(self) -> None:
        self.push(self.number("<B"))

    def op_binint2(self) -> None:
        self.push(self.number("<H"))

    def op_long1(self) -> None:
        size = self.number("<B")
        if size > 16:
            raise RefusedError(f"an integer of {size} bytes is refused")
        self.push(int.from_bytes(self.take(size), "little", signed=True))

    def op_float(self) -> None:
        try:
            self.push(float(self.line(40)))
        except ValueError as error:
            raise RefusedError(str(error)) from error

    def op_binfloat(self) -> None:
        self.push(self.number(">d"))

    def text(self, size: int) -> None:
        """A string of `size` bytes."""
        view = self.take(size)
        self.push(LongText(view) if size > _LONG_TEXT else _latin(str(view, "utf-8")))

    def op_short_binunicode(self) -> None:
        self.text(self.number("<B"))

    def op_binunicode(self) -> None:
        self.text(self.number("<I"))

    def op_binunicode8(self) -> None:
        self.text(self.number("<Q"))

    def op_unicode(self) -> None:
        line = self.line(len(self.data))
        self.push(_latin(str(line, "raw-unicode-escape")))

    def op_short_binbytes(self) -> None:
        self.push(self.take(self.number("<B")))

    def op_binbytes(self) -> None:
        self.push(self.take(self.number("<I")))

    def op_binbytes8(self) -> None:
        self.push(self.take(self.number("<Q")))

    def op_bytearray8(self) -> None:
        self.push(self.take(self.number("<Q")))

    # Containers.

    def op_empty_tuple(self) -> None:
        self.push(())

    def op_tuple(self) -> None:
        self.push(tuple(self.since_mark()))

    def last(self, count: int) -> None:
        """A tuple of the topmost values."""
        if len(self.stack) < count:
            raise RefusedError("the pickle takes more values than it has made")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def op_tuple1(self) -> None:
        self.last(1)

    def op_tuple2(self) -> None:
        self.last(2)

    def op_tuple3(self) -> None:
        self.last(3)

    def op_empty_list(self) -> None:
        self.push([])

    def op_list(self) -> None:
        self.push(self.since_mark())

    def op_append(self) -> None:
        value = self.stack.pop()
        self.top(list, "APPEND").append(value)

    def op_appends(self) -> None:
        values = self.since_mark()
        self.top(list, "APPENDS").extend(values)

    def op_empty_dict(self) -> None:
        self.push({})

    def op_dict(self) -> None:
        values = self.since_mark()
        self.push({})
        self.set(values, "DICT")

    def op_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set([key, value], "SETITEM")

    def op_setitems(self) -> None:
        values = self.since_mark()
        self.set(values, "SETITEMS")

    def set(self, values: Any, what: str) -> None:
        """Adds keys and values, in turn, to the topmost dict."""
        target = self.top(dict, what)
        if len(values) % 2:
            raise RefusedError("a dict has a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is not str:
                raise RefusedError(
                    f"{pickle_names.describe(key)} as a key is refused; keys are strings"
                )
            if key in target:
                raise RefusedError(f"the key {key!r} stands twice in one dict")
            target[key] = value

    # Names, and what would be calls.

    def op_stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise RefusedError("a name that is not made of strings is refused")
        self.push(pickle_names.find(module, name))

    def op_global(self) -> None:
        module, name = str(self.line(), "utf-8"), str(self.line(), "utf-8")
        self.push(pickle_names.find(module, name))

    def op_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not pickle_names.Name or function.make is None:
            raise RefusedError(f"calling {pickle_names.describe(function)} is refused")
        if type(arguments) is not tuple:
            raise RefusedError(f"arguments that are {pickle_names.describe(arguments)} are refused")
        self.push(pickle_names.call(self, function, arguments))

    def op_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is pickle_names.Array:
            pickle_names.fill(target, state)
        elif type(target) is pickle_names.Dtype:
            pickle_names.set_byte_order(target, state)
        else:
            raise RefusedError(f"giving {pickle_names.describe(target)} a state is refused")


def _whole_number(line: bytes) -> int:
    if not re.fullmatch(rb"-?[0-9]{1,20}", line):
        raise RefusedError(f"{line!r} is not a whole number")
    return int(line)


def _latin(text: str) -> str:
    # Neither names nor bytes need more, and one wider character makes Python take 4 bytes for each.
    if max(text, default="") > "\xff":
        raise RefusedError("a text beyond Latin-1 is refused")
    return text


def _finish(value: Any) -> Any:
    """The dicts, with arrays for their stand-ins."""
    entries = 0

    def finish(value: Any, depth: int) -> Any:
        nonlocal entries
        entries += 1
        if entries > MAX_STEPS:
            raise RefusedError(f"the pickle holds more than {MAX_STEPS} entries")
        if type(value) is dict and depth < 8:
            return {key: finish(item, depth + 1) for key, item in value.items()}
        if type(value) is pickle_names.Array and value.array is not None:
            return value.array
        if type(value) is np.ndarray:
            return value
        if type(value) in (bool, int, float):
            return np.asarray(value)
        raise RefusedError(
            f"{pickle_names.describe(value)} in the place of an array or a dict is refused"
        )

    return finish(value, 0)
