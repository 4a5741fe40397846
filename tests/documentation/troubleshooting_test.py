# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/troubleshooting.md quotes messages that the programs print."""

from __future__ import annotations

import ast
import functools
import re

import pytest

from tests.documentation import pages

PAGE = pages.ROOT / "docs" / "troubleshooting.md"
QUOTED = re.findall(r"^> `(.+)`$", PAGE.read_text(encoding="utf-8"), re.M)
HOLE = "\0"  # in place of what a message inserts


def text_of(node: ast.expr) -> str | None:
    """Text of a literal, with holes for what is inserted; None for other expressions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values
        )
    return None


@functools.cache
def messages() -> tuple[str, ...]:
    """All texts in the package's sources."""
    found = set()
    for path in (pages.ROOT / "mmv_tf").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {text_of(node) for node in ast.walk(tree) if isinstance(node, ast.expr)}
    return tuple(text for text in found if text)


def says(message: str, quoted: str) -> bool:
    """Whether a source's text has the quoted parts in order."""
    parts = [re.escape(part) for part in quoted.split("...") if part.strip()]
    return re.search(".*".join(parts), message, re.S) is not None


def test_the_page_quotes_messages():
    assert len(QUOTED) >= 20
    assert not any(says(message, "a text that ... no program has") for message in messages())


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_program_prints_this_message(quoted):
    assert any(says(message, quoted) for message in messages())
