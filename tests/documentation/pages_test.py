# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""README.md and docs/ name what is there: functions with their arguments, files, headings."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pathlib
import re
from typing import Any

import pytest

from tests.documentation import pages

ROOT = pages.ROOT
PYTHON = [
    block
    for page in pages.pages()
    for block in pages.blocks(page)
    if block.language == "python"
    or (block.language == "" and re.match(r"(import|from) \w", block.text))
]


def resolved(name: str) -> Any:
    """The object of a dotted name; an AttributeError or ImportError if there is none."""
    parts = name.split(".")
    try:
        return functools.reduce(getattr, parts[1:], importlib.import_module(parts[0]))
    except AttributeError:
        # A module that is not imported yet, or whose name one of its functions has taken.
        owner = importlib.import_module(".".join(parts[:-1]))
        return getattr(owner, parts[-1], None) or importlib.import_module(name)


class Names(ast.NodeVisitor):
    """Collects dotted names that lead into mmv_tf, and the arguments they are called with."""

    def __init__(self) -> None:
        self.imported: dict[str, str] = {}
        self.names: set[str] = set()
        self.calls: list[tuple[str, list[str]]] = []

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.asname or alias.name.split(".")[0], alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._add(alias.asname or alias.name, f"{node.module}.{alias.name}")

    def _add(self, local: str, name: str) -> None:
        if name.split(".")[0] == "mmv_tf":
            self.names.add(name)
            self.imported[local] = name

    def dotted(self, node: ast.AST) -> str | None:
        if isinstance(node, ast.Name):
            return self.imported.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return owner and f"{owner}.{node.attr}"
        return None

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self.dotted(node)
        if name:
            self.names.add(name)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self.dotted(node.func)
        if name:
            self.calls.append((name, [word.arg for word in node.keywords if word.arg]))
        self.generic_visit(node)


def parsed(block: pages.Block) -> Names:
    tree = ast.parse(block.text, f"{block.page}:{block.line}")
    found = Names()
    found.visit(tree)
    if not found.imported and "mmv_tf." in block.text:  # an earlier block imported it
        found.imported["mmv_tf"] = "mmv_tf"
        found.visit(tree)
    return found


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"{block.page}:{block.line}")
def test_python_names_exist_and_take_these_arguments(block):
    found = parsed(block)
    for name in found.names:
        resolved(name)
    for name, keywords in found.calls:
        parameters = inspect.signature(resolved(name)).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            assert set(keywords) <= set(parameters), name


def test_names_in_the_text_exist():
    """Spans such as `mmv_tf.data.Reader`."""
    for page in pages.pages():
        for block in pages.blocks(page):
            if block.language == "span" and re.fullmatch(r"mmv_tf(\.\w+)+(\(.*\))?", block.text):
                assert resolved(block.text.partition("(")[0]), f"{block.page}:{block.line}"


def prose(page: pathlib.Path) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.S)


def slugs(page: pathlib.Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    kept = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading) for heading in kept}


@pytest.mark.parametrize("page", pages.pages(), ids=pages.name_of)
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        # The site has only what is in docs/.
        if page.parent != ROOT:
            assert (ROOT / "docs") in file.resolve().parents, target
        if anchor and file.suffix == ".md":
            assert anchor in slugs(file), target


def test_the_site_has_every_page():
    listed = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    there |= {f"notebooks/{path.stem}.md" for path in ROOT.glob("examples/*.ipynb")}  # generated
    assert listed == there, "add new pages to the nav of mkdocs.yml"


def test_the_reference_has_every_public_folder():
    text = "\n".join(path.read_text() for path in ROOT.glob("docs/api/*.md"))
    shown = set(re.findall(r"^::: ([\w.]+)$", text, re.M))
    for name in shown:
        resolved(name)
    public = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in ROOT.glob("mmv_tf/*/**/__init__.py")
        if re.search(
            r"^from mmv_tf\S+ import (?!keras_backend)(\w+) as \1$", path.read_text(), re.M
        )
    }
    assert len(public) > 15
    assert {name for name in public if not name.startswith("mmv_tf.quickstart")} - shown == set()


def figures(page: pathlib.Path) -> dict[str, tuple[str, bool]]:
    """The figures of docs/measurements/performance.md: name -> value, and whether it missed."""
    rows = re.findall(r"^\| ([^|]+) \|[^|]*\| ([^|]+) \| ([^|]*) \|", page.read_text("utf-8"), re.M)
    return {name: (value, "missed" in mark) for name, value, mark in rows}


def test_measured_figures_of_the_readme_are_those_of_the_performance_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Measured\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| (.+) \| (met|missed) \|$", section, re.M)
    assert len(rows) >= 10
    known = figures(ROOT / "docs" / "measurements" / "performance.md")
    for name, value, mark in rows:
        assert known.get(name) == (value, mark == "missed"), name
    for number in re.findall(r"\d+\.\d %", section):  # in the text below the table
        assert number in (ROOT / "docs/measurements/evaluation.md").read_text().replace(" |", " %")


def test_p_values_of_the_readme_are_those_of_the_quickstart_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Three recipes")[0]
    values = re.findall(r"\((?:p = )?(0\.\d+)\b", text)
    assert len(values) == 4
    page = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
    rows = "".join(re.findall(r"^\| p, .*$", page, re.M))
    assert [value for value in values if f" {value} " not in rows] == []


def test_what_needs_something_says_what():
    for page in pages.pages():
        for block in pages.blocks(page):
            assert block.language == "span" or block.needs == "" or len(block.needs) > 10


def test_the_files_that_the_architecture_names_are_there():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| Where .*\? \| `([\w/.]+)` \|$", text, re.M)
    assert len(rows) == 35
    assert [name for name in rows if not (ROOT / "mmv_tf" / name).exists()] == []
