# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The search image, as far as it can be checked without Docker: its file and its entry point."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = ROOT / "docker" / "search.sh"
FILE = ROOT / "docker" / "search.Dockerfile"
TOKEN = "0123456789abcdef"


def instructions():
    """(instruction, arguments) of the Dockerfile, in order."""
    text = re.sub(r"\\\n\s*", " ", FILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_what_is_copied_is_there_and_not_ignored():
    kept = (ROOT / "docker/search.Dockerfile.dockerignore").read_text().splitlines()
    copied = [rest.split() for name, rest in instructions() if name == "COPY"]
    sources = [source for words in copied if "--from=build" not in words for source in words[:-1]]
    assert len(sources) > 5
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in kept


def test_the_image_runs_as_nobody_special_and_tells_its_health():
    names = [name for name, _ in instructions()]
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users == ["10001:10001"] and names.index("USER") < names.index("ENTRYPOINT")
    assert "HEALTHCHECK" in names and "ADD" not in names
    assert "TOKEN" not in FILE.read_text(), "no secret is baked in"


@pytest.fixture
def run(tmp_path):
    """Runs the entry point; stand-ins for Python and mmv write down their arguments."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "mmv"):
        fake = tmp_path / "bin" / name
        fake.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$CALLS"\n')
        fake.chmod(0o755)
    (tmp_path / "videos").mkdir()
    (tmp_path / "index").mkdir()

    def run(*arguments, **changes):
        variables = {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"),
            "VIDEOS": str(tmp_path / "videos"), "INDEX": str(tmp_path / "index"), "PORT": "8600",
            "MODEL": "/models/m.keras", "MMV_SEARCH_TOKEN": TOKEN, **changes,
        }  # fmt: skip
        (tmp_path / "calls").write_text("")
        done = subprocess.run(
            ["sh", str(SCRIPT), *arguments], env=variables, capture_output=True, text=True
        )
        return done, sorted((tmp_path / "calls").read_text().splitlines())

    return run


def test_it_indexes_and_serves(run, tmp_path):
    done, calls = run()
    assert done.returncode == 0, done.stderr
    assert len(calls) == 2
    assert calls[0].startswith("search index ")
    assert calls[1].startswith("search serve ")
    assert f"--videos={tmp_path / 'videos'}" in calls[0] and "--model=/models/m.keras" in calls[0]
    assert "--host=0.0.0.0" in calls[1] and "--everybody" not in calls[1]
    assert TOKEN not in str(calls), "others on the machine see arguments"
    defined = "".join(
        path.read_text(encoding="utf-8")
        for path in (
            ROOT / "mmv_tf/programs/search.py",
            ROOT / "mmv_tf/inference/flags.py",
            *(ROOT / "mmv_tf/search/commands").glob("*.py"),
        )
    )
    for flag in re.findall(r"--(\w+)", " ".join(calls)):
        assert f'"{flag}"' in defined, flag


def test_other_commands_and_health(run):
    _, calls = run("query", "--index=/index", "--text=a dog")
    assert calls == ["search query --index=/index --text=a dog"]
    _, calls = run("healthy")
    assert any("/healthz" in line for line in calls)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MODEL": ""}, "MODEL is not set"),
        ({"VIDEOS": "/nothing"}, "mount the videos"),
        ({"INDEX": "/nothing"}, "can't be written"),
        ({"MMV_SEARCH_TOKEN": ""}, "there is no token"),
    ],
)
def test_what_is_missing_is_said(run, changes, message):
    done, calls = run(**changes)
    assert done.returncode == 1 and calls == []
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
