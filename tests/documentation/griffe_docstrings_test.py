# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Docstrings reach the API reference as they are meant."""

import importlib
import sys
import types

import pytest

from tests.documentation import pages


@pytest.fixture
def house_style(monkeypatch):
    """The module, without Griffe, which is in the environment of the docs only."""
    monkeypatch.setitem(
        sys.modules, "griffe", types.SimpleNamespace(Extension=object, Module=object)
    )
    monkeypatch.delitem(sys.modules, "tools.griffe_docstrings", raising=False)
    yield importlib.import_module("tools.griffe_docstrings")
    sys.modules.pop("tools.griffe_docstrings", None)


def test_shared_descriptions_are_split(house_style):
    text = "Title.\n\nArgs:\n  a, b: two of\n    them.\n  c: one."
    split = "Title.\n\nArgs:\n  a: two of\n    them.\n  b: two of\n    them.\n  c: one."
    assert house_style.split_shared(text) == split


def test_doctests_become_blocks_of_code(house_style):
    text = 'Title.\n\nExample:\n>>> a = 1\n>>> a["x"]["y"]\n1\n\n>>> last\n'
    assert house_style.fence_examples(text) == (
        'Title.\n\n**Example**\n\n```pycon\n>>> a = 1\n>>> a["x"]["y"]\n1\n```\n\n'
        "```pycon\n>>> last\n```\n"
    )
    assert house_style.fence_examples("Title.\n\nExample: none.") == "Title.\n\nExample: none."


def test_the_site_fails_on_warnings():
    assert "\nstrict: true\n" in (pages.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    (build,) = [line for line in makefile.splitlines() if "-m mkdocs build" in line]
    assert "--quiet" not in build and "-q" not in build.split()
