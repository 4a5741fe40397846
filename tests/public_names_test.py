# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tests of the names of `mmv_tf`, which type checkers and Python get from two lists."""

import ast
import importlib
import inspect

import mmv_tf


def _declared() -> dict[str, str]:
    """Return the names that type checkers see -> the modules that they come from."""
    tree = ast.parse(inspect.getsource(mmv_tf))
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {
        alias.asname or alias.name: statement.module or ""
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_type_checkers_see_the_names_that_python_finds():
    lists = {"Any", "TYPE_CHECKING", "backend_choice", "importlib", "sys"}
    found = {name for name in dir(mmv_tf) if not name.startswith("_")} - lists
    # Imported modules of the package become attributes, such as `version`.
    loaded = {name for name in found if inspect.ismodule(getattr(mmv_tf, name))}
    declared = _declared()
    assert found - loaded == {
        name for name in declared if not inspect.ismodule(getattr(mmv_tf, name))
    }
    assert {name for name in declared if inspect.ismodule(getattr(mmv_tf, name))} <= loaded


def test_both_lists_name_the_same_objects():
    for name, module in _declared().items():
        origin = importlib.import_module(module)
        expected = getattr(origin, name, None) or importlib.import_module(f"{module}.{name}")
        assert getattr(mmv_tf, name) is expected
