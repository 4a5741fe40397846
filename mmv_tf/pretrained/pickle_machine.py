# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs a pickle's program without importing or calling anything that it names.

A pickle is a program for a small stack machine. Python's own machine imports and calls whatever the
program names. This machine has no import and no call: it looks names up in a table of a few
constructors of arrays and mappings (`pickle_names`), all of them functions of this package, and
refuses any other name, opcode or combination. This is guaranteed as follows:

- Values are None, booleans, numbers, strings, views of the file, tuples, lists, dicts, and the
  stand-ins of `pickle_names`. The only library object ever created is `numpy.ndarray`, from a
  checked dtype and shape over bytes that exist.
- Payloads are views of the memory-mapped file: a declared size is compared with the file's size
  before anything is read, and no array is copied here.
- The number of steps is bounded, so that files of tiny instructions can't exhaust memory.

An allow-list in `pickle.Unpickler.find_class` would be shorter and stop calls too, but not memory
attacks: given 7 bytes that store a value under index 2**27, it allocates a table of 2 GB.
"""

from __future__ import annotations

import mmap
import pickletools
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from mmv_tf.pretrained import pickle_names
from mmv_tf.pretrained.pickle_names import Dialect, LongText, RefusedError

# Ours. A released checkpoint takes about 60,000 steps; a million tiny objects are about 100 MB.
MAX_STEPS = 1_000_000
# Longer texts are array bytes written by protocols 0-2; they are decoded piece by piece.
_LONG_TEXT = 1024
_OPCODES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


class Machine:
    """Stack machine with a method `_op_NAME` for each known instruction (names of `pickletools`).

    Args:
      mapped: the file.
      dialect: what the file may contain.
      position, end: limits of the pickle within the file.
    """

    def __init__(self, mapped: mmap.mmap, dialect: Dialect, position: int = 0, end: int = 0):
        self.mapped = mapped
        self.dialect = dialect
        self.data = memoryview(mapped)
        self.position = position
        self.end = end or len(mapped)
        # Bytes that `_codecs.encode` may still produce: a text can't grow beyond its own size, but
        # a program could encode the same text again and again.
        self.text_budget = self.end - position
        self._begin()

    def _begin(self) -> None:
        self.start = self.position
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    @property
    def names(self) -> Mapping[str, Callable[..., Any] | None]:
        """Names that the program may use."""
        return self.dialect.names

    def run(self) -> Any:
        """Run the program at `position` and return its result. Another program may follow it."""
        self._begin()
        for _ in range(MAX_STEPS):
            self.start = self.position
            code = self.take(1)[0]
            name = _OPCODES.get(code)
            if name is None:
                raise RefusedError(
                    f"{chr(code)!r} is not a pickle instruction; this is not a pickle"
                )
            if name == "STOP":
                if len(self.stack) != 1 or self.marks:
                    raise RefusedError("the pickle ends in the middle of a value")
                return self.stack.pop()
            step = getattr(self, f"_op_{name.lower()}", None)
            if step is None:
                raise RefusedError(f"the pickle instruction {name} is not allowed")
            step()
        raise RefusedError(f"the pickle has more than {MAX_STEPS} instructions")

    # Reading.

    def take(self, count: int) -> memoryview:
        """Return the next `count` bytes."""
        left = self.end - self.position
        if count > left:
            raise RefusedError(
                f"{count} bytes are declared, but {left} are left: the file is cut short"
            )
        view = self.data[self.position : self.position + count]
        self.position += count
        return view

    def number(self, code: str) -> Any:
        """Return the next number, in the format `code` of `struct`."""
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def line(self, limit: int = 4096) -> bytes:
        """Return the next line (protocols 0 and 1), without the line break."""
        end = self.mapped.find(b"\n", self.position, min(self.position + limit + 1, self.end))
        if end < 0:
            raise RefusedError(f"a line does not end within {limit} bytes")
        line = bytes(self.take(end - self.position))
        self.position += 1
        return line

    # The stack.

    def push(self, value: Any) -> None:
        """Push a value."""
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        """Pop everything above the topmost mark."""
        if not self.marks:
            raise RefusedError("the pickle closes a list that it did not open")
        values, self.stack = self.stack, self.marks.pop()
        return values

    def top(self, kind: type, what: str) -> Any:
        """Return the topmost value, which must be of type `kind`."""
        if type(self.stack[-1]) is not kind:
            raise RefusedError(f"{what} of {pickle_names.describe(self.stack[-1])} is not allowed")
        return self.stack[-1]

    # Instructions that do not affect the result.

    def _op_proto(self) -> None:
        version = self.number("<B")
        if version > 5:
            raise RefusedError(f"pickle protocol {version} is not supported (0 to 5 are)")

    def _op_frame(self) -> None:
        size = self.number("<Q")
        left = self.end - self.position
        if size > left:
            raise RefusedError(
                f"a frame of {size} bytes is declared, but {left} are left: the file is cut short"
            )

    def _op_readonly_buffer(self) -> None:
        self.top(memoryview, "READONLY_BUFFER")

    # Stack and memo.

    def _op_mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _op_pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def _op_pop_mark(self) -> None:
        self.since_mark()

    def _op_dup(self) -> None:
        self.push(self.stack[-1])

    def _op_memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _op_put(self) -> None:
        self.memo[_whole_number(self.line(20))] = self.stack[-1]

    def _op_binput(self) -> None:
        self.memo[self.number("<B")] = self.stack[-1]

    def _op_long_binput(self) -> None:
        self.memo[self.number("<I")] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Push a stored value."""
        if index not in self.memo:
            raise RefusedError(f"the pickle recalls value {index}, which it never stored")
        self.push(self.memo[index])

    def _op_get(self) -> None:
        self.recall(_whole_number(self.line(20)))

    def _op_binget(self) -> None:
        self.recall(self.number("<B"))

    def _op_long_binget(self) -> None:
        self.recall(self.number("<I"))

    # Plain values.

    def _op_none(self) -> None:
        self.push(None)

    def _op_newtrue(self) -> None:
        self.push(True)

    def _op_newfalse(self) -> None:
        self.push(False)

    def _op_int(self) -> None:
        line = self.line(40)
        # Protocol 0 writes booleans this way.
        self.push({b"00": False, b"01": True}.get(line))
        if self.stack[-1] is None:
            self.stack[-1] = _whole_number(line)

    def _op_long(self) -> None:
        self.push(_whole_number(self.line(40).removesuffix(b"L")))

    def _op_binint(self) -> None:
        self.push(self.number("<i"))

    def _op_binint1(self) -> None:
        self.push(self.number("<B"))

    def _op_binint2(self) -> None:
        self.push(self.number("<H"))

    def _op_long1(self) -> None:
        size = self.number("<B")
        if size > 16:
            raise RefusedError(f"an integer of {size} bytes is not allowed")
        self.push(int.from_bytes(self.take(size), "little", signed=True))

    def _op_float(self) -> None:
        try:
            self.push(float(self.line(40)))
        except ValueError as error:
            raise RefusedError(str(error)) from error

    def _op_binfloat(self) -> None:
        self.push(self.number(">d"))

    def text(self, size: int) -> None:
        """Push a string of `size` bytes."""
        view = self.take(size)
        self.push(LongText(view) if size > _LONG_TEXT else self.checked(str(view, "utf-8")))

    def checked(self, text: str) -> str:
        """Return a string after checking its characters against the dialect's limit."""
        if max(text, default="") > self.dialect.largest_character:
            raise RefusedError("a text beyond Latin-1 is not allowed")
        return text

    def _op_short_binunicode(self) -> None:
        self.text(self.number("<B"))

    def _op_binunicode(self) -> None:
        self.text(self.number("<I"))

    def _op_binunicode8(self) -> None:
        self.text(self.number("<Q"))

    def _op_unicode(self) -> None:
        line = self.line(self.end)
        self.push(self.checked(str(line, "raw-unicode-escape")))

    def _op_short_binbytes(self) -> None:
        self.push(self.take(self.number("<B")))

    def _op_binbytes(self) -> None:
        self.push(self.take(self.number("<I")))

    def _op_binbytes8(self) -> None:
        self.push(self.take(self.number("<Q")))

    def _op_bytearray8(self) -> None:
        self.push(self.take(self.number("<Q")))

    # Containers.

    def _op_empty_tuple(self) -> None:
        self.push(())

    def _op_tuple(self) -> None:
        self.push(tuple(self.since_mark()))

    def last(self, count: int) -> None:
        """Push a tuple of the topmost values."""
        if len(self.stack) < count:
            raise RefusedError("the pickle uses more values than it has created")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _op_tuple1(self) -> None:
        self.last(1)

    def _op_tuple2(self) -> None:
        self.last(2)

    def _op_tuple3(self) -> None:
        self.last(3)

    def _op_empty_list(self) -> None:
        self.push([])

    def _op_list(self) -> None:
        self.push(self.since_mark())

    def _op_append(self) -> None:
        value = self.stack.pop()
        self.top(list, "APPEND").append(value)

    def _op_appends(self) -> None:
        values = self.since_mark()
        self.top(list, "APPENDS").extend(values)

    def _op_empty_dict(self) -> None:
        self.push({})

    def _op_dict(self) -> None:
        values = self.since_mark()
        self.push({})
        self.set(values, "DICT")

    def _op_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set([key, value], "SETITEM")

    def _op_setitems(self) -> None:
        values = self.since_mark()
        self.set(values, "SETITEMS")

    def set(self, values: Any, what: str) -> None:
        """Add alternating keys and values to the topmost dict."""
        target = self.top(dict, what)
        if len(values) % 2:
            raise RefusedError("a dict has a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in self.dialect.key_types:
                raise RefusedError(
                    f"{pickle_names.describe(key)} as a key is not allowed; keys are strings"
                )
            if key in target:
                raise RefusedError(f"the key {key!r} occurs twice in one dict")
            target[key] = value

    # Names, and instructions that would be calls.

    def _op_stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise RefusedError("a name that does not consist of strings is not allowed")
        self.push(pickle_names.find(self, module, name))

    def _op_global(self) -> None:
        module, name = str(self.line(), "utf-8"), str(self.line(), "utf-8")
        self.push(pickle_names.find(self, module, name))

    def _op_binpersid(self) -> None:
        if self.dialect.load is None:
            raise RefusedError("the pickle instruction BINPERSID is not allowed")
        self.push(self.dialect.load(self.stack.pop()))

    def _op_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not pickle_names.Name or function.make is None:
            raise RefusedError(f"calling {pickle_names.describe(function)} is not allowed")
        if type(arguments) is not tuple:
            raise RefusedError(
                f"arguments that are {pickle_names.describe(arguments)} are not allowed"
            )
        self.push(pickle_names.call(self, function, arguments))

    def _op_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is pickle_names.Array:
            pickle_names.fill(target, state)
        elif type(target) is pickle_names.Dtype:
            pickle_names.set_byte_order(target, state)
        elif type(target) is dict and type(state) is dict and state.keys() <= self.dialect.ignored:
            pass
        else:
            raise RefusedError(f"giving {pickle_names.describe(target)} a state is not allowed")


def _whole_number(line: bytes) -> int:
    if not re.fullmatch(rb"-?[0-9]{1,20}", line):
        raise RefusedError(f"{line!r} is not a whole number")
    return int(line)
