# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The program, in this process: it is started once, in the last test, as users do."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from binaries import embed
from mmv_tf.command_line import UsageError
from mmv_tf.deflation import deflate
from tests import small_world
from tests.evaluation import small_benchmarks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network, its deflated one, and a few files of each kind."""
    root = tmp_path_factory.mktemp("embed")
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    model.save(root / "model.keras")
    deflate(model).save(root / "image.keras")
    for number in range(3):
        small_benchmarks.sound(root / "sounds" / f"{number}.wav", number % 2, number)
        small_benchmarks.image(root / "images" / "class" / f"{number}.png", number, number)
        small_benchmarks.film(root / "videos" / f"{number}.mp4", number, root)
    (root / "lines.txt").write_text("a red square\n\nthe circle falls\na red square\n")
    return root


def run(folder, output, model="model.keras", **values):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["embed"], known_only=True)
    with flagsaver.flagsaver(model=str(folder / model), output=str(output), **values):
        embed.main(["embed"])


def read(output):
    parts = [np.load(part) for part in sorted(output.glob("part-*.npz"))]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0].files}


def test_sounds_are_embedded_and_new_ones_added(folder, tmp_path, capsys):
    values = dict(
        sounds=str(folder / "sounds"), names=["last_conv", "va"], seconds=0.4, windows=2,
        part_items=2,
    )  # fmt: skip
    run(folder, tmp_path, **values)
    first = read(tmp_path)
    assert first["id"].tolist() == ["0.wav", "1.wav", "2.wav"]
    assert first["windows"].tolist() == [2, 2, 2]
    assert first["va"].shape == (6, 16)
    assert first["last_conv"].shape[0] == 6
    parts = {part.name: part.stat().st_mtime_ns for part in tmp_path.glob("part-*")}
    assert len(parts) == 2
    small_benchmarks.sound(folder / "sounds" / "3.wav", 1, 3)
    run(folder, tmp_path, **values)
    (folder / "sounds" / "3.wav").unlink()
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in parts} == parts
    assert read(tmp_path)["id"].tolist()[3:] == ["3.wav"]
    assert "features of 4 items" in capsys.readouterr().out


def test_sentences_are_embedded_once_each(folder, tmp_path):
    run(folder, tmp_path, sentences=str(folder / "lines.txt"), names=["vat"])
    found = read(tmp_path)
    assert found["id"].tolist() == ["a red square", "the circle falls"]
    assert found["vat"].shape == (2, 8)
    assert not np.allclose(found["vat"][0], found["vat"][1])


def test_images_are_embedded_to_parquet(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run(folder, tmp_path, "image.keras", images=str(folder / "images"), format="parquet", size=32,
        names=["before_head", "vat"])  # fmt: skip
    table = parquet.read_table(tmp_path / "part-00000.parquet")
    assert table["id"].to_pylist() == [f"class/{number}.png" for number in range(3)]
    assert np.array(table["vat"].to_pylist()).shape == (3, 8)


def test_unreadable_files_are_told_and_fail_unless_allowed(folder, tmp_path, capsys):
    (folder / "videos" / "broken.mp4").write_bytes(b"no film")
    with pytest.raises(ValueError, match="1 of the listed items can't be scored"):
        run(folder, tmp_path, videos=str(folder / "videos"))
    assert read(tmp_path)["id"].tolist() == ["0.mp4", "1.mp4", "2.mp4"]
    run(folder, tmp_path, videos=str(folder / "videos"), allow_missing=1)
    (folder / "videos" / "broken.mp4").unlink()
    assert "can't be read" in capsys.readouterr().out


def test_mistakes_are_told(folder, tmp_path):
    with pytest.raises(UsageError, match="got 0"):
        run(folder, tmp_path)
    with pytest.raises(ValueError, match=r"holds no file ending in \.avi"):
        run(folder, tmp_path / "a", videos=str(folder / "images"))
    with pytest.raises(ValueError, match="video has no 'last_conv'"):
        run(folder, tmp_path / "a", videos=str(folder / "videos"), names=["last_conv"])
    with pytest.raises(ValueError, match="not image; deflate"):
        run(folder, tmp_path / "a", images=str(folder / "images"))
    assert not (tmp_path / "a").exists()


def test_the_program_says_what_is_missing():
    done = subprocess.run(
        [sys.executable, "-m", "binaries.embed", "--output=x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--model" in done.stderr
