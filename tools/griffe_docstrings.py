# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Adapts the API reference to three conventions of this project (see mkdocs.yml).

In a docstring, "a, b: meaning" describes two arguments at once; Griffe, which reads docstrings,
would treat it as a single argument. Examples are doctests below "Example:", which Markdown would
treat as quotations. And a folder's `__init__` marks public names with `import A as
A`, as type checkers expect, while Griffe needs `__all__`.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_SECTION = re.compile(r"^( *)(Args|Attributes):$")
_ENTRY = re.compile(r"^( *)(\w+(?:, \w+)*): ?(.*)$")


# A doctest: its first line, and everything up to an empty line.
_DOCTEST = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.M)


class HouseStyle(griffe.Extension):
    """Griffe extension that splits shared argument descriptions and exports re-exported names."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Handle an object that has a docstring once it is loaded."""
        del kwargs
        if obj.docstring:
            obj.docstring.value = fence_examples(split_shared(obj.docstring.value))

    def on_module(self, *, mod: griffe.Module, **kwargs: Any) -> None:
        """Handle a module once its members are known."""
        del kwargs
        if mod.is_init_module and mod.exports is None:
            mod.exports = [
                name
                for name, member in mod.members.items()
                if member.is_alias and member.target_path.endswith(f".{name}")  # type: ignore[union-attr]
            ]


def split_shared(docstring: str) -> str:
    """Return a docstring in which every argument has its own entry."""
    found: list[str] = []
    lines = docstring.splitlines()
    while lines:
        line = lines.pop(0)
        found.append(line)
        section = _SECTION.match(line)
        while section and lines and (entry := _entry(lines, len(section[1]))):
            names, body = entry
            for name in names:
                found += [f"{section[1]}  {name}: {body[0]}", *body[1:]]
    return "\n".join(found)


def _entry(lines: list[str], indent: int) -> tuple[list[str], list[str]] | None:
    """Remove the next entry of a section from the lines; return its names and text by line."""
    first = _ENTRY.match(lines[0])
    if first is None or len(first[1]) <= indent:
        return None
    lines.pop(0)
    body = [first[3]]
    while lines and len(lines[0]) - len(lines[0].lstrip()) > len(first[1]):
        body.append(lines.pop(0))
    return first[2].split(", "), body


def fence_examples(text: str) -> str:
    """Return a docstring in which each doctest is a code block below a bold "Example"."""

    def fenced(found: re.Match[str]) -> str:
        indent, body = found[1], found[0]
        return f"{indent}```pycon\n{body}\n{indent}```"

    return re.sub(
        r"^( *)Example:\n(?= *```)", r"\1**Example**\n\n", _DOCTEST.sub(fenced, text), flags=re.M
    )
