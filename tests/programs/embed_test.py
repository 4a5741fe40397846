# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil

import keras
import numpy as np
import pytest

from mmv_tf.deflation import deflate_naively
from mmv_tf.pretrained import create_model
from tests import small_world
from tests.evaluation import small_benchmarks
from tests.programs.program import Program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network, its deflated one, and a few files of each kind."""
    root = tmp_path_factory.mktemp("embed")
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    model.save(root / "model.keras")
    deflate_naively(model).save(root / "image.keras")
    for number in range(3):
        small_benchmarks.sound(root / "sounds" / f"{number}.wav", number % 2, number)
        small_benchmarks.image(root / "images" / "class" / f"{number}.png", number, number)
        small_benchmarks.film(root / "videos" / f"{number}.mp4", number, root)
    (root / "lines.txt").write_text("a red square\n\nthe circle falls\na red square\n")
    return root


@pytest.fixture(scope="module")
def program():
    program = Program("embed")
    yield program
    program.close()


@pytest.fixture
def run(program, folder, tmp_path):
    def run(*arguments, model="model.keras", output=tmp_path):
        return program(f"--model={folder / model}", f"--output={output}", *arguments)

    return run


@pytest.mark.slow
def test_sentences_for_a_network_without_words_are_one_error(run, folder, tmp_path):
    create_model(small_world.model_config()).save(folder / "wordless.keras")
    done = run(f"--sentences={folder / 'lines.txt'}", "--names=vat", model="wordless.keras")
    assert done.status == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: This model has no text input: it has a table")
    assert not list(tmp_path.iterdir())


def read(output):
    parts = [np.load(part) for part in sorted(output.glob("part-*.npz"))]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0].files}


@pytest.mark.slow
def test_sounds_are_embedded_and_new_ones_added(run, folder, tmp_path):
    arguments = (
        *(f"--audio={folder / 'sounds'}", "--names=last_conv,va", "--window_seconds=0.4"),
        *("--windows=2", "--part_items=2"),
    )
    assert run(*arguments).status == 0
    first = read(tmp_path)
    assert first["id"].tolist() == ["0.wav", "1.wav", "2.wav"]
    assert first["windows"].tolist() == [2, 2, 2]
    assert first["va"].shape == (6, 16)
    assert first["last_conv"].shape[0] == 6
    parts = {part.name: part.stat().st_mtime_ns for part in tmp_path.glob("part-*")}
    assert len(parts) == 2
    small_benchmarks.sound(folder / "sounds" / "3.wav", 1, 3)
    done = run(*arguments)
    (folder / "sounds" / "3.wav").unlink()
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in parts} == parts
    assert read(tmp_path)["id"].tolist()[3:] == ["3.wav"]
    assert "features of 4 items" in done.stdout
    other = run(*arguments, "--windows=3")
    assert other.status == 1
    assert "holds features from another model, from other views" in other.stderr


def test_sentences_are_embedded_once_each(run, folder, tmp_path):
    assert run(f"--sentences={folder / 'lines.txt'}", "--names=vat").status == 0
    found = read(tmp_path)
    assert found["id"].tolist() == ["a red square", "the circle falls"]
    assert found["vat"].shape == (2, 8)
    assert not np.allclose(found["vat"][0], found["vat"][1])


def test_sentences_without_a_known_word_are_told_and_left_out(run, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("a red square\nquo vadis\nwas it\n")
    done = run(f"--sentences={path}", "--names=vat")
    assert done.status == 1
    assert "can't be read: 'quo vadis' has no word that the model knows" in done.stdout
    assert "2 of the listed items can't be scored, more than the 0 allowed" in done.stderr
    assert read(tmp_path)["id"].tolist() == ["a red square"]
    assert run(f"--sentences={path}", "--names=vat", "--allow_missing=2").status == 0


@pytest.mark.slow
def test_only_line_ends_end_sentences(run, tmp_path):
    sentences = ["the square\u2028falls", "red\u0085b", "red\x0bb\x0cc", "up\x1cb\x1dc\x1ed", "up"]
    path = tmp_path / "lines.txt"
    path.write_bytes("\r\n".join(sentences).encode() + b"\r\n\x1c\r\n")
    assert run(f"--sentences={path}", "--names=vat").status == 0
    assert read(tmp_path)["id"].tolist() == sentences


@pytest.mark.slow
def test_tasks_write_the_bytes_of_one_machine(run, folder, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("a red square\nquo vadis\nthe circle falls\nthe square\nred\n")
    arguments = f"--sentences={path}", "--names=vat", "--part_items=2", "--allow_missing=1"
    assert run(*arguments, output=tmp_path / "one").status == 0
    output = tmp_path / "tasks"
    assert run(*arguments, "--task=2/2", output=output).status == 0
    missing = run(*arguments, "--finish", output=output)
    assert missing.status == 1
    assert "tasks not done yet: '1/2'; run --task=1/2" in missing.stderr
    done = run(*arguments, "--task=1/2", output=output)
    assert "task 1/2 done: 2 of 4 items; after all tasks" in done.stdout
    done = run(*arguments, "--finish", output=output)
    assert done.status == 0, done.stderr
    assert "'quo vadis' has no word" in done.stdout
    files = {part.name: part.read_bytes() for part in (tmp_path / "one").iterdir()}
    assert {part.name: part.read_bytes() for part in output.iterdir()} == files
    assert run(*arguments, "--task=1/2", "--finish", output=output).status == 2
    assert run(*arguments, "--task=3/2", output=output).status == 2


def test_images_are_embedded_to_parquet(run, folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    shutil.copytree(folder / "images", tmp_path / "images")
    shutil.copy(folder / "images/class/0.png", tmp_path / "images" / os.fsdecode(b"caf\xe9.PNG"))
    done = run(
        *(f"--images={tmp_path / 'images'}", "--format=parquet", "--size=32"),
        "--names=before_head,vat",
        model="image.keras",
    )
    assert done.status == 0, done.stderr
    table = parquet.read_table(tmp_path / "part-00000.parquet")
    assert table["id"].to_pylist() == [r"caf\xe9.PNG", *(f"class/{n}.png" for n in range(3))]
    assert np.array(table["vat"].to_pylist()).shape == (4, 8)


@pytest.mark.slow
def test_without_a_deflated_network_images_are_clips_that_stand_still(run, folder, tmp_path):
    done = run(f"--images={folder / 'images'}", "--names=vat")
    assert done.status == 0, done.stderr
    assert "embedded by: static clip" in done.stdout
    done = run(
        f"--images={folder / 'images'}",
        "--names=vat",
        f"--image_model={folder / 'image.keras'}",
        output=tmp_path / "b",
    )
    assert done.status == 0, done.stderr
    assert "embedded by: deflated network" in done.stdout


def test_unreadable_files_are_told_and_fail_unless_allowed(run, folder, tmp_path):
    videos = f"--videos={folder / 'videos'}"
    broken = folder / "videos" / os.fsdecode(b"brok\xe9n.mp4")
    broken.write_bytes(b"no film")
    done = run(videos)
    assert done.status == 1
    assert "1 of the listed items can't be scored" in done.stderr
    assert read(tmp_path)["id"].tolist() == ["0.mp4", "1.mp4", "2.mp4"]
    done = run(videos, "--allow_missing=1")
    broken.unlink()
    assert done.status == 0
    assert "can't be read" in done.stdout
    assert r"brok\xe9n.mp4" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "got 0"),
        (["--videos={}/images"], 1, "has no file ending in .avi"),
        (["--videos={}/videos", "--names=last_conv"], 1, "video has no 'last_conv'"),
        (["--audio={}/sounds", "--window_seconds=-1"], 2, "--window_seconds is -1.0"),
        (["--sentences={}/model.keras"], 1, "not UTF-8 text"),
    ],
)
def test_mistakes_are_told(run, folder, tmp_path, arguments, status, message):
    done = run(*[one.format(folder) for one in arguments], output=tmp_path / "a")
    assert done.status == status
    assert message in done.stderr.splitlines()[-1]
    assert not list((tmp_path / "a").glob("part-*"))


def test_the_network_must_be_given(program):
    done = program("--output=x")
    assert done.status == 2
    assert "--model" in done.stderr
