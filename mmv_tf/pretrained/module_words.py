# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds the words of a TF-Hub module in the lookup table of its graph.

The files are only read; nothing in them is executed. Tables may be initialized from an asset file,
from string constants (also inside functions, as TF2 saves them), or restored from the variables.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from mmv_tf.pretrained import saved_model_file

_FROM_FILE = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
_FROM_TENSORS = (
    "InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2",
    "LookupTableInsert", "LookupTableInsertV2",
)  # fmt: skip
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_SAME = ("Identity", "StopGradient", "Snapshot", "EnsureShape", "PlaceholderWithDefault", "Cast")
# Operations that assemble a table's constants.
_COMPUTED: dict[str, Callable[..., Any]] = {
    "Size": np.size,
    "Range": np.arange,
    "Reshape": np.reshape,
    "ConcatV2": lambda *parts: np.concatenate(parts[:-1], int(parts[-1])),
    "Pack": lambda *parts: np.stack(parts),
    "ExpandDims": lambda value, axis: np.expand_dims(value, int(axis)),
    "Add": np.add,
    "AddV2": np.add,
}
# Negative column numbers in TensorFlow's text file initializer.
_WHOLE_LINE, _LINE_NUMBER = -2, -1
# Ours: more bytes than any vocabulary has; depth of nested calls; number of calls.
_MAX_BYTES = 1 << 28
_MAX_WORDS = 1 << 26
_MAX_DEPTH = 100
_MAX_CALLS = 10_000


class _UnresolvedError(Exception):
    """A tensor that is not computed from constants."""


@dataclasses.dataclass(frozen=True)
class _Scope:
    """A graph, or a function's body with the tensors of its call.

    Attributes:
      nodes: the nodes by name.
      arguments: argument name -> the caller's scope and tensor.
    """

    nodes: Mapping[str, node_def_pb2.NodeDef]
    arguments: Mapping[str, tuple[_Scope, str]]


def words_of_module(directory: str | os.PathLike[str]) -> dict[str, int]:
    """Read the words that a module knows; of several tables, the largest is used.

    Args:
      directory: a SavedModel, in the TF1 format of TF-Hub or in TF2's.

    Returns:
      Word -> id, in id order.

    Raises:
      ValueError: there is no SavedModel, it has no table of words, or a word is empty, a
        duplicate or not UTF-8 text.
    """
    saved = saved_model_file.read_saved_model(directory)
    folder = saved_model_file.find_saved_model(directory) or pathlib.Path(directory)
    graph = saved_model_file.inference_graph(saved)
    tables = [*_GraphTables(folder, graph).tables(), *_restored_tables(folder)]
    if not tables:
        raise ValueError(
            f"{folder} holds no readable table of words; pass the words as a file "
            "(--vocabulary=FILE)."
        )
    words, ids = max(tables, key=lambda table: len(table[0]))
    return _checked(words, ids, str(folder))


class _GraphTables:
    """Lookup tables that a graph initializes."""

    def __init__(self, folder: pathlib.Path, graph: meta_graph_pb2.MetaGraphDef):
        self._folder = folder
        self._assets = saved_model_file.assets(graph)
        self._root = _Scope({node.name: node for node in graph.graph_def.node}, {})
        self._functions = {
            function.signature.name: function for function in graph.graph_def.library.function
        }
        self._initializing: dict[str, bool] = {}

    def tables(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the keys and ids of each table whose words are known; word -> id tables first."""
        reversed_tables = []
        for scope, node in self._initializers():
            inputs = _inputs(node)[1:]
            try:
                if node.op in _FROM_FILE and len(inputs) == 1:
                    keys, values = self._read_file(scope, node)
                elif node.op in _FROM_TENSORS and len(inputs) == 2:
                    keys, values = (self._constant(scope, name) for name in inputs)
                else:
                    continue
            except _UnresolvedError:
                continue
            keys, values = keys.ravel(), values.ravel()
            if _is_table(keys, values):
                yield keys, values
            elif _is_table(values, keys):
                reversed_tables.append((values, keys))
        yield from reversed_tables

    def _initializers(self) -> Iterator[tuple[_Scope, node_def_pb2.NodeDef]]:
        waiting = [self._root]
        for _ in range(_MAX_CALLS):
            if not waiting:
                return
            scope = waiting.pop()
            for node in scope.nodes.values():
                if node.op in _FROM_FILE + _FROM_TENSORS:
                    yield scope, node
                name = _called(node)
                if self._initializes(name, 0):
                    function = self._functions[name]
                    inputs = [(scope, tensor) for tensor in _inputs(node)]
                    names = [argument.name for argument in function.signature.input_arg]
                    body = {node.name: node for node in function.node_def}
                    waiting.append(_Scope(body, dict(zip(names, inputs, strict=False))))

    def _initializes(self, name: str, depth: int) -> bool:
        """Return whether a function initializes a table, or calls one that does."""
        if name not in self._functions or depth > _MAX_DEPTH:
            return False
        if name not in self._initializing:
            self._initializing[name] = False  # During the search: functions may call themselves.
            self._initializing[name] = any(
                node.op in _FROM_FILE + _FROM_TENSORS or self._initializes(_called(node), depth + 1)
                for node in self._functions[name].node_def
            )
        return self._initializing[name]

    def _node(self, scope: _Scope, tensor: str) -> tuple[_Scope, node_def_pb2.NodeDef]:
        """Return the node that computes a tensor, in this scope or a caller's."""
        for _ in range(_MAX_DEPTH):
            name = tensor.split(":")[0]
            if name in scope.nodes:
                return scope, scope.nodes[name]
            if name not in scope.arguments:
                break
            scope, tensor = scope.arguments[name]
        raise _UnresolvedError(tensor)

    def _constant(self, scope: _Scope, tensor: str, depth: int = 0) -> np.ndarray:
        scope, node = self._node(scope, tensor)
        if depth > _MAX_DEPTH:
            raise _UnresolvedError(tensor)
        if node.op == "Const":
            proto = node.attr["value"].tensor
            if np.prod([float(dim.size) for dim in proto.tensor_shape.dim]) > _MAX_WORDS:
                raise _UnresolvedError(tensor)
            return self._computed(tensor, tf.make_ndarray, proto)
        inputs = _inputs(node)
        if node.op in _SAME and inputs:
            return self._constant(scope, inputs[0], depth + 1)
        if node.op not in _COMPUTED:
            raise _UnresolvedError(tensor)
        values = [self._constant(scope, name, depth + 1) for name in inputs]
        if node.op == "Range" and not 0 <= values[1] - values[0] <= _MAX_WORDS:
            raise _UnresolvedError(tensor)
        return self._computed(tensor, _COMPUTED[node.op], *values)

    def _computed(self, tensor: str, function: Callable[..., Any], *values: Any) -> np.ndarray:
        try:
            return np.asarray(function(*values))
        # Shapes and types of a damaged graph don't fit.
        except (ValueError, TypeError, IndexError) as error:
            raise _UnresolvedError(tensor) from error

    def _read_file(
        self, scope: _Scope, node: node_def_pb2.NodeDef
    ) -> tuple[np.ndarray, np.ndarray]:
        path = saved_model_file.asset_path(self._folder, self._asset(scope, node.input[1]))
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; expected a list of words.")
        # TensorFlow ignores carriage returns too.
        data = path.read_bytes().replace(b"\r", b"")
        lines = data.removesuffix(b"\n").split(b"\n")[int(node.attr["offset"].i) :]
        count = int(node.attr["vocab_size"].i)
        lines = lines[:count] if count > 0 else lines
        delimiter = node.attr["delimiter"].s or b"\t"
        keys, values = (
            _column(lines, int(node.attr[name].i), delimiter, path)
            for name in ("key_index", "value_index")
        )
        return keys, values

    def _asset(self, scope: _Scope, tensor: str) -> str:
        """Return the name of the file whose path a tensor holds."""
        scope, node = self._node(scope, tensor)
        for _ in range(_MAX_DEPTH):
            if scope is self._root and f"{node.name}:0" in self._assets:
                return self._assets[f"{node.name}:0"]
            inputs = _inputs(node)
            if node.op == "ReadVariableOp" and inputs:
                # TF2 keeps the path in a variable.
                _, variable = self._node(scope, inputs[0])
                assigned = [
                    _inputs(one)[-1]
                    for one in self._root.nodes.values()
                    if one.op == "AssignVariableOp" and _inputs(one)[:1] == [variable.name]
                ]
                inputs = assigned[:1]
            if not inputs:
                break
            scope, node = self._node(scope, inputs[0])
        if len(set(self._assets.values())) == 1:
            return next(iter(self._assets.values()))
        raise _UnresolvedError(tensor)


def _inputs(node: node_def_pb2.NodeDef) -> list[str]:
    """Return the tensors that a node takes as input."""
    return [name for name in node.input if not name.startswith("^")]


def _called(node: node_def_pb2.NodeDef) -> str:
    """Return the name of the function that a node calls, or "" if there is none."""
    return node.attr["f"].func.name if node.op in _CALLS else node.op


def _column(lines: list[bytes], index: int, delimiter: bytes, path: pathlib.Path) -> np.ndarray:
    """Return a column of a text file: integers if all values are, else bytes."""
    if index == _LINE_NUMBER:
        return np.arange(len(lines))
    if index == _WHOLE_LINE:
        return np.array(lines, object)
    try:
        found = [line.split(delimiter)[index] for line in lines]
    except IndexError as error:
        raise ValueError(
            f"{path}: a line lacks column {index}; download the module again."
        ) from error
    try:
        return np.array([int(text) for text in found])
    except (ValueError, OverflowError):
        return np.array(found, object)


def _restored_tables(folder: pathlib.Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield tables whose words are stored with the variables: tables that training can change."""
    path = folder / "variables" / "variables"
    if not path.with_suffix(".index").is_file():
        return
    try:
        reader = tf.train.load_checkpoint(str(path))
        shapes = reader.get_variable_to_shape_map()
        for name in sorted(shapes):
            values = f"{name.removesuffix('keys')}values"
            if name.endswith("-keys") and values in shapes and np.prod(shapes[name]) < _MAX_WORDS:
                table = reader.get_tensor(name), reader.get_tensor(values)
                if _is_table(*table):
                    yield table
    # A damaged file raises one of TensorFlow's errors, or a RuntimeError from its Python code.
    except (tf.errors.OpError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path}.index is damaged ({reason}); download the module again."
        ) from error


def _is_table(words: np.ndarray, ids: np.ndarray) -> bool:
    """Return whether these are words and an equal number of integers."""
    return words.dtype.kind in "OS" and ids.dtype.kind in "iu" and 0 < len(words) == len(ids)


def _checked(words: np.ndarray, ids: np.ndarray, where: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for index in np.argsort(ids, kind="stable").tolist():
        data, number = words[index], int(ids[index])
        try:
            word = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{where}: word {number} is {data!r}, which is not UTF-8 text ({error.reason}); "
                "use another module."
            ) from error
        if not word.strip():
            raise ValueError(f"{where}: word {number} is empty; use another module.")
        if word in found:
            raise ValueError(
                f"{where}: words {found[word]} and {number} are both {word!r}; use another module."
            )
        if number < 0:
            raise ValueError(f"{where}: the word {word!r} has the id {number}; expected 0 or more.")
        found[word] = number
    return found
