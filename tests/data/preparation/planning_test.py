# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import shutil

import pytest

from mmv_tf.data import preparation
from tests import media_samples
from tests.data.preparation.samples import SETTINGS, prepare, prepare_sources


def test_single_source_that_fails_is_an_error(film, tmp_path, in_process):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film.read_bytes()[:5_000])
    with pytest.raises(ValueError, match=r"cut.mp4: can't be decoded"):
        prepare(cut, tmp_path / "data")
    shutil.copy(film, cut)
    with pytest.raises(ValueError, match=r"cut.mp4: no captions to cut by"):
        prepare(cut, tmp_path / "data")
    assert not (tmp_path / "data").exists()
    cut.with_suffix(".vtt").write_text("")
    with pytest.raises(ValueError, match="caption file is empty"):
        prepare(cut, tmp_path / "data")
    assert not (tmp_path / "data" / "manifest.json").exists()
    with pytest.raises(ValueError, match="no such file or folder"):
        prepare(tmp_path / "none.mp4", tmp_path / "data")
    with pytest.raises(ValueError, match=r"none.vtt: can't read"):
        preparation.prepare(
            preparation.find_sources(film, tmp_path / "none.vtt"), tmp_path / "data", SETTINGS
        )


def test_duplicate_example_ids_are_an_error(tmp_path, in_process):
    for name in ("a", "b"):
        media_samples.write_film(tmp_path / f"{name}.mp4", 0.5)
    clip = preparation.ListedClip(example_id="same")
    sources = [
        preparation.Source(name, tmp_path / f"{name}.mp4", split="train", clips=(clip,))
        for name in ("a", "b")
    ]
    with pytest.raises(ValueError, match=r"id 'same' stands for a clip of .*a.mp4 and one of .*b"):
        prepare_sources(sources, tmp_path / "data", cut="list")


def test_other_classes_than_the_data_set_s_are_an_error(tmp_path, in_process):
    media_samples.write_film(tmp_path / "a.mp4", 0.5)
    source = preparation.Source("a", tmp_path / "a.mp4", split="train", labels=("b",))
    settings = preparation.Settings(short_side=16, cut="list")
    facts = preparation.DataSetFacts("x", ("c", "a"))
    with pytest.raises(ValueError, match="The label 'b' is none of the data set's 2 classes"):
        preparation.prepare([source], tmp_path / "data", settings, facts=facts)
    facts = preparation.DataSetFacts("x", ("c", "b"))
    manifest = preparation.prepare([source], tmp_path / "data", settings, facts=facts)[0]
    assert manifest["labels"] == ["c", "b"]
