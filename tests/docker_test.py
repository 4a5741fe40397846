# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The images, as far as they can be checked without Docker: their files and entry points."""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = ROOT / "docker" / "search.sh"
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
TOKEN = "0123456789abcdef"


def instructions(file):
    """(instruction, arguments) of a Dockerfile, in order."""
    text = re.sub(r"\\\n\s*", " ", file.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_there_are_images_for_training_serving_and_search():
    assert [file.stem for file in FILES] == ["search", "serve", "train"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_copied_is_there_and_not_ignored(file):
    kept = pathlib.Path(f"{file}.dockerignore").read_text().splitlines()
    copied = [rest.split() for name, rest in instructions(file) if name == "COPY"]
    sources = [source for words in copied if "--from=build" not in words for source in words[:-1]]
    assert len(sources) > 5
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in kept


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_image_runs_as_nobody_special_and_has_no_secret(file):
    names = [name for name, _ in instructions(file)]
    users = [rest for name, rest in instructions(file) if name == "USER"]
    assert users == ["10001:10001"] and names.index("USER") < names.index("ENTRYPOINT")
    assert ("HEALTHCHECK" in names) == (file.stem != "train"), "servers tell their health"
    assert "ADD" not in names
    variables = [rest for name, rest in instructions(file) if name in ("ENV", "ARG")]
    assert not re.search("TOKEN|KEY|SECRET|PASSWORD", " ".join(variables)), "none is baked in"


@pytest.mark.parametrize("name", ["serve", "train"])
def test_an_accelerator_chooses_the_stage_that_is_built_upon(name):
    found = instructions(ROOT / "docker" / f"{name}.Dockerfile")
    assert found[0] == ("ARG", "ACCELERATOR=cpu")
    stages = [rest.split() for kind, rest in found if kind == "FROM"]
    assert [words[-1] for words in stages[:3]] == ["cpu", "cuda", "build"]
    assert stages[1][0] == "cpu" and stages[2][0] == "${ACCELERATOR}"
    assert stages[3] == stages[0][:1], "the image has no compiler and no sources"


def test_the_server_listens_where_it_is_asked_for_its_health():
    found = dict(instructions(ROOT / "docker" / "serve.Dockerfile"))
    entry = json.loads(found["ENTRYPOINT"])
    assert entry[:3] == ["mmv", "serve", "--host=0.0.0.0"]
    ports = {word.partition("=")[2] for word in entry if "_port=" in word}
    assert ports == set(found["EXPOSE"].split())
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)/healthz", found["HEALTHCHECK"])
    assert f"--http_port={port}" in entry
    program = (ROOT / "mmv_tf/programs/serve.py").read_text(encoding="utf-8")
    for flag in re.findall(r"--(\w+)=", " ".join([*entry, *json.loads(found["CMD"])])):
        assert f'"{flag}"' in program, flag


@pytest.fixture
def run(tmp_path):
    """Runs the entry point with stand-ins for mmv and Python that note their arguments."""
    (tmp_path / "bin").mkdir()
    for name in ("mmv", "python"):
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
        ({"INDEX": "/nothing"}, "is not writable"),
        ({"MMV_SEARCH_TOKEN": ""}, "there is no token"),
    ],
)
def test_what_is_missing_is_said(run, changes, message):
    done, calls = run(**changes)
    assert done.returncode == 1 and calls == []
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
