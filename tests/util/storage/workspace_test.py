# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Programs whose flags take URLs, run as processes of their own."""

import json
import pathlib
import subprocess
import sys

import pytest
from absl import flags

from mmv_tf.util.storage import workspace
from mmv_tf.util.storage.store import open_store
from mmv_tf.util.storage.urls import mirror_path
from tests.storage_servers import SECRET, at_random

ROOT = pathlib.Path(__file__).parents[3]
PROGRAM = '''"""Copies --list and --films to --output and --index."""
import json, pathlib, sys
from absl import flags
from mmv_tf.util import command_line
from mmv_tf.util.storage.media import at_hand
from mmv_tf.util.storage.workspace import storage_flags

LIST = flags.DEFINE_string("list", None, "A list.")
MODEL = flags.DEFINE_string("model", None, "A model.")
FILMS = flags.DEFINE_multi_string("films", [], "Folders of films.")
OUTPUT = flags.DEFINE_string("output", None, "A file.")
INDEX = flags.DEFINE_string("index", None, "A folder.")
FAIL = flags.DEFINE_enum("fail", "no", ["no", "status", "error"], "How to end.")
storage_flags(inputs=["list"], models=["model"], media=["films"],
              is_media=lambda name: name.endswith(".mp4"), outputs=["output"], updated=["index"],
              arguments=True)

def main(argv):
    seen = {"arguments": [pathlib.Path(one).read_text() for one in argv[1:]]}
    if LIST.value:
        seen["list"] = pathlib.Path(LIST.value).read_text()
    if MODEL.value:
        root = pathlib.Path(MODEL.value)
        seen["model"] = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
    for folder in FILMS.value:
        for path in sorted(pathlib.Path(folder).rglob("*.mp4")):
            with at_hand(path) as whole:
                seen[path.name] = whole.read_text()
    if OUTPUT.value:
        output = pathlib.Path(OUTPUT.value)
        output.write_text("result")
        output.with_suffix(".json").write_text(json.dumps(seen))
    if INDEX.value:
        index = pathlib.Path(INDEX.value)
        index.mkdir(exist_ok=True)
        count = len(list(index.glob("part-*")))
        (index / f"part-{count}").write_text("part")
        (index / "manifest.json").write_text(str(count + 1))
        (index / "lock").write_text("me")
        (index / "old").unlink(missing_ok=True)
    print(json.dumps(seen))
    print("fsspec", "fsspec" in sys.modules)
    if FAIL.value == "error":
        raise ValueError(f"no good: {OUTPUT.value}")
    return FAIL.value == "status"

if __name__ == "__main__":
    command_line.run(main, arguments=True)
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the program; returns status, first line of output as JSON, and the error output."""
    program = tmp_path_factory.mktemp("program") / "program.py"
    program.write_text(PROGRAM)

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, str(program), *arguments],
            capture_output=True,
            text=True,
            timeout=100,
            cwd=ROOT,
        )
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        line, *rest = done.stdout.splitlines() or [""]
        call.imported = rest
        return done.returncode, json.loads(line) if line.startswith("{") else line, done.stderr

    return call


def test_inputs_and_outputs(run, s3_store):
    store = open_store(s3_store.url)
    store.write("lists/a.csv", b"rows")
    store.write("run/model.keras", b"weights")
    store.write("run/checkpoints/1/data", b"much")
    store.write("films/one.mp4", b"film 1")
    store.write("films/two.mp4", b"film 2")
    store.write("index/part-0", b"part")
    store.write("index/old", b"gone with this")
    url = s3_store.url
    status, seen, err = run(
        f"--list={url}/lists/a.csv", f"--model={url}/run", f"--films={url}/films",
        f"--output={url}/out/result.txt", f"--index={url}/index", f"{url}/lists/a.csv",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert seen == {
        "arguments": ["rows"],
        "list": "rows",
        "model": ["model.keras"],
        "one.mp4": "film 1",
        "two.mp4": "film 2",
    }
    assert list(store.list()) == [
        "films/one.mp4", "films/two.mp4",
        "index/manifest.json", "index/part-0", "index/part-1",
        "lists/a.csv", "out/result.json", "out/result.txt",
        "run/checkpoints/1/data", "run/model.keras",
    ]  # fmt: skip
    assert store.read("index/manifest.json") == b"2"
    s3_store.fresh_machine()
    assert run(f"--index={url}/index")[0] == 0
    assert store.read("index/manifest.json") == b"3"


def test_failure_uploads_nothing_but_a_status_does(run, s3_store):
    store, url = open_store(s3_store.url), s3_store.url
    status, _, err = run(f"--output={url}/out/result.txt", f"--index={url}/index", "--fail=error")
    assert status == 1
    assert err == f"error: no good: {url}/out/result.txt\n"
    assert store.list() == {}
    assert run(f"--output={url}/out/result.txt", "--fail=status")[0] == 1
    assert list(store.list()) == ["out/result.json", "out/result.txt"]


def test_local_paths_import_nothing_of_stores(run, tmp_path):
    (tmp_path / "a b").write_text("local")
    status, seen, err = run(f"--list=file://{tmp_path}/a%20b", f"--output={tmp_path}/out.txt")
    assert (status, seen["list"], err) == (0, "local", "")
    assert run.imported == ["fsspec False"]
    assert (tmp_path / "out.txt").read_text() == "result"


def test_retries_are_told_in_one_line(run, s3_store):
    open_store(s3_store.url).write("a", b"rows")
    with s3_store.faulty(at_random(1, 1.0, ["500"], most=2)):
        status, seen, err = run(f"--list={s3_store.url}/a")
    assert (status, seen["list"]) == (0, "rows")
    assert err == "storage: 1 operation was retried (2 server errors).\n"


@pytest.mark.parametrize(
    ("flag", "given", "message"),
    [
        ("list", "{url}/none", "{url}/none: there is no such object; check its name."),
        (
            "list",
            "{none}/a",
            "{none}: there is no such bucket; check the name, or create the bucket",
        ),
        (
            "model",
            "{none}/a",
            "{none}: there is no such bucket; check the name, or create the bucket",
        ),
        (
            "index",
            "{none}/a",
            "{none}: there is no such bucket; check the name, or create the bucket",
        ),
        (
            "output",
            "{none}/a",
            "{none}: there is no such bucket; check the name, or create the bucket",
        ),
        (
            "films",
            "{none}/a",
            "{none}: there is no such bucket; check the name, or create the bucket",
        ),
        ("output", "{url}", "{url}: expected the name of a file."),
        ("clips", "{url}/a", "{url}/a: expected a local path; this can't be in a store."),
        (
            "list",
            f"s3://me:{SECRET}@bucket/a",
            "s3://...@bucket/a: a password in a URL ends up in logs; give credentials in the "
            "environment or in the client's own files.",
        ),
        (
            "list",
            "warp://x/y",
            "warp:// is not a store that fsspec knows; expected s3://, gs:// or",
        ),
        ("list", "file://host/a", "file://host/a: expected file:///PATH, with three slashes."),
        (
            "list",
            "{url}/" + 300 * "x",
            "{url}/" + 300 * "x" + ": a part of it is too long for a file name.",
        ),
    ],
)
def test_wrong_urls(enter, either_store, flag, given, message):
    names = {"url": either_store.url, "none": f"{either_store.url}-none"}
    told = enter(flag, given.format(**names))
    assert told.startswith(message.format(**names))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("403", "these credentials do not permit this; ask for permission"),
        ("401", "no credentials for the store were found; set "),
        ("500", "the store is out of order (server error); try again later."),
        ("503", "the store is out of order (throttled request); try again later."),
        ("cut", "the store is unreachable (cut connection); try again later."),
    ],
)
def test_a_store_that_refuses(enter, s3_store, monkeypatch, fault, message):
    monkeypatch.setenv("MMV_TF_STORAGE_RETRY_SECONDS", "0")
    with s3_store.faulty(lambda request: fault):
        told = enter("list", f"{s3_store.url}/a")
    assert told.startswith(f"{s3_store.url}/a: can't look for it: {message}")


def test_a_folder_besides_those_of_the_flags(either_store, tmp_path):
    store = open_store(either_store.url)
    store.write("features/part-0", b"part")
    assert workspace.updated_folder(tmp_path) == str(tmp_path)
    with workspace.entered(["program"], flags.FlagValues()):
        folder = pathlib.Path(workspace.updated_folder(mirror_path(f"{store.root}/features")))
        assert (folder / "part-0").read_bytes() == b"part"
        (folder / "part-1").write_bytes(b"new")
        assert list(store.list()) == ["features/part-0"]
    assert list(store.list()) == ["features/part-0", "features/part-1"]


def test_a_file_that_may_be_beside_another(s3_store, tmp_path):
    open_store(s3_store.url).write("a/words.txt", b"a word")
    beside = workspace.companion(mirror_path(f"{s3_store.url}/a/words.txt"))
    assert pathlib.Path(beside).read_text() == "a word"
    assert workspace.companion(mirror_path(f"{s3_store.url}/a/none.txt")) is None
    assert workspace.companion(tmp_path / "none.txt") is None
    (tmp_path / "one.txt").touch()
    assert workspace.companion(tmp_path / "one.txt") == str(tmp_path / "one.txt")


def test_clocks_that_differ(enter, s3_store):
    with s3_store.faulty(lambda request: "skewed"):
        told = enter("output", f"{s3_store.url}/a")
    assert told == (
        f"{s3_store.url}/.mmv_tf_write_check: can't write it: the store's clock and this machine's "
        "differ; set this machine's clock."
    )


def test_no_credentials(enter, s3_store, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert enter("list", f"{s3_store.url}/a") == (
        f"{s3_store.url}/a: can't look for it: no credentials for the store were found; set "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with `aws configure`."
    )


@pytest.fixture
def enter(monkeypatch):
    """Gives a flag a value, and returns the error's one line."""
    monkeypatch.setattr(workspace, "_roles", {})
    values = flags.FlagValues()
    for name in ("list", "model", "films", "output", "index", "clips"):
        flags.DEFINE_string(name, None, "A flag.", flag_values=values)
    workspace.storage_flags(
        inputs=["list"], models=["model"], media=["films"], is_media=lambda name: True,
        outputs=["output"], updated=["index"], local=["clips"],
    )  # fmt: skip

    def call(flag, value):
        values(["program", f"--{flag}={value}"])
        with (
            pytest.raises((OSError, ValueError)) as raised,
            workspace.entered(["program"], values),
        ):
            pass
        told = str(raised.value)
        assert SECRET not in told and "\n" not in told
        return told

    return call
