# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every command that README.md and docs/ show exists, with its flags and their values.

Those in blocks are run as they stand by commands_run_test.py (slow), or are marked as needing what
can't be had, or stand in `ELSEWHERE`.
"""

from __future__ import annotations

import ast
import collections
import importlib
import multiprocessing
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import pytest
from absl import flags

from mmv_tf.programs.launcher import programs
from tests import running
from tests.documentation import commands_run_test, pages

ROOT = pages.ROOT
ALL = [command for page in pages.pages() for command in pages.commands(page)]
# What is not ours to test: other people's programs, which need a network or a server.
FOREIGN = {"pip", "docker", "curl", "git", "sha256sum"}
FOLDERS = ("mmv_tf/programs", "benchmarks", "projects/*", "mmv_tf/search/commands")
# Options of others that stand in the text.
FOREIGN_OPTIONS = {
    "recursive",
    "backend",
    "help",
    "logdir",
    "upgrade",
    "model_config_file",
    "num_candidates",
    "check",
    "user",
}
FOREIGN_OPTIONS |= {"logdir", "backend"}


# Which test runs a block's command, with other sizes or paths; or why none does.
ELSEWHERE = {
    "make quickstart": "tests/quickstart/job_test.py",
    "make setup": "tests/setup_test.py",
    "make test": "runs the tests",
    "make test-all": "runs the tests",
    "make docs": "installs from a package index",
    "make benchmark": "tests/benchmarks/collect_test.py",
    "pip install": "installs from a package index",
    "curl -d": "tests/serving/server_test.py",
    "python -m projects.label_efficiency": "tests/projects/label_efficiency/program_test.py",
    "python -m projects.narrated_world": "tests/projects/narrated_world/program_test.py",
    "python -m projects.narrated_world.evaluate": "tests/projects/narrated_world/program_test.py",
    "mmv quickstart": "tests/quickstart/job_test.py",
    "mmv --help": "tests/documentation/renamed_flags_test.py",
    "mmv download": "tests/programs/download_test.py",
    "mmv train": "tests/programs/train_test.py",
    "python -m benchmarks.train_step": "takes PyTorch",
    "python -m benchmarks.training_loop": "takes minutes",
}


def flags_in(path: pathlib.Path) -> set[str]:
    """Names of the flags that a program defines, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and "search.commands" in (node.module or ""):
            found |= flags_in(ROOT / f"{str(node.module).replace('.', '/')}.py")
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if called == "define_network_flags":
            found |= flags_in(ROOT / "mmv_tf/inference/flags.py")
        elif called == "define_export_flags":
            found |= flags_in(ROOT / "mmv_tf/publishing/flags.py")
        elif called == "define_transcription_flags":
            found |= flags_in(ROOT / "mmv_tf/data/transcription/flags.py") | {"transcribe"}
        elif called == "define_config":
            found |= {"config", "config."}
        elif called == "define_overrides":
            found.add(f"{first}.")
        elif first is not None and (called.startswith("DEFINE_") or called == "add_argument"):
            found.add(str(first).lstrip("-"))
    return found


def problems(module_name: str, commands: Sequence[Sequence[str]]) -> list[str]:
    """What a program says against commands, as far as flags go; run in a process of its own."""
    os.chdir(ROOT)
    module = importlib.import_module(module_name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{module_name}.__main__")
    first = commands[0][0]
    if hasattr(module, f"define_{first}"):  # a program with commands of its own
        getattr(module, f"define_{first}")()
        commands = [words[1:] for words in commands]
    return [_problem(module, words) for words in commands]


def _problem(module: Any, words: Sequence[str]) -> str:
    from mmv_tf.util import command_line
    from mmv_tf.util.configuration import load_config

    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    try:
        argv = command_line.gather_overrides([module.__name__, *words])
        rest = flags.FLAGS(argv)[1:]
        # A program that takes arguments names them in its docstring, in capitals.
        if rest and pathlib.PurePath(rest[0]).name.upper() not in (module.__doc__ or "").upper():
            return f"takes no argument {rest[0]!r}"
        if "config." in flags.FLAGS:
            path = re.sub(r":data=\w+,?", ":", flags.FLAGS.config)  # the shards are not here
            load_config(path, flags.FLAGS["config."].value)
    except (flags.Error, ValueError, OSError) as error:
        return str(error)
    return ""


def ours() -> list[tuple[str, tuple[str, ...], pages.Command]]:
    """Return the commands of the programs and projects: module, arguments, command."""
    found = []
    for command in ALL:
        words = command.words
        if words[0] == "mmv" and re.fullmatch(r"\w+", words[1]):
            found.append((f"mmv_tf.programs.{words[1]}", words[2:], command))
        elif words[:2] == ("python", "-m") and words[2].startswith("projects."):
            found.append((words[2], words[3:], command))
    return found


SHOWN = {module.rpartition(".")[2] for module, _, command in ours() if command.words[0] == "mmv"}


def test_pages_show_commands():
    assert set(programs()) - SHOWN == set(), "programs that no page shows"
    assert SHOWN - set(programs()) == set(), "programs that are not there"


def test_flags_and_values_are_right():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(running.PRELOAD)
    groups: dict[tuple[str, str], list[tuple[tuple[str, ...], pages.Command]]] = {}
    for program, words, command in ours():
        # In the text a program may stand without its flags, or with NAME for any value.
        named = command.inline and ("NAME" in " ".join(words) or "--" not in " ".join(words))
        if words and not named and not {"...", "--help"} & set(words):
            own = words[0] if words[0].isalpha() else ""
            groups.setdefault((program, own), []).append((words, command))
    # A process each: two programs define the same flags.
    with context.Pool(1, maxtasksperchild=1) as pool:
        tasks = [(program, [words for words, _ in group]) for (program, _), group in groups.items()]
        found = pool.starmap(problems, tasks, chunksize=1)
    wrong = [
        f"{command.where}: {' '.join(command.words)}: {problem}"
        for group, said in zip(groups.values(), found, strict=True)
        for (_, command), problem in zip(group, said, strict=True)
        # In the text, flags that are required may be missing.
        if problem and not (command.inline and "must have a value other than None" in problem)
    ]
    assert not wrong, "\n".join(wrong)


def test_other_commands_are_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for where, words, needs in ((c.where, c.words, c.needs) for c in ALL):
        where = f"{where}: {' '.join(words)}"
        if words[0] == "make":
            names = [word for word in words[1:] if "=" not in word]
            assert set(names) <= targets, where
        elif words[0] == "pytest":
            files = [word for word in words[1:] if word.startswith("tests/")]
            assert files, where
            assert all((ROOT / file.split("::")[0]).exists() for file in files), where
        elif words[0] == "python":
            path = ROOT / (words[1] if words[1] != "-m" else words[2].replace(".", "/") + ".py")
            folder = path.with_suffix("") / "__main__.py"
            assert path.is_file() or folder.is_file() or needs, where
            if path.is_file():
                given = {w[2:].partition("=")[0] for w in words if w.startswith("--")}
                assert given <= flags_in(path), where
        elif words[0] in FOREIGN:
            assert words[0] in FOREIGN
        else:
            assert words[0] == "mmv", where


def test_every_command_is_run_or_said_to_need_something():
    run = {
        command.where
        for page, heading in commands_run_test.SECTIONS
        for command in commands_run_test.under(page, heading)
    }
    left = [
        f"{command.where}: {' '.join(command.words)}"
        for command in ALL
        if not (command.inline or command.needs or command.where in run)
        and not any(" ".join(command.words).startswith(known) for known in ELSEWHERE)
    ]
    assert not left, "\n".join(left)
    for test in ELSEWHERE.values():
        assert not test.startswith("tests/") or (ROOT / test).exists()


def test_flags_in_the_text_exist():
    known = set().union(
        *map(
            flags_in,
            [path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.py")],
        )
    )
    known |= FOREIGN_OPTIONS | {"traceback"}
    unknown = collections.defaultdict(set)
    for page in pages.pages():
        for block in pages.blocks(page):
            if block.language == "span":
                for name in re.findall(r"(?:^|\s)--([a-zA-Z]\w*\.?)", block.text):
                    if name not in known and name.removeprefix("no") not in known:
                        unknown[f"{block.page}:{block.line}"].add(name)
    assert not unknown


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_every_program_is_run_by_a_test(name):
    """By a test of its own, or one that names its module."""
    if name in ("serve", "serve_check"):  # commands_run_test.py
        return
    # The quickstart's steps are run by tests/quickstart/job_test.py.
    files = [*ROOT.glob("tests/**/*.py"), ROOT / "mmv_tf/programs/quickstart.py"]
    assert (ROOT / "tests" / "programs" / f"{name}_test.py").exists() or any(
        re.search(rf"programs\.{name}\b|programs import .*\b{name}\b", file.read_text())
        for file in files
    )
