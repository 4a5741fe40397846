# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle
import struct

import numpy as np
import pytest

from mmv_tf.pretrained.word_lists import check_words, read_words
from tests.pretrained.pickle_reader_test import Calls, more_memory

WORDS = ["open", "don't", "café", "猫", "\x85", "a" * 300, "𝔸"]


def header(array, protocol):
    """The bytes of a .npy file of objects, pickled by a protocol."""
    data = pickle.dumps(array, protocol)
    fields = {"descr": "|O", "fortran_order": False, "shape": (len(WORDS),)}
    text = str(fields).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def refused(path, message):
    """Refused in one line, in little memory and with nothing executed."""
    with more_memory() as more, pytest.raises(ValueError, match=message) as caught:
        read_words(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert more() < 50
    assert not os.path.exists(path.parent / "touched")


@pytest.mark.parametrize("kind", ["strings", "objects", "text", "text with an end"])
def test_reads(kind, tmp_path):
    path = tmp_path / "words"
    if kind in ("strings", "objects"):
        with path.open("wb") as file:
            np.save(file, np.array(WORDS, object if kind == "objects" else None))
    else:
        path.write_text("\n".join(WORDS) + "\n" * kind.endswith("end"), "utf-8", newline="\n")
    assert read_words(path) == WORDS


@pytest.mark.parametrize("protocol", range(2, 6))
def test_objects_by_any_protocol(protocol, tmp_path):
    path = tmp_path / "words.npy"
    path.write_bytes(header(np.array(WORDS, object), protocol))
    assert read_words(path) == WORDS


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_call_is_refused_by_name(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "words.npy"
    path.write_bytes(header(Calls(os.system, "touch touched"), protocol))
    refused(path, "posix.system")
    array = np.empty(1, object)
    array[0] = Calls(os.system, "touch touched")
    path.write_bytes(header(array, protocol))
    refused(path, "posix.system")


def test_what_is_no_list_of_words(tmp_path):
    path = tmp_path / "words.npy"
    for value, message in (
        (np.array([*WORDS[1:], 7], object), "a int instead of word 6"),
        (np.array(WORDS[1:], object), "it holds 6 words, but 7 are declared"),
        (np.array([WORDS], object), "instead of"),
        (np.ones(7, np.float32), "dtype 'f4' is not allowed"),
        (WORDS, "a list instead of words"),
    ):
        path.write_bytes(header(value, 4))
        refused(path, message)
    path.write_bytes(header(np.array(WORDS, object), 4) + b"more")
    refused(path, "4 bytes follow")
    for array, message in (
        (np.ones(3), r"float64 \(3,\); expected strings"),
        (np.array([["a"]]), r"\(1, 1\); expected strings"),
        (np.array([b"a"]), r"\|S1 \(1,\)"),
    ):
        np.save(path, array)
        refused(path, message)


def test_damaged_files(tmp_path):
    path = tmp_path / "words.npy"
    np.save(path, np.array(WORDS[:4]))
    whole = path.read_bytes()
    for length in (8, 40, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, "is not a complete .npy file")
    path.write_bytes(whole.replace(b"(4,)", b"(9999999999,)").replace(b" " * 9 + b"\n", b"\n"))
    refused(path, "is not a complete .npy file")
    # Beyond Unicode's last character.
    path.write_bytes(whole[:-4] + b"\xff\xff\xff\x7f")
    refused(path, "is not a complete .npy file")
    path.write_bytes(b"")
    refused(path, "has 0 bytes")
    path.write_bytes("café".encode("latin-1"))
    refused(path, "is not UTF-8 text .*save the words as UTF-8")


def test_words_that_fit_a_table():
    check_words(WORDS, len(WORDS), "words.npy")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b"], "list has 2 words, but the checkpoint's table has rows for 3"),
        (["a", "b", "a"], "list: words 0 and 2 are both 'a'"),
        (["a", "", "b"], "list: word 1 is empty"),
        (["a", " ", "b"], "list: word 1 is empty"),
        (["a", "b", "\ud800"], r"list: word 2 is '\\ud800', which is not UTF-8 text"),
        (["a", "b", b"c"], "list: word 2 is a bytes; expected text"),
        (["a", "b\nc", "d"], "list: word 1 is .* contains a line break"),
    ],
)
def test_words_that_do_not(words, message):
    with pytest.raises(ValueError, match=message):
        check_words(words, 3, "list")
