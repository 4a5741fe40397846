# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What README.md, CONTRIBUTING.md and docs/ show as code: commands and Python.

A command is a line of a fenced or indented block, or a span of code in the text, that begins with
one of `COMMANDS`; a backslash at its end goes on with the next line. `<!-- needs: ... -->` on the
line before a block says what can't be had here, so that nothing runs it.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = ("mmv", "python", "make", "pytest", "pip", "docker", "curl", "git", "sha256sum")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced or indented block, or a span: its language, its text, and what it needs."""

    page: str
    line: int
    language: str
    text: str
    needs: str = ""


@dataclasses.dataclass(frozen=True)
class Command:
    """The words of a command, where it stands, and whether that is within the text."""

    where: str
    words: tuple[str, ...]
    needs: str
    inline: bool


def pages() -> list[pathlib.Path]:
    """All pages."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


def name_of(page: pathlib.Path) -> str:
    """A page's path in the tree."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: pathlib.Path) -> list[Block]:
    """Fenced and indented blocks in order, then the spans of code in the text."""
    found: list[Block] = []
    prose: list[tuple[int, str]] = []
    needs = ""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line, start = lines[number], number + 1
        number += 1
        fence = re.match(r"\s*```(\w*)$", line)
        marked = re.fullmatch(r"\s*<!-- needs: (.+) -->", line)
        if fence:
            body = []
            while lines[number].strip() != "```":
                body.append(lines[number])
                number += 1
            number += 1
            found.append(Block(name_of(page), start, fence[1], "\n".join(body), needs))
        elif line.startswith("    ") and (start < 2 or not lines[start - 2].strip()):
            body = [line[4:]]
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number]):
                body.append(lines[number][4:])
                number += 1
            found.append(Block(name_of(page), start, "", "\n".join(body).rstrip(), needs))
        elif not marked:
            prose.append((start, line))
        needs = marked[1] if marked else ""
    for start, line in prose:
        found += [
            Block(name_of(page), start, "span", text) for text in re.findall("`([^`]+)`", line)
        ]
    return found


def commands(page: pathlib.Path) -> list[Command]:
    """All commands of a page."""
    found = []
    for block in blocks(page):
        if block.language == "python":
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            first = line.split(maxsplit=1)[0] if line.strip() else ""
            if first in COMMANDS and (block.language != "span" or " " in line):
                words = tuple(shlex.split(line, comments=True))
                where, inline = f"{block.page}:{block.line}", block.language == "span"
                found.append(Command(where, words, block.needs, inline))
    return found
