# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files of torch.save are read in both formats, and nothing in them runs or fills memory."""

from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from mmv_tf.pretrained.pickle_names import RefusedError
from mmv_tf.pretrained.torch_reader import is_torch_file, read_state_dict
from tests.pretrained.mil_nce_checkpoints import FORMATS, Storage, Tensor, as_trained, tensors
from tests.pretrained.pickle_reader_test import Calls, more_memory

RANDOM = np.random.default_rng(0)
STATE = collections.OrderedDict(
    {
        "conv.weight": RANDOM.standard_normal((4, 3, 1, 2, 2)).astype(np.float32),
        "conv.bias": RANDOM.standard_normal(4).astype(np.float64),
        "half": np.arange(6, dtype=np.float16).reshape(2, 3),
        "norm.num_batches_tracked": np.array(1000, np.int64),
    }
)
MAKE = pytest.mark.parametrize("form", FORMATS)


def check(read, expected=STATE):
    assert list(read) == list(expected)
    for name, array in expected.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
        assert not read[name].flags.writeable


def refused(path, message):
    """Refused in one line with this message, in little memory and with nothing executed."""
    with more_memory() as more, pytest.raises(RefusedError, match=message) as caught:
        read_state_dict(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 1000
    assert more() < 100
    assert not os.path.exists(path.parent / "touched")


# What has to be read.


@MAKE
@pytest.mark.parametrize("protocol", range(2, 6))
def test_both_formats(form, protocol, file):
    path = file(FORMATS[form](tensors(STATE), protocol))
    assert is_torch_file(path)
    check(read_state_dict(path))


@MAKE
def test_what_training_saves(form, file):
    check(read_state_dict(file(FORMATS[form](as_trained(tensors(STATE))))))


@MAKE
def test_views_of_one_storage(form, file):
    values = np.arange(24, dtype=np.float32)
    storage = Storage("Float", values, "0")
    state = {
        "transposed": Tensor(storage, 0, (2, 3), (1, 2)),
        "later": Tensor(storage, 6, (2, 2, 1), (4, 1, 10**17)),
    }
    check(
        read_state_dict(file(FORMATS[form](state))),
        {
            "transposed": values[:6].reshape(3, 2).T,
            "later": np.array([[6, 7], [10, 11]], np.float32)[..., None],
        },
    )


@MAKE
def test_arrays_are_views_of_the_file(form, file):
    path = file(FORMATS[form](tensors({"w": np.ones(1 << 22, np.float32)})))
    with more_memory() as more:
        read = read_state_dict(path)
    assert more() < 4  # of 16
    np.testing.assert_array_equal(read["w"], 1)


def test_other_files_are_no_torch_files(file):
    assert not is_torch_file(file(pickle.dumps({"params": {}}, protocol=4)))
    assert not is_torch_file(file(b""))


# What has to be refused.


@MAKE
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch touched",), "posix.system"),
        (eval, ("open('touched', 'w')",), "eval"),
        (getattr, (dict, "keys"), "getattr"),
        (np.zeros, (10**12,), "numpy.*zeros"),
        (collections.Counter, ("aab",), "collections.Counter"),
    ],
)
@pytest.mark.parametrize("place", ["the state dict", "beside it"])
def test_calls_are_refused_by_name(
    form, function, arguments, name, place, file, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    state = tensors(STATE)
    if place == "beside it":
        value = {"state_dict": state, "optimizer": Calls(function, *arguments)}
    else:
        value = state | {"a": Calls(function, *arguments)}
    refused(file(FORMATS[form](value)), name)


def declared(path, count):
    """The file with another number of numbers for the first storage, in its pickle only."""
    data = path.read_bytes()
    old, new = b"X\x03\x00\x00\x00cpuq", struct.pack("<i", count)
    place = data.index(old) + len(old) + 1
    assert data[place : place + 2] == b"K\x30"
    return data[:place] + b"J" + new + data[place + 2 :]


def test_a_storage_larger_than_the_file(file):
    path = file(FORMATS["stream"](tensors(STATE)))
    refused(file(declared(path, 2**31 - 1)), "a storage of 8589934588 bytes is declared")
    path = file(FORMATS["stream"](tensors(STATE)))
    refused(file(declared(path, 96)), "has 48 values; its pickle declares 96")


def test_an_archive_whose_storage_is_shorter_than_declared(file):
    storage = Storage("Float", np.ones(300, np.float32), "0")
    data = FORMATS["archive"]({"w": Tensor(storage, 0, (300,), (1,))})
    assert data.count(b"data/0") == 2
    refused(file(data.replace(b"data/0", b"data/1")), "storage '0' is not in the archive")
    whole = zipfile.ZipFile(io.BytesIO(data))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as changed:
        for info in whole.infolist():
            content = whole.read(info)
            changed.writestr(info.filename, content[:8] if info.filename[-1] == "0" else content)
        changed.writestr("archive/more", bytes(2000))
    refused(file(buffer.getvalue()), "storage '0' has 8 bytes; its pickle declares 1200")


@MAKE
@pytest.mark.parametrize(
    ("offset", "shape", "strides", "message"),
    [
        (0, (3, 3), (3, 1), "not inside its storage of 8 values"),
        (6, (3,), (1,), "not inside its storage"),
        (0, (10**6, 10**6), (0, 0), "not inside its storage"),
        (0, (2, 2), (10**18, 1), "not inside its storage"),
        (0, (-1,), (1,), "its position is not allowed"),
        (-4, (1,), (1,), "its position is not allowed"),
        (0, (2,), (-1,), "its position is not allowed"),
        (0, (2.0,), (1,), "its position is not allowed"),
        (0, (2, 2), (1,), "strides"),
        (0, (0,), (1,), "each with at least one value"),
    ],
)
def test_a_tensor_that_is_not_inside_of_its_storage(form, offset, shape, strides, message, file):
    storage = Storage("Float", np.ones(8, np.float32), "0")
    refused(file(FORMATS[form]({"w": Tensor(storage, offset, shape, strides)})), message)


@MAKE
def test_many_tensors_over_the_same_numbers(form, file):
    storage = Storage("Float", np.ones(100_000, np.float32), "0")
    state = {str(index): Tensor(storage, 0, (100_000,), (1,)) for index in range(100)}
    refused(file(FORMATS[form](state)), "its tensors need 40000000 bytes")


@MAKE
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"state_dict": {}}, "expected a state dict"),
        ([1], "holds a list; expected a state dict"),
        ({"epoch": 1}, "holds a int under 'epoch'"),
        ({"state_dict": [1]}, "holds a list; expected a state dict"),
        ({"model": {"w": 1}}, "holds a dict under 'model'"),
    ],
)
def test_no_state_dict(form, value, message, file):
    refused(file(FORMATS[form](value)), message)


@MAKE
def test_a_file_cut_anywhere_is_refused(form, file):
    data = FORMATS[form](tensors(STATE))
    for length in [*range(1, 200, 7), *range(200, len(data), 61), len(data) - 1]:
        with pytest.raises(RefusedError):
            read_state_dict(file(data[:length]))


@MAKE
def test_a_file_with_any_byte_changed_is_read_or_refused(form, file):
    data = FORMATS[form](tensors({"w": np.ones(2, np.float32)}))
    for place in range(len(data)):
        for value in (0xFF, data[place] ^ 1):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            with contextlib.suppress(RefusedError):
                read_state_dict(file(changed))


def test_a_stream_with_something_after_it(file):
    refused(file(FORMATS["stream"](tensors(STATE)) + b"more"), "4 bytes follow the last storage")


def test_a_stream_of_something_else(file):
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    refused(
        file(magic + pickle.dumps(1, 2) + pickle.dumps({}, 2)), "like a file written by torch.save"
    )
    system = pickle.dumps({"little_endian": False}, 2)
    refused(file(magic + pickle.dumps(1001, 2) + system), "big-endian")


def test_a_zip_bomb(file):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"}" * (256 << 20))
    assert len(buffer.getvalue()) < 1 << 20
    refused(file(buffer.getvalue()), r"is compressed \(\d+ bytes for 268435456\)")
    data = FORMATS["archive"](tensors(STATE), compression=zipfile.ZIP_DEFLATED)
    refused(file(data), "load it with torch and save it again")


def test_an_archive_of_very_many_files(file):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(20_000):
            archive.writestr(f"archive/data/{index:06}", b"")
    refused(file(buffer.getvalue()), "its table of contents has 1300000 bytes")


def test_an_archive_that_declares_more_than_it_holds(file):
    data = bytearray(FORMATS["archive"](tensors(STATE)))
    # The size of the first file, data.pkl, in the table of contents.
    place = data.index(b"PK\x01\x02") + 20
    data[place : place + 8] = struct.pack("<II", 2**31, 2**31)
    refused(file(bytes(data)), "has 2147483648 bytes according to the archive's table")


def test_an_archive_of_another_kind(file):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", b"{}")
    refused(file(buffer.getvalue()), "a .keras file is read with `mmv_tf.load_model`")
    data = FORMATS["archive"](tensors(STATE), order=b"big")
    refused(file(data), "big-endian")


def test_an_empty_and_a_missing_file(file, tmp_path):
    refused(file(b""), "is empty")
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "nothing.pth")
