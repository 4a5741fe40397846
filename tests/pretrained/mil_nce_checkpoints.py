# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Small checkpoints with the names and shapes of MIL-NCE's S3D-G, and torch's two file formats."""

from __future__ import annotations

import collections
import contextlib
import io
import pathlib
import pickle
import sys
import types
import zipfile

import numpy as np

from tests.pretrained import mil_nce_reference

WORDS = ("open close door cut the a tomato onion pan water don't it's café snake_case 2 猫").split()
TYPES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte"}
MAGIC = 0x1950A86A20F9469CFC6C
# Branch 0; 1 reduce, 1; 2 reduce, 2; 3: those of 3c, 4f and 5c at a sixteenth of the width.
SMALL_BLOCKS = {
    "mixed_3c": (8, 8, 12, 4, 8, 4),
    "mixed_4f": (16, 8, 20, 4, 8, 8),
    "mixed_5c": (24, 12, 24, 4, 8, 8),
}

RELEASED_BLOCKS = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}


class _Writer:
    def __init__(self, seed, mean=0.0):
        self.random = np.random.default_rng(seed)
        self.mean = mean
        self.state = collections.OrderedDict()

    def put(self, name, values):
        self.state[name] = np.asarray(values, np.float32)

    def linear(self, path, inputs, outputs):
        scale = np.sqrt(2 / inputs)
        self.put(f"{path}.weight", scale * self.random.standard_normal((outputs, inputs)))
        self.put(f"{path}.bias", 0.1 * self.random.standard_normal(outputs))

    def unit(self, path, inputs, outputs, kernels):
        for index, kernel in enumerate(kernels, start=1):
            shape = (outputs, inputs, *kernel)
            weights = self.mean + self.random.standard_normal(shape)
            self.put(f"{path}.conv{index}.weight", weights * np.sqrt(2 / np.prod(shape[1:])))
            norm = f"{path}.bn{index}"
            self.put(f"{norm}.weight", 1 + 0.1 * self.random.standard_normal(outputs))
            self.put(f"{norm}.bias", 0.1 * self.random.standard_normal(outputs))
            self.put(f"{norm}.running_mean", 0.2 * self.random.standard_normal(outputs))
            self.put(f"{norm}.running_var", 0.5 + self.random.random(outputs))
            self.state[f"{norm}.num_batches_tracked"] = np.array(10, np.int64)
            inputs = outputs


def small_state(stem="space_to_depth", seed=0):
    """Arrays of a network at a sixteenth of the width, three blocks long."""
    return _state(stem, seed, 4, 12, SMALL_BLOCKS, 10, (6, 14))


def released_state(seed=0):
    """Arrays of the released widths, with a small vocabulary.

    Kernels have a mean above zero: what is left of a sum of many terms of either sign is mostly
    rounding, which grows with each of the many layers.
    """
    return _state("space_to_depth", seed, 64, 192, RELEASED_BLOCKS, 512, (300, 2048), 0.5)


def _state(stem, seed, first, second, blocks, dim, text, mean=0.0):
    writer, cube, point = _Writer(seed, mean), [(1, 3, 3), (3, 1, 1)], [(1, 1, 1)]
    if stem == "space_to_depth":
        writer.unit("conv1", 24, first, [(2, 4, 4)])
    else:
        writer.unit("conv1", 3, first, [(3, 7, 7)])
    writer.unit("conv_2b", first, first, point)
    writer.unit("conv_2c", first, second, cube)
    writer.linear("gating.fc", second, second)
    channels = second
    for block, (one, reduce_2, two, reduce_3, three, four) in blocks.items():
        writer.unit(f"{block}.conv_b0", channels, one, point)
        writer.unit(f"{block}.conv_b1_a", channels, reduce_2, point)
        writer.unit(f"{block}.conv_b1_b", reduce_2, two, cube)
        writer.unit(f"{block}.conv_b2_a", channels, reduce_3, point)
        writer.unit(f"{block}.conv_b2_b", reduce_3, three, cube)
        writer.unit(f"{block}.conv_b3_b", channels, four, point)
        for branch, count in enumerate((one, two, three, four)):
            writer.linear(f"{block}.gating_b{branch}.fc", count, count)
        channels = one + two + three + four
    writer.linear("fc", channels, dim)
    table = writer.random.standard_normal((len(WORDS) + 1, text[0]))
    writer.put("text_module.word_embd.weight", table)
    writer.linear("text_module.fc1", *text)
    writer.linear("text_module.fc2", text[1], dim)
    return writer.state


def measured(state, clips):
    """The state with norms that keep the size of what some clips give."""

    class Measuring(mil_nce_reference.Network):
        def norm(self, x, path):
            self.state[f"{path}.running_mean"] = 0.5 * x.mean((0, 2, 3, 4))
            self.state[f"{path}.running_var"] = (x**2).mean((0, 2, 3, 4))
            return super().norm(x, path)

    network = Measuring(state)
    network.video(clips)
    return collections.OrderedDict(
        (name, np.asarray(network.state[name], array.dtype)) for name, array in state.items()
    )


# Torch's objects, as far as a pickle of tensors names them.


class Storage:
    """Pickles to a persistent id."""

    def __init__(self, kind, values, key):
        self.kind, self.values, self.key = kind, values, key


class Tensor:
    """Pickles to torch's call; strides count numbers."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class _Pickler(pickle.Pickler):
    storages: dict

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        self.storages[value.key] = value
        kind = getattr(sys.modules["torch"], f"{value.kind}Storage")
        known = ("storage", kind, value.key, "cpu", value.values.size)
        return (*known, None) if self.stream else known


@contextlib.contextmanager
def _torch():
    """Within it, modules of torch's names with what a pickle names of them."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    for kind in TYPES.values():
        name = f"{kind}Storage"
        setattr(modules["torch"], name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        """Stands for torch's."""

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    modules["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def tensors(state):
    """The same with a tensor for each array, and the versions of modules that torch adds."""
    made = collections.OrderedDict()
    for index, (name, array) in enumerate(state.items()):
        storage = Storage(TYPES[array.dtype.str[1:]], array.ravel(), str(index))
        strides = tuple(stride // array.itemsize for stride in np.empty_like(array).strides)
        made[name] = Tensor(storage, 0, array.shape, strides)
    made._metadata = collections.OrderedDict({"": {"version": 1}})
    return made


def _dumped(value, protocol, stream):
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, protocol)
    pickler.storages, pickler.stream = {}, stream
    with _torch():
        pickler.dump(value)
    return buffer.getvalue(), pickler.storages


def stream(value, protocol=2):
    """Bytes of a file in torch's format from before 1.6."""
    body, storages = _dumped(value, protocol, True)
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    parts = [pickle.dumps(part, protocol) for part in (MAGIC, 1001, system)]
    # Torch sorts the keys, which are addresses: not the order of the tensors.
    keys = sorted(storages)
    parts += [body, pickle.dumps(keys, protocol)]
    for key in keys:
        values = storages[key].values
        parts += [int(values.size).to_bytes(8, "little"), values.tobytes()]
    return b"".join(parts)


def archive(value, protocol=2, compression=zipfile.ZIP_STORED, order=b"little"):
    """Bytes of a file in torch's format since 1.6; each file in it is padded to 64 bytes."""
    body, storages = _dumped(value, protocol, False)
    files = {"data.pkl": body, "byteorder": order, "version": b"3\n"}
    files.update({f"data/{key}": s.values.tobytes() for key, s in storages.items()})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as written:
        for name, data in files.items():
            info = zipfile.ZipInfo(f"archive/{name}")
            info.compress_type = compression
            begin = buffer.tell() + 30 + len(info.filename) + 4
            padding = -begin % 64
            info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
            written.writestr(info, data)
    return buffer.getvalue()


FORMATS = {"stream": stream, "archive": archive}


def write(path, state, form="stream", wrap=None):
    """Writes a state dict; `wrap` makes what is saved of its tensors."""
    made = tensors(state)
    data = FORMATS[form](made if wrap is None else wrap(made))
    pathlib.Path(path).write_bytes(data)
    return path


def as_trained(state):
    """What MIL-NCE's training code saves: the network in `DataParallel`, Adam and a schedule."""
    exponential = Tensor(Storage("Float", np.ones(3, np.float32), "moment"), 0, (3,), (1,))
    group = {"lr": 1e-3, "betas": (0.9, 0.999), "amsgrad": False, "params": [0, 139871234567890]}
    return {
        "epoch": 3,
        "state_dict": collections.OrderedDict((f"module.{k}", v) for k, v in state.items()),
        "optimizer": {
            "state": {139871234567890: {"step": 7, "exp_avg": exponential}},
            "param_groups": [group],
        },
        "scheduler": {"base_lrs": [1e-3], "last_epoch": 7, "lr_lambdas": [None]},
    }
