# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Docstrings say what they describe, and cite what anybody can open."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("mmv_tf", "binaries", "configs", "projects", "benchmarks", "examples", "tools")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
# "Where" and "when" may open a condition; these never open a description.
NOUN_CLAUSE = re.compile(r"(What|Which|Whether|How|Who|See|Constructor arguments)\b")
UNUSUAL = re.compile(r"\b(goes on|gone on|is held against|there shall be|no more than is)\b", re.I)
PRIVATE = re.compile(r"\b(PAPER|TRAPS|DESIGN|REVIEW)\b(\.md| section| \d)")


def docstrings(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, kinds) and (said := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), said


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_open_with_an_imperative_or_a_noun(path):
    wrong = [
        f"{line}: {said.splitlines()[0]}"
        for line, said in docstrings(path)
        if NOUN_CLAUSE.match(said) or UNUSUAL.search(said)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_cited_that_is_not_here():
    texts = [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    texts += (ROOT / "tests").rglob("*.py")
    wrong = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in texts
        if path != pathlib.Path(__file__)
        for found in PRIVATE.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)
