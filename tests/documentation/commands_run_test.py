# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The commands of README.md and of the guides, run as they stand, one after the other, by the
installed wheel.

Changed are only sizes (the configuration's tiny form), the server's port, and words of queries that
the tiny network does not know. commands_test.py demands that nothing is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from mmv_tf import save_model
from mmv_tf.util.storage.store import open_store
from tests import cluster, installed, media_samples, small_world
from tests.classification import samples
from tests.documentation import pages

pytestmark = pytest.mark.slow
ROOT = pages.ROOT
# Pages and headings whose commands are run here.
SECTIONS = (
    ("README.md", "Train on my videos"),
    ("README.md", "Search my videos"),
    ("docs/classify.md", "Classify by your own labels"),
    ("docs/cluster.md", "One machine, data in a store"),
    ("docs/cluster.md", "Shares of the work"),
    ("docs/data.md", "Summary"),
    ("docs/data.md", "On several machines"),
    ("docs/data.md", "Clips stored as video"),
    ("docs/deflation.md", "Deflating a trained model"),
    ("docs/evaluation.md", "Features"),
    ("docs/finetuning.md", "Your own videos"),
    ("docs/publishing.md", "Publishing a model"),
    ("docs/reading.md", "Verifying"),
    ("docs/search.md", "Search your own videos"),
    ("docs/serving.md", "Serving a model"),
)
# 150 seconds in blocks of 24: the splits of the pattern are all there.
SECONDS = 150


@pytest.fixture(scope="module", autouse=True)
def _package(programs):
    with installed.first_on_the_path(programs):
        yield


def write_narrated_film(path: pathlib.Path) -> None:
    """A film with captions beside it, every two seconds one."""
    media_samples.write_film(path, seconds=SECONDS, frame_rate=12, tone_start=0.5)
    lines = ["WEBVTT", ""]
    for start in range(0, SECONDS - 2, 2):
        times = (
            f"{t // 60:02d}:{t % 60:02d}.{milli}" for t, milli in ((start, 100), (start + 1, 900))
        )
        text = f"the {small_world.WORDS[start // 2 % 4]} {small_world.WORDS[4 + start // 2 % 8]}"
        lines += [" --> ".join(times), text, ""]
    path.with_suffix(".vtt").write_text("\n".join(lines), encoding="utf-8")


def under(page: str, heading: str) -> list[pages.Command]:
    """The commands that the blocks of one section show."""
    assert (page, heading) in SECTIONS
    path = ROOT / page
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines, 1) if re.fullmatch(f"#+ {heading}", line))
    level = lines[first - 1].count("#")
    last = next(
        (
            n
            for n, line in enumerate(lines[first:], first + 1)
            if re.match(f"#{{1,{level}}} ", line)
        ),
        len(lines) + 1,
    )
    found = [
        command
        for command in pages.commands(path)
        if first < int(command.where.rpartition(":")[2]) < last
        and not command.needs
        and not command.inline
    ]
    assert found
    return found


def run(words: tuple[str, ...], directory: pathlib.Path) -> str:
    """Runs a page's command in a folder of our own."""
    changed = [
        re.sub("=own_videos:(.*)", r"=own_videos:\1,runlocal", word).replace(
            "=quickstart", "=quickstart:runlocal"
        )
        for word in words
    ]
    return run_as_given(changed, directory, 600.0)


def run_as_given(words: Sequence[str], directory: pathlib.Path, seconds: float) -> str:
    """What a command of the installed package prints, given that it succeeds."""
    done = subprocess.run(
        words,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """What a reader has: videos with captions, and word vectors."""
    path = tmp_path_factory.mktemp("reader")
    (path / "videos").mkdir()
    write_narrated_film(path / "videos" / "soup.mp4")
    vectors = small_world.write_word_vectors(path)
    for suffix in (".npy", ".txt"):
        vectors.with_suffix(suffix).rename(path / f"vectors{suffix}")
    save_model(small_world.tiny_model(), path / "mmv_s3d.keras")  # in place of the published one
    return path


@pytest.fixture(scope="module")
def trained(folder) -> pathlib.Path:
    """The folder after README's "Train on my videos"."""
    for command in under("README.md", "Train on my videos"):
        if command.words[1] == "download":  # tests/programs/download_test.py
            (folder / "vectors").mkdir()
            for suffix in (".npy", ".txt"):
                target = folder / "vectors" / f"glove_6b_50d{suffix}"
                shutil.copyfile(folder / f"vectors{suffix}", target)
        else:
            run(command.words, folder)
    for name, target in (("RUN", "run"), ("PATH", "run"), ("DIR", "videos")):
        (folder / name).symlink_to(target)  # as the guides call them
    for name in ("film.mp4", "holiday.mp4"):
        (folder / name).symlink_to("videos/soup.mp4")
    media_samples.write_wav(folder / "bark.wav", media_samples.tone(4.0, 16_000, 0.0))
    (folder / "LINES.txt").write_text("the red square\na blue circle\n", encoding="utf-8")
    return folder


def known(words: tuple[str, ...]) -> tuple[str, ...]:
    """A query, or labels, with words that the tiny network was given."""
    changed = (re.sub("^--text=.*", "--text=the red square moves", word) for word in words)
    return tuple(re.sub("^--labels=.*", "--labels=red square,a circle", word) for word in changed)


def test_readme_trains_and_searches(trained):
    assert {"run", "results.json", "image_encoder.keras", "saved_model"} <= set(os.listdir(trained))
    index, query, _ = under("README.md", "Search my videos")
    run(index.words, trained)
    assert json.loads(run((*known(query.words), "--json"), trained))


def test_the_search_guide(trained):
    index, _, *others = under("docs/search.md", "Search your own videos")
    run(index.words, trained)
    commands = [command for command in others if command.words[2] in ("query", "cut")]
    rest = {command.words[2]: command for command in others if command not in commands}
    assert rest.keys() == {"serve", "export"}
    assert "vectors." in run(rest["export"].words, trained)
    assert (trained / "VECTORS.parquet").exists()
    assert len(commands) >= 7
    for command in commands:
        said = run(known(command.words), trained)
        files = [word.partition("=")[2] for word in command.words if word.startswith("--output=")]
        written = "".join((trained / name).read_text(errors="replace") for name in files)
        assert "soup.mp4" in said + written, command.where


def test_the_classification_guide(trained):
    samples.write_sounds(trained / "SOUNDS", 3, 5.0)
    for command in under("docs/classify.md", "Classify by your own labels"):
        if command.words[0] != "curl":  # Its request is shortened; serving has tests of its own.
            run(known(command.words), trained)
    assert (trained / "SERVED" / "1" / "saved_model.pb").exists()
    assert {"sounds.keras", "sounds.json", "sounds.html", "all.html"} <= set(os.listdir(trained))
    (one,) = json.loads((trained / "scores.json").read_text())["files"]
    assert one["path"] == "soup.mp4" and len(one["scores"]) == 3
    assert (trained / "windows.csv").read_text().count("soup.mp4") == 10


def test_the_deflation_guide(trained, tmp_path):
    samples.write_images(tmp_path / "pictures")
    for name, target in (("RUN", "run"), ("DATA", "data"), ("mmv_s3d.keras", "mmv_s3d.keras")):
        (tmp_path / name).symlink_to(trained / target)
    for command in under("docs/deflation.md", "Deflating a trained model"):
        run((*command.words, "--epochs=1"), tmp_path)
    assert {"image_encoder.keras", "mmv_s3d_image.keras"} <= set(os.listdir(tmp_path))


def test_the_evaluation_guide(trained):
    for command in under("docs/evaluation.md", "Features"):
        run(command.words, trained)
    assert (trained / "FEATURES" / "part-00000.npz").exists()
    assert (trained / "F" / "part-00000.parquet").exists()


def test_the_guide_to_your_own_videos(folder, tmp_path):
    (tmp_path / "videos").symlink_to(folder / "videos")
    commands = under("docs/finetuning.md", "Your own videos")
    said = [run(command.words, tmp_path) for command in commands]
    assert (tmp_path / "run_va" / "model.keras").exists()
    assert "--config.training.weights.vt=0.0" in said[-1]


def test_the_publishing_guide(trained):
    for command in under("docs/publishing.md", "Publishing a model"):
        run(command.words, trained)
    found = {path.name for path in (trained / "my_network_portable").iterdir()}
    assert {"image.tflite", "video.tflite"} <= found


def test_the_reading_guide(trained):
    (command,) = under("docs/reading.md", "Verifying")
    run(command.words, trained)


def test_readme_finds_a_moment_in_python(trained, capsys):
    """The example, with this film and model in place of the quickstart's."""
    (block,) = [b for b in pages.blocks(ROOT / "README.md") if "load_encoder" in b.text]
    text = block.text.replace("runs/quickstart/downloads/bbb.mp4", str(trained / "videos/soup.mp4"))
    text = text.replace("runs/quickstart/run", str(trained / "run"))
    exec(text.replace("a rabbit sleeps in a burrow", "the red square moves"), {})
    found = re.fullmatch(r"(\d+) to (\d+) seconds, cosine -?\d\.\d\d\n", capsys.readouterr().out)
    assert found and 0 <= int(found[1]) <= int(found[2]) <= SECONDS


def test_the_data_guide(folder, tmp_path):
    for name in ("vectors.npy", "vectors.txt", "videos"):
        (tmp_path / name).symlink_to(folder / name)
    for command in under("docs/data.md", "Summary"):
        run(command.words, tmp_path)
    assert (tmp_path / "run" / "model.keras").exists()
    for command in under("docs/data.md", "On several machines"):
        run(command.words, tmp_path)
    assert (tmp_path / "shared" / "manifest.json").exists()
    for command in under("docs/data.md", "Clips stored as video"):
        run(command.words, tmp_path)
    assert '"store": "video"' in (tmp_path / "data_as_video" / "manifest.json").read_text()


def test_the_guide_to_clusters(folder, s3_store, tmp_path):
    """Runs its commands against an S3 server on the loopback address."""
    store = open_store(s3_store.url)
    for name in ("soup", "bread"):
        for suffix in (".mp4", ".vtt"):
            store.upload(folder / "videos" / f"soup{suffix}", f"videos/{name}{suffix}")
    for suffix in (".npy", ".txt"):
        (tmp_path / f"vectors{suffix}").symlink_to(folder / f"vectors{suffix}")
    for heading in ("One machine, data in a store", "Shares of the work"):
        for command in under("docs/cluster.md", heading):
            words = [word.replace("s3://films", s3_store.url) for word in command.words]
            run(tuple(words), tmp_path)
    found = store.list()
    assert {"data/manifest.json", "shared/manifest.json", "run/model.keras"} <= set(found)
    for name in ("data", "shared"):
        assert not [key for key in found if key.startswith(f"{name}/.partial")]
    query = ("mmv", "search", "query", f"--index={s3_store.url}/whole", "--text=the red square")
    said = run((*query, "--json"), tmp_path)
    assert "soup.mp4" in said or "bread.mp4" in said


def test_the_serving_guide(trained):
    """Exports, serves, checks the server's answers, and runs the page's clients."""
    export, serve, check = [
        command
        for command in under("docs/serving.md", "Serving a model")
        if command.words[0] == "mmv"
    ]
    run(export.words, trained)
    (grpc_port,) = cluster.free_ports(1)
    with subprocess.Popen(
        [*serve.words, "--http_port=0", f"--grpc_port={grpc_port}"],
        cwd=trained,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            said = ""
            while not (address := re.search(r"http://[\d.]+:\d+", said)):
                line = server.stdout.readline()
                assert line, "the server ended"
                said += line
            words = [re.sub(r"http://[\d.]+:\d+", address[0], word) for word in check.words]
            run((*words, "--requests=2", "--clients=2", "--num_clips=1"), trained)
            run_clients(trained, address[0], f"127.0.0.1:{grpc_port}")
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    report = json.loads((trained / "check.json").read_text())
    assert all(result.get("difference", 0) < 1e-4 for result in report["signatures"].values())


def run_clients(folder: pathlib.Path, rest: str, grpc: str) -> None:
    """Runs the clients of docs/serving.md in Python and in a shell, and compares their answers."""
    samples.write_images(folder / "pictures")
    (folder / "frames").mkdir()
    for number, path in enumerate(sorted((folder / "pictures").glob("*/*.png"))):
        Image.open(path).convert("RGB").save(folder / "frames" / f"{number}.jpg")
    shutil.copyfile(folder / "frames" / "0.jpg", folder / "frame.jpg")
    blocks = pages.blocks(pages.ROOT / "docs/serving.md")

    def here(text: str) -> str:
        text = text.replace("http://127.0.0.1:8501", rest).replace("127.0.0.1:8500", grpc)
        return text.replace("a dog runs", "the red square").replace("the sea", "a blue circle")

    found = {}
    with contextlib.chdir(folder):
        for name in ("REST", "gRPC"):
            (block,) = [block for block in blocks if f"A client over {name}." in block.text]
            exec(here(block.text), found.setdefault(name, {}))
        (shell,) = [block for block in blocks if block.text.startswith("base64 ")]
        said = subprocess.run(
            ["bash", "-euc", here(shell.text)], capture_output=True, text=True, check=True
        ).stdout
    np.testing.assert_allclose(found["REST"]["text"], found["gRPC"]["text"], atol=1e-5)
    assert len(found["REST"]["video"]) == 1
    assert len(json.loads(said)["outputs"]["vat"][0]) == len(found["REST"]["video"][0])
