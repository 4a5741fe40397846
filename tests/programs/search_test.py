# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from mmv_tf.data import media
from tests import running
from tests.search.conftest import embedder, library  # noqa: F401

pytest.importorskip("faiss", reason="the extra 'search' is not installed")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("find",), 2, "unknown command 'find'"),
        (("index", "--index=x", "--model=y"), 2, "--videos is missing"),
        (("index", "--index=x", "--model=y", "--videos=/nothing"), 1, "no such file or folder"),
        (("index", "--index=x", "--model=y", "--videos=/", "--shard=5/4"), 1, "expected i/n"),
        (("query", "--index=x"), 2, "give at least one of --text"),
        (("query", "--index=x", "--text=a", "--query_weights=1,2"), 2, "2 numbers for 1 queries"),
        (("query", "--index=x", "--text=a", "--query_weights=b"), 2, "expected numbers"),
        (
            ("query", "--index=x", "--text=a", "--fusion_weights=b"),
            2,
            "for example, video=1,speech=0.5",
        ),
        (("query", "--index=x", "--text=a", "--within=here"), 2, "speech"),
        (
            ("query", "--index=x", "--image=a", "--within=speech"),
            1,
            "searched only with a sentence",
        ),
        (("query", "--index=/nothing", "--text=a"), 1, "create one: mmv search"),
        (("query", "--index=/nothing", "--label=a"), 1, "create one: mmv search"),
        (("query", "--index=x", "--text="), 1, "expected 1 to"),
        (("serve", "--index=x", "--host=0.0.0.0"), 1, "anyone who can reach this machine"),
        (("serve", "--index=x", "--text=a"), 2, "unknown flag --text"),
        (("serve", "--index=x", "--token_file=/nothing"), 1, "/nothing: No such file"),
        (("cut", "--index=x", "--moment=a@1-2"), 2, "--output is missing"),
        (("cut", "--index=x", "--moment=a@1-2", "--output=a.avi"), 2, "expected FILE.mp4"),
        (("cut", "--index=/nothing", "--moment=a@1-2", "--output=a.mp4"), 1, "create one: mmv"),
        (("query", "--index=x", "--text=a", "--output=a.edl"), 2, "need --format"),
        (("query", "--index=x", "--text=a", "--format=edl", "--json"), 2, "can't be used together"),
        (("query", "--index=x", "--text=a", "--format=edl", "--frame_rate=17"), 1, "is '17'"),
        (("serve", "--index=x", "more"), 2, "give only flags"),
        (("merge", "--index=x"), 2, "name the indexes to merge"),
        (("merge", "--index=x", "/nothing"), 1, "there is no index"),
    ],
)
def test_mistakes(arguments, status, message):
    done = running.run_forked("search", *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = running.run_forked("search", "serve", f"--index={tmp_path}", f"--http_port={port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "choose another port" in done.stderr


@pytest.mark.slow
def test_query(library):  # noqa: F811
    clip = library.videos / "long.mp4"
    done = running.run(
        *("search", "query", f"--index={library.index}", "--json", "--limit=2"),
        *(f"--video={clip}@3.2-4.0", "--text=red square", "--query_weights=1e-6,1"),
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["approximate"] is False
    first = answer["moments"][0]
    assert first["file"] == "long.mp4"
    assert first["start"] <= 3.2 < first["end"]
    assert first["score"] == pytest.approx(1.0, abs=1e-3)
    assert len(answer["moments"]) == 2


@pytest.mark.slow
def test_index_and_query_as_a_user_does(library, tmp_path):  # noqa: F811
    flags = (f"--videos={library.videos}", f"--model={library.model}", f"--index={tmp_path / 'i'}")
    done = running.run("search", "index", *flags)
    assert done.returncode == 0, done.stderr
    assert "videos: 3 new, 0 changed, 0 renamed, 0 removed, 0 unchanged, 1 skipped" in done.stdout
    assert "skipped damaged.mp4: can't be decoded" in done.stdout
    again = running.run("search", "index", *flags, "--json")
    assert len(json.loads(again.stdout)["unchanged"]) == 3
    table = running.run("search", "query", f"--index={tmp_path / 'i'}", "--text=a red xylophone")
    assert table.stderr.splitlines()[-1] == "note: the model does not know: xylophone"
    assert " said " in table.stdout and "the red square" in table.stdout
    assert "\x1b" not in table.stdout
    assert table.stdout.splitlines()[0].split() == ["start", "end", "score", "confidence", "file"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stopped_indexer_leaves_a_whole_index(library, tmp_path, number):  # noqa: F811
    videos = tmp_path / "videos"
    videos.mkdir()
    for copy in range(40):
        shutil.copy(library.videos / "long.mp4", videos / f"{copy}.mp4")
    flags = (f"--videos={videos}", f"--model={library.model}", f"--index={tmp_path / 'i'}")
    process = subprocess.Popen(
        [sys.executable, "-m", "mmv_tf", "search", "index", *flags],
        cwd=running.ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("scan"):
            break
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    expected = {signal.SIGTERM: 42, signal.SIGINT: 130, signal.SIGKILL: -9}[number]
    assert process.returncode == expected, said
    done = running.run("search", "index", *flags, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["added"]) + len(report["unchanged"]) == 40


@pytest.mark.slow
def test_moments_are_taken_away(library, tmp_path):  # noqa: F811
    index = f"--index={library.index}"
    listed = running.run("search", "query", index, "--text=a red square", "--format=csv")
    assert listed.returncode == 0, listed.stderr
    rows = list(csv.DictReader(io.StringIO(listed.stdout.removeprefix("\ufeff"))))
    assert "long.mp4" in {row["file"] for row in rows}
    output = tmp_path / "list.edl"
    done = running.run(
        *("search", "query", index, "--text=a red square", "--format=edl", f"--output={output}")
    )
    assert (done.returncode, output.read_text().count("FROM CLIP NAME")) == (0, len(rows))
    for mode, moment in (("exact", rows[0]["id"]), ("copy", "long.mp4@2.3-3.1")):
        clip = tmp_path / f"{mode}.mp4"
        done = running.run(
            *("search", "cut", index, f"--moment={moment}", f"--output={clip}", f"--mode={mode}")
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{clip}: ")
        assert media.probe(clip).duration > 0.3
    assert {path.name for path in tmp_path.iterdir()} == {"list.edl", "exact.mp4", "copy.mp4"}
    for mistake in ("gone.mp4@1-2", "long.mp4@99-100", "long.mp4"):
        done = running.run(
            *("search", "cut", index, f"--moment={mistake}", f"--output={tmp_path / 'no.mp4'}")
        )
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "no.mp4").exists()
