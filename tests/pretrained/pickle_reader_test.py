# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import pickle
import pickletools
import struct
import sys
import types

import numpy as np
import pytest

from benchmarks import process_memory
from mmv_tf.pretrained import (
    pickle_machine,
    pickle_names,
    pickle_reader,
    torch_reader,
    word_lists,
)
from mmv_tf.pretrained.pickle_machine import MAX_STEPS
from mmv_tf.pretrained.pickle_names import RefusedError
from mmv_tf.pretrained.pickle_reader import forget_pages, read_arrays

FIXTURE = pathlib.Path(__file__).parents[3] / "shared" / "haiku_fixture" / "tiny"
RANDOM = np.random.default_rng(0)
SLOW = pytest.mark.slow
TREE = {
    "params": {
        "net/linear": {
            "w": RANDOM.normal(size=(700, 3)).astype(np.float32),
            "b": np.arange(3, dtype=np.float32),
        },
        "net/norm": {"fortran": np.asfortranarray(RANDOM.normal(size=(4, 5)))},
    },
    "state": {"net/norm/~/mean_ema": {"counter": np.array(10, np.int32), "big": np.ones(2, ">f4")}},
}


def check(read, expected=TREE):
    assert list(read) == list(expected)
    for key, value in expected.items():
        if isinstance(value, dict):
            check(read[key], value)
        else:
            assert read[key].dtype == value.dtype
            np.testing.assert_array_equal(read[key], value)
            assert not read[key].flags.writeable


@contextlib.contextmanager
def more_memory():
    """Yields a function that tells how many MiB more there were within, at most."""
    process_memory.reset_peak()
    before = process_memory.mebibytes()
    yield lambda: process_memory.mebibytes("VmHWM") - before


# What has to be read.


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(protocol, file):
    check(read_arrays(file(pickle.dumps(TREE, protocol=protocol))))


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", ["FlatMapping", "frozendict"])
def test_haiku_mappings(protocol, name, file, monkeypatch):
    module = "haiku._src.data_structures"

    class Mapping:
        def __init__(self, contents):
            self.contents = contents

        def __reduce__(self):
            return type(self), (self.contents,)

    Mapping.__module__, Mapping.__qualname__ = module, name
    for parent in ("haiku", "haiku._src"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**{name: Mapping}))
    tree = {s: Mapping({p: Mapping(a) for p, a in part.items()}) for s, part in TREE.items()}
    check(read_arrays(file(pickle.dumps(tree, protocol=protocol))))


@pytest.mark.parametrize("protocol", [2, 4])
def test_ordered_and_default_dicts(protocol, file):
    tree = collections.OrderedDict(
        (section, collections.defaultdict(dict, part)) for section, part in TREE.items()
    )
    check(read_arrays(file(pickle.dumps(tree, protocol=protocol))))


def test_numpy_scalars_and_numbers(file):
    tree = {"a": np.float32(0.5), "b": 7, "c": 0.25, "d": -(2**40)}
    read = read_arrays(file(pickle.dumps(tree, protocol=4)))
    assert {key: value.item() for key, value in read.items()} == tree


def test_dill_3_names_reconstruct_through_its_module(file):
    data = (
        b"\x80\x04}\x8c\x01wcdill._dill\n_get_attr\ncdill._dill\n_import_module\n"
        b"\x8c\x1cnumpy.core._multiarray_umath\x85R\x8c\x0c_reconstruct\x86R"
        b"cnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x01\x85cnumpy\ndtype\n\x8c\x02f4\x89\x88\x87R"
        b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89C\x04\x00\x00\x80?tbs."
    )
    check(read_arrays(file(data)), {"w": np.ones(1, np.float32)})


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURE.glob("*.pkl")) or ["none"])
def test_flavours_of_the_shared_fixture(name):
    if not FIXTURE.exists():
        pytest.skip("../shared/haiku_fixture is not here")
    read = read_arrays(FIXTURE / name)
    flat = {f"{s}|{p}|{n}": a for s in read for p, d in read[s].items() for n, a in d.items()}
    with np.load(FIXTURE / "expected.npz") as expected:
        check(dict(sorted(flat.items())), {key: expected[key] for key in sorted(expected.files)})


def test_arrays_are_views_of_the_file(file):
    tree = {"w": np.ones(1 << 22, np.float32)}
    path = file(pickle.dumps(tree, protocol=4))
    with more_memory() as more:
        read = read_arrays(path)
    assert more() < 4  # of 16
    forget_pages(read["w"])
    np.testing.assert_array_equal(read["w"], 1)


# What has to be refused.

TOUCHED = "touched"


class Calls:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def refused(path, message):
    """Refused with this message, in little memory and with nothing executed."""
    with more_memory() as more, pytest.raises(RefusedError, match=message) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert more() < 300
    assert not os.path.exists(path.parent / TOUCHED)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch touched",), "posix.system"),
        (eval, ("open('touched', 'w')",), "eval"),
        (exec, ("open('touched', 'w')",), "exec"),
        (getattr, (dict, "keys"), "getattr"),
        (__import__, ("os",), "__import__"),
        (np.load, ("/etc/passwd",), "numpy.*load"),
        (np.fromfile, ("/etc/passwd",), "numpy.*fromfile"),
        (np.memmap, ("/etc/passwd",), "numpy.*memmap"),
        (np.zeros, (10**12,), "numpy.*zeros"),
    ],
)
def test_calls_are_refused_by_name(
    protocol, function, arguments, name, file, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    refused(file(pickle.dumps({"params": Calls(function, *arguments)}, protocol)), name)


NESTED = {
    "dill imports another module": (
        b"\x80\x04cdill._dill\n_import_module\n\x8c\x02os\x85R.",
        "imports 'os'",
    ),
    "dill takes another attribute": (
        b"\x80\x04cdill._dill\n_get_attr\ncdill._dill\n_import_module\n\x8c\x05numpy\x85R"
        b"\x8c\x04load\x86R.",
        "'numpy.load'",
    ),
    "dill takes an attribute of an attribute": (
        b"\x80\x04cdill._dill\n_get_attr\ncnumpy\nndarray\n\x8c\x06tofile\x86R.",
        "attribute of numpy.ndarray",
    ),
    "a dotted attribute": (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "ndarray.tofile"),
    "a call of a call's result": (
        b"\x80\x04cbuiltins\ndict\n)R\x8c\x01a\x85R.",
        "calling a dict is not allowed",
    ),
    "a class is called that only stands for a kind": (
        b"\x80\x04cnumpy\nndarray\nJ\x00\x00\x00\x7f\x85R.",
        "calling numpy.ndarray is not allowed",
    ),
    "dill makes an array with another function": (
        b"\x80\x04cdill._dill\n_create_array\n(cbuiltins\ndict\n)NNtR.",
        "an array made by builtins.dict is not allowed",
    ),
    "jax makes an array with another function": (
        b"\x80\x04cjax._src.array\n_reconstruct_array\n(cposix\nsystem\n\x8c\x02id\x85)}tR.",
        "posix.system",
    ),
    "a state for a name": (
        b"\x80\x04cnumpy\nndarray\n}\x8c\x01a\x8c\x01bsb.",
        "giving numpy.ndarray a state is not allowed",
    ),
    "a new object": (b"\x80\x04cnumpy\nndarray\n)\x81.", "instruction NEWOBJ is not allowed"),
    "a new object of a class": (b"\x80\x02(cnumpy\nndarray\no.", "instruction OBJ is not allowed"),
    "an instance": (b"(S'ls'\nios\nsystem\n.", "instruction STRING is not allowed"),
    "an extension": (b"\x80\x02\x82\x01.", "instruction EXT1 is not allowed"),
    "a persistent id": (b"\x80\x02Pid\n.", "instruction PERSID is not allowed"),
    "a buffer from outside": (b"\x80\x05\x97.", "instruction NEXT_BUFFER is not allowed"),
    "a long integer of 2 GB": (
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "instruction LONG4 is not allowed",
    ),
    "a set": (b"\x80\x04\x8f.", "instruction EMPTY_SET is not allowed"),
    "objects": (
        b"\x80\x04cnumpy\ndtype\n\x8c\x01O\x85R.",
        "dtype 'O' is not allowed",
    ),
    "a structured dtype": (
        b"\x80\x04cnumpy\ndtype\n\x8c\x05f4,f4\x85R.",
        "dtype 'f4,f4' is not allowed",
    ),
    "a list for an array": (b"\x80\x04}\x8c\x01a]s.", "a list instead of an array"),
    "an array never filled": (
        b"\x80\x04}\x8c\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        b"C\x01b\x87Rs.",
        "an array instead of",
    ),
    "a key that is no string": (b"\x80\x04}K\x01K\x01s.", "keys are strings"),
    "a key that occurs twice": (b"\x80\x04}(\x8c\x01aK\x01\x8c\x01aK\x02u.", "occurs twice"),
    "no dict": (b"\x80\x04K\x01.", "holds a ndarray; expected a dict"),
    "a protocol of the future": (b"\x80\x06}.", "protocol 6"),
    "something after the end": (b"\x80\x04}.garbage", "7 bytes follow the end"),
    "an unfinished value": (b"\x80\x04}}.", "ends in the middle"),
    "values that are not there": (b"\x80\x04\x87.", "uses more values"),
    "a value that was not stored": (b"\x80\x04h\x05.", "recalls value 5"),
    "text": (b"hello world", "checkpoint.pkl, byte 0"),
    "no text": (b"\xff\xfe\x00", "not a pickle instruction"),
    "empty": (b"", "is empty"),
    "a zip": (b"PK\x03\x04" + bytes(100), "is a zip file"),
}


@pytest.mark.parametrize("case", NESTED)
def test_tricks_are_refused(case, file):
    data, message = NESTED[case]
    refused(file(data), message)


@pytest.mark.parametrize("opcode", [b"B", b"\x8e", b"\x96", b"X", b"\x8d"])
def test_a_declared_size_is_compared_with_the_file(opcode, file):
    long = opcode in (b"\x8e", b"\x96", b"\x8d")
    size = struct.pack("<Q", 10 << 30) if long else struct.pack("<I", 3 << 30)
    refused(file(b"\x80\x05" + opcode + size + b"abc."), r"bytes are declared, but \d+ are left")


def test_a_declared_frame_too(file):
    refused(file(b"\x80\x04\x95" + struct.pack("<Q", 10 << 30) + b"}."), "a frame of")


@pytest.mark.parametrize("shape", [(10 << 30,), (1 << 20, 1 << 20, 1 << 20), (0,), (-1,), (2,)])
def test_a_declared_shape_is_compared_with_the_bytes(shape, file):
    data = pickle.dumps({"w": np.ones(1, np.float32)}, protocol=4)
    # Of the state (1, (1,), ...) the shape is replaced; the frame, whose size changes, is dropped.
    new = pickletools.optimize(pickle.dumps(shape, protocol=2))[2:-1]
    assert data.count(b"K\x01K\x01\x85") == 1
    changed = data[:2] + data[11:].replace(b"K\x01K\x01\x85", b"K\x01" + new)
    refused(file(changed), "bytes, but there are 4|shape")


def test_a_file_cut_anywhere_is_refused(file):
    data = pickle.dumps(TREE, protocol=4)
    for length in [*range(1, 300), *range(300, len(data), 199)]:
        with pytest.raises(RefusedError):
            read_arrays(file(data[:length]))


@pytest.mark.parametrize("protocol", [5, *(pytest.param(n, marks=SLOW) for n in range(5))])
def test_a_file_with_any_byte_changed_is_read_or_refused(protocol, file):
    tree = {"params": {"a": {"w": np.ones(2, np.float32)}}}
    data = pickle.dumps(tree, protocol=protocol)
    for place in range(len(data)):
        # MARK, REDUCE, BUILD, and a neighbour.
        for value in (0x28, 0x52, 0x62, data[place] ^ 1):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            with contextlib.suppress(RefusedError):
                read_arrays(file(changed))


def test_tiny_instructions_cannot_fill_memory(file):
    refused(file(b"\x80\x04" + b"}" * (MAX_STEPS + 1) + b"."), "more than 1000000 instructions")


def test_nor_one_dict_that_stands_in_many_places(file):
    inner = b"}(" + b"".join(b"\x8c\x04%04dK\x01" % n for n in range(2000)) + b"u\x94"
    outer = b"}(" + b"".join(b"\x8c\x04%04dh\x00" % n for n in range(2000)) + b"u"
    refused(file(b"\x80\x04" + inner + b"0" + outer + b"."), "more than 1000000 items")


def test_nor_a_dict_in_itself(file):
    refused(file(b"\x80\x04}\x94\x8c\x01ah\x00s."), "instead of an array")


def test_nor_one_text_encoded_again_and_again(file):
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"\x94"
    again = b"c_codecs\nencode\nh\x00\x8c\x06latin1\x86R0" * 1000
    refused(file(b"\x80\x04" + text + again + b"."), "again and again")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "nothing.pkl")


def test_no_reader_imports_what_it_reads():
    """The files use no pickle module, no import by name and no evaluation."""
    for module in (pickle_names, pickle_machine, pickle_reader, torch_reader, word_lists):
        names = {
            value.__name__ for value in vars(module).values() if isinstance(value, types.ModuleType)
        }
        assert not names & {"pickle", "dill", "importlib", "subprocess", "sys", "builtins"}
