# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""BUILD is true: it covers every file once, names none that is missing, and its deps are complete.

BUILD is Starlark, which for what a BUILD file may hold is a subset of Python's syntax. So it is run
here, with rules that only take notes, and no Bazel is needed.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import graphlib
import pathlib
import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parents[1]
RULES = ("py_library", "py_binary", "py_test")


@dataclasses.dataclass(frozen=True)
class Target:
    rule: str
    name: str
    srcs: tuple[str, ...]
    deps: tuple[str, ...]
    main: str | None


@dataclasses.dataclass
class BuildFile:
    """What running BUILD gave."""

    targets: list[Target]
    named: list[str]  # files that are named, not globbed
    empty_globs: list[str]
    variables: dict[str, Any]


def run_build_file(path: pathlib.Path) -> BuildFile:
    root = path.parent
    build = BuildFile(targets=[], named=[], empty_globs=[], variables={})
    globbed: set[str] = set()

    def matches(patterns: list[str]) -> set[str]:
        # A trailing ** means files to Bazel and directories to pathlib.
        paths = (
            found
            for pattern in patterns
            for found in root.glob(re.sub(r"\*\*$", "**/*", pattern))
            if found.is_file() and "__pycache__" not in found.parts
        )
        return {found.relative_to(root).as_posix() for found in paths}

    def glob(include: list[str], exclude: list[str] = (), allow_empty: bool = False) -> list[str]:  # type: ignore[assignment]
        found = sorted(matches(include) - matches(exclude))
        if not found and not allow_empty:
            build.empty_globs.append(str(include))
        globbed.update(found)
        return found

    def rule(kind: str):
        def declare(name, srcs=(), deps=(), data=(), main=None, args=(), testonly=False):
            del args, testonly
            build.targets.append(Target(kind, name, tuple(srcs), tuple(deps), main))
            files = [*srcs, *data, *([main] if main else [])]
            build.named.extend(file for file in files if file not in globbed)

        return declare

    def ignore(*args, **kwargs):
        del args, kwargs

    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree):
        # Python that Starlark's BUILD files don't have.
        assert not isinstance(
            node,
            ast.FunctionDef | ast.Lambda | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.For
            | ast.While | ast.Try | ast.With | ast.ClassDef | ast.If | ast.GeneratorExp,
        ), f"BUILD:{node.lineno}: {type(node).__name__} is not allowed in a BUILD file"  # fmt: skip
    names = {
        "__builtins__": {},
        "glob": glob,
        "load": ignore,
        "package": ignore,
        "licenses": ignore,
        "exports_files": lambda files: build.named.extend(files),
        **{kind: rule(kind) for kind in RULES},
    }
    exec(compile(tree, str(path), "exec"), names)
    build.variables = names
    return build


@pytest.fixture(scope="module")
def build() -> BuildFile:
    return run_build_file(ROOT / "BUILD")


def files(pattern: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)}


def test_every_file_is_in_one_target(build):
    count = collections.Counter(file for target in build.targets for file in set(target.srcs))
    expected = files("mmv_tf/**/*.py") | files("binaries/**/*.py") | files("tests/**/*_test.py")
    wrong = {file: count[file] for file in sorted(expected) if count[file] != 1}
    assert not wrong, f"files and the number of targets that hold them, which must be 1: {wrong}"


def test_no_named_file_is_missing(build):
    assert [file for file in build.named if not (ROOT / file).is_file()] == []
    assert build.empty_globs == []


def test_programs_and_tests_have_their_rules(build):
    binaries = {t.srcs[0] for t in build.targets if t.rule == "py_binary"}
    assert binaries == files("binaries/*.py") - {"binaries/__init__.py"}
    tests = {t.srcs[0] for t in build.targets if t.rule == "py_test"}
    assert tests == files("tests/**/*_test.py")
    assert all(t.main in t.srcs for t in build.targets if t.rule != "py_library")


def test_names_are_unique_and_deps_exist(build):
    names = collections.Counter(target.name for target in build.targets)
    assert [name for name, count in names.items() if count > 1] == []
    deps = {dep for target in build.targets for dep in target.deps if not dep.startswith("@")}
    assert deps <= {f":{name}" for name in names}


def test_runtime_is_what_pyproject_requires(build):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [Requirement(text).name for text in project["dependencies"]]
    assert build.variables["RUNTIME"] == sorted(
        "@pypi//" + re.sub(r"[-_.]+", "_", name).lower() for name in names
    )


def imported_files(file: str) -> set[str]:
    """The files of mmv_tf that a file imports, wherever the import stands."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"), file)):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found = {f"{node.module}.{alias.name}" for alias in node.names}
            modules.update(name if module_file(name) else node.module for name in found)
    return {path for name in modules if (path := module_file(name))}


def module_file(name: str) -> str | None:
    if name.split(".")[0] != "mmv_tf":
        return None
    path = name.replace(".", "/")
    candidates = (f"{path}.py", f"{path}/__init__.py")
    return next((file for file in candidates if (ROOT / file).is_file()), None)


def test_imports_are_deps_and_go_one_way(build):
    owner = {file: t.name for t in build.targets if t.rule == "py_library" for file in t.srcs}

    deps = {t.name: [dep[1:] for dep in t.deps if dep.startswith(":")] for t in build.targets}
    reachable: dict[str, set[str]] = {}
    for name in graphlib.TopologicalSorter(deps).static_order():  # raises for a cycle
        reachable[name] = {name}.union(*(reachable[dep] for dep in deps[name]))

    missing = []
    for target in build.targets:
        names = reachable[target.name]
        for file in target.srcs:
            if file.startswith(("mmv_tf/", "binaries/", "configs/")):
                for imported in sorted(imported_files(file)):
                    if owner[imported] not in names:
                        missing.append(f"{file} imports {imported}, of :{owner[imported]}")
    assert not missing, (
        "Either the import goes against the flow of data, or BUILD lacks a dependency:\n"
        + "\n".join(missing)
    )
