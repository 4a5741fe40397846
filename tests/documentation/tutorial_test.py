# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/tutorial.md from its first block to its last, in one process, as a reader would.

Changed are the size of the configuration and the words of the sentences, which a small vocabulary
has to hold.
"""

from __future__ import annotations

import pytest

from tests import small_world
from tests.classification import samples
from tests.documentation import commands_run_test, pages

BLOCKS = [
    block for block in pages.blocks(pages.ROOT / "docs/tutorial.md") if block.language == "python"
]


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    commands_run_test.write_narrated_film(tmp_path / "film.mp4")
    samples.write_images(tmp_path / "pictures")
    for path in (tmp_path / "pictures").glob("*/*.png"):  # a flat folder, as on the page
        path.rename(tmp_path / "pictures" / f"{path.parent.name}_{path.name}")
    for folder in (path for path in (tmp_path / "pictures").iterdir() if path.is_dir()):
        folder.rmdir()
    (tmp_path / "vectors").mkdir()
    vectors = small_world.write_word_vectors(tmp_path)
    for suffix in (".npy", ".txt"):
        vectors.with_suffix(suffix).rename(tmp_path / "vectors" / f"glove_6b_50d{suffix}")
    names: dict = {}
    for block in BLOCKS:
        text = block.text.replace('"quickstart"', '"quickstart:runlocal"')
        text = text.replace("config.training.steps = 300", "config.training.steps = 4")
        text = text.replace("somebody stirs the soup", "the red square moves")
        text = text.replace("somebody cuts bread", "a blue circle")
        exec(compile(text, f"{block.page}:{block.line}", "exec"), names)
    printed = capsys.readouterr().out
    assert "validation:" in printed and "before_head (" in printed
    assert names["scores"].shape == (2, len(names["film"]["start"]))
    assert names["nearest"].shape == (10,)
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
