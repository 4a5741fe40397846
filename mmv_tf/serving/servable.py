# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A served SavedModel: its version, its signatures, and calls to them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mmv_tf.publishing import WARMUP_FILE, read_contract, read_warmup

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
      dtype: TensorFlow's type.
      shape: shape; None for an axis of any size.
      limits: limits from the input contract; empty if there is none.
    """

    dtype: tf.DType
    shape: tuple[int | None, ...]
    limits: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function that clients can call."""

    name: str
    inputs: Mapping[str, TensorInfo]
    outputs: tuple[str, ...]


class Servable:
    """A loaded version of a model.

    Any SavedModel works if its signatures are named and have the batch as their first axis. Those
    written by `mmv_tf.publishing` have an input contract, against which requests are checked.

    Args:
      path: a folder of numbered versions, of which the newest is used, or a SavedModel.

    Attributes:
      version: version number; 1 if the folder has none.
      signatures: name -> `Signature`.
      contract: see `mmv_tf.publishing`; empty if the folder has none.
      signature_defs: the SavedModel's own protos, by name.

    Raises:
      ValueError: there is no SavedModel, or it can't be loaded.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path, self.version = find_version(path)
        try:
            self._module = tf.saved_model.load(str(self.path))
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ValueError(f"{self.path} can't be loaded: {reason[0]}") from error
        self._functions = dict(self._module.signatures)
        if not self._functions:
            raise ValueError(f"{self.path} has no signatures, so there is nothing to serve.")
        graph = saved_model_pb2.SavedModel.FromString((self.path / "saved_model.pb").read_bytes())
        definitions = graph.meta_graphs[0].signature_def
        self.signature_defs = {name: definitions[name] for name in self._functions}
        self.contract = self._read_contract()
        self.signatures = {
            name: _describe(name, function, self.contract["signatures"].get(name, {}))
            for name, function in self._functions.items()
        }

    def _read_contract(self) -> dict[str, Any]:
        return read_contract(self.path) or {"trained_at": {}, "signatures": {}}

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Call a signature; thread-safe."""
        tensors = {
            name: tf.constant(value, self.signatures[signature].inputs[name].dtype)
            for name, value in inputs.items()
        }
        return {key: value.numpy() for key, value in self._functions[signature](**tensors).items()}

    def warm_up(self) -> int:
        """Run the folder's warm-up requests and return their number.

        Raises:
          ValueError: the model fails on a request.
        """
        path = self.path / WARMUP_FILE
        if not path.is_file():
            return 0
        count = 0
        for request in read_warmup(path):
            inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
            name = request.model_spec.signature_name
            try:
                self.run(name, inputs)
            except Exception as error:
                raise ValueError(f"The warm-up request for {name!r} in {path} fails.") from error
            count += 1
        return count


def find_version(path: str | os.PathLike[str]) -> tuple[pathlib.Path, int]:
    """Return the SavedModel to serve, and its version.

    Raises:
      ValueError: there is none.
    """
    root = pathlib.Path(path).absolute()
    if (root / "saved_model.pb").is_file():
        return root, int(root.name) if root.name.isdecimal() else 1
    versions = [
        folder
        for folder in (root.iterdir() if root.is_dir() else ())
        if folder.name.isdecimal() and (folder / "saved_model.pb").is_file()
    ]
    if not versions:
        raise ValueError(
            f"{path} holds no SavedModel and no numbered versions of one; create one with "
            "mmv export --version=1."
        )
    newest = max(versions, key=lambda folder: int(folder.name))
    return newest, int(newest.name)


def _describe(name: str, function: Any, contract: Mapping[str, Any]) -> Signature:
    _, specs = function.structured_input_signature
    limits = contract.get("input", {})
    inputs = {
        key: TensorInfo(
            spec.dtype, tuple(spec.shape.as_list()), limits if limits.get("name") == key else {}
        )
        for key, spec in specs.items()
    }
    return Signature(name, inputs, tuple(sorted(function.structured_outputs)))
