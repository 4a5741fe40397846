# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The files for people who contribute: workflows, issue forms, hooks, conduct, security, releases.

GitHub is not here to read them. Their structure is checked, and where `check-jsonschema` is
installed (`pip install check-jsonschema`) also the schemas that it carries.
"""

import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [
    path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"
]
REPOSITORY = "https://github.com/mmv-tf/mmv_tf"


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_few_rights_an_end_and_pinned_actions(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 360, name
        extra = job.get("permissions", {})
        assert extra in ({}, {"id-token": "write"}), "only publishing asks PyPI for its trust"
        assert not extra or job["environment"] == "pypi"
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        # An expression in a script would run what a branch's or tag's name says.
        assert "${{" not in step.get("run", "")
    assert "secrets." not in path.read_text(encoding="utf-8")


def test_the_checks_are_lint_types_tests_docs_and_the_wheel():
    workflow = load(GITHUB / "workflows" / "checks.yml")
    triggers = workflow[True]  # YAML reads the key "on" as true
    assert set(triggers) == {"push", "pull_request"}, "no pull_request_target, which has secrets"
    assert set(workflow["jobs"]) == {"lint", "tests", "logging", "docs", "wheel"}
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in WORKFLOWS:
        for step in steps(load(path)):
            for target in re.findall(r"\bmake ([\w-]+)", step.get("run", "")):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
            for name in re.findall(r"tests/[\w/.]+", step.get("run", "")):
                assert (ROOT / name).exists(), name
            for name in re.findall(r"\.\[([\w,]+)\]", step.get("run", "")):
                setup = "".join(
                    (ROOT / file).read_text(encoding="utf-8")
                    for file in ("setup.py", "pyproject.toml")
                )
                for extra in name.split(","):
                    assert re.search(rf'^\s*"?{extra}"?\s*[:=]', setup, re.MULTILINE), extra


def test_a_release_must_match_version_and_changelog(tmp_path):
    """The script of the workflow accepts the tag of this version only, with a changelog."""
    workflow = load(GITHUB / "workflows" / "release.yml")
    (step,) = [step for step in steps(workflow) if "TAG" in step.get("env", {})]
    (tmp_path / "mmv_tf").mkdir()
    (tmp_path / "mmv_tf" / "version.py").write_text('__version__ = "1.2.3"\n')
    changelog = tmp_path / "CHANGELOG.md"

    def passes(tag):
        script = ["bash", "-e", "-c", step["run"]]
        return subprocess.run(script, cwd=tmp_path, env={"TAG": tag, "PATH": "/usr/bin:/bin"})

    changelog.write_text("# Changelog\n\n## Unreleased (1.2.3)\n")
    assert passes("v1.2.3").returncode != 0
    changelog.write_text("# Changelog\n\n## 1.2.3 (2026-12-31)\n")
    assert passes("v1.2.3").returncode == 0
    assert passes("v1.2.4").returncode != 0
    assert passes("v1x2.3").returncode != 0


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_for_something(path):
    form = load(path)
    assert form["name"] and form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    identities = [field["id"] for field in fields]
    assert len(set(identities)) == len(identities)
    assert any(field.get("validations", {}).get("required") for field in fields)
    assert all(field["attributes"]["label"] for field in fields)


def test_there_are_forms_for_bugs_features_and_questions():
    assert {path.stem for path in FORMS} == {"bug", "feature", "question"}


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("github-workflows", "workflows/*.yml"),
        ("github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
        ("github-issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("dependabot", "dependabot.yml"),
    ],
)
def test_the_published_schemas_accept_them(schema, pattern):
    pytest.importorskip("check_jsonschema")
    paths = [str(path) for path in GITHUB.glob(pattern)]
    assert paths
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", f"--builtin-schema=vendor.{schema}", *paths],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_hooks_run_what_is_there():
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local", "versions are those of the lock"
    hooks = {hook["id"]: shlex.split(hook["entry"]) for hook in repository["hooks"]}
    assert set(hooks) == {"ruff-check", "ruff-format", "mypy", "project-tests"}
    for words in hooks.values():
        assert words[:2] == [".venv/bin/python", "-m"]
        for word in words:
            assert not word.startswith("tests/") or (ROOT / word).exists(), word


def test_security_and_conduct_say_where_to_report():
    address = f"{REPOSITORY}/security/advisories/new"
    assert address in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    (contact,) = load(GITHUB / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]
    assert contact["url"] == address
    conduct = (ROOT / "CODE_OF_CONDUCT.md").read_text(encoding="utf-8")
    assert '"Security" tab' in conduct and "within a week" in conduct


def test_the_steps_of_a_release_name_what_is_there():
    page = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([\w./-]+\.(?:md|py|cff|yml))`", page):
        places = (ROOT / name, GITHUB / "workflows" / name)
        assert any(place.exists() for place in places), name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^\s*make ([\w-]+)$", page, re.MULTILINE):
        assert f"\n{target}:" in makefile, target
