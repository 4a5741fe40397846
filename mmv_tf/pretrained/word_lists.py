# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Word lists in NumPy and text files; objects in them are never unpickled."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from mmv_tf.pretrained import pickle_names
from mmv_tf.pretrained.pickle_machine import Machine
from mmv_tf.pretrained.pickle_names import Dialect, RefusedError, describe
from mmv_tf.pretrained.pickle_reader import explained
from mmv_tf.util.files import check_regular

_WORDS = Dialect(pickle_names.WORDS, "words", largest_character="\U0010ffff")
# The last character of Unicode.
_LAST_CHARACTER = 0x10FFFF
# Ours: more than any vocabulary has.
_MAX_BYTES = 1 << 28


def read_words(path: str | os.PathLike[str]) -> list[str]:
    """Read a list of words.

    Args:
      path: a `.npy` file with an array [words] of strings (NumPy's, or Python's as objects, which
        `pickle_machine` reads), or a UTF-8 text file with one word per line.

    Raises:
      ValueError: the file holds something else or is damaged.
      OSError: the file can't be read.
    """
    name = os.fspath(path)
    size = check_regular(name)
    if not 0 < size <= _MAX_BYTES:
        raise ValueError(
            f"{name} has {size} bytes; expected a list of words of up to {_MAX_BYTES}."
        )
    with open(name, "rb") as file:
        if file.read(6) == b"\x93NUMPY":
            file.seek(0)
            return _read_npy(name, file)
        file.seek(0)
        data = file.read()
    try:
        # Not str.splitlines: some lists hold U+0085 and similar characters as words.
        return data.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not UTF-8 text ({error.reason} at byte {error.start}); save the words as "
            "UTF-8, one per line, or as an array of strings with numpy.save."
        ) from error


def check_words(words: Sequence[str], expected: int, what: str) -> None:
    """Check that words can be the rows of a table.

    Args:
      words: the list.
      expected: number of table rows for words.
      what: the list's name, for error messages.

    Raises:
      ValueError: there are more or fewer words, or one is empty, a duplicate, has a line break or
        is not text.
    """
    if len(words) != expected:
        raise ValueError(
            f"{what} has {len(words)} words, but the checkpoint's table has rows for {expected}; "
            "use the list that belongs to the checkpoint."
        )
    first: dict[str, int] = {}
    for index, word in enumerate(words):
        if not isinstance(word, str):
            raise ValueError(f"{what}: word {index} is a {type(word).__name__}; expected text.")
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{what}: word {index} is {word!r}, which is not UTF-8 text ({error.reason}); get "
                "the list again."
            ) from error
        if not word.strip(" \t\r\n"):
            raise ValueError(f"{what}: word {index} is empty; each row of the table needs a word.")
        if "\n" in word:
            raise ValueError(
                f"{what}: word {index} is {word!r}, which contains a line break; words are saved "
                "one per line, so use a different text for that row."
            )
        if word in first:
            raise ValueError(
                f"{what}: words {first[word]} and {index} are both {word!r}; each word has only "
                "one row, so the list is damaged or belongs to another table."
            )
        first[word] = index


def _read_npy(name: str, file: BinaryIO) -> list[str]:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
        if len(shape) != 1 or dtype.kind not in "UO":
            raise ValueError(f"it holds {dtype} {shape}; expected strings [words]")
        if dtype.kind == "O":
            return _run(name, file, shape[0])
        # Mapped, so that a file that declares more than it holds is rejected without using memory.
        words = np.load(name, mmap_mode="r", allow_pickle=False)
        # NumPy stores a character in 4 bytes and does not validate them.
        if words.view(f"{dtype.str[0]}u4").max(initial=0) > _LAST_CHARACTER:
            raise ValueError("it has characters that are not Unicode")
        return words.tolist()
    except RefusedError:
        raise
    except (ValueError, EOFError, KeyError, SyntaxError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{name} is not a complete .npy file of words ({error}); get it again."
        ) from error


def _run(name: str, file: BinaryIO, count: int) -> list[str]:
    """Return the words of an object array, which is a pickle after the header."""
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    machine = Machine(data, _WORDS, file.tell())
    with explained(name, machine):
        array = machine.run()
        if type(array) is not pickle_names.Array or array.words is None:
            raise RefusedError(f"{describe(array)} instead of words is not allowed")
        if machine.position != len(data):
            left = len(data) - machine.position
            raise RefusedError(f"{left} bytes follow the end of the pickle")
        if len(array.words) != count:
            raise RefusedError(f"it holds {len(array.words)} words, but {count} are declared")
    return array.words
