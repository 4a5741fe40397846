# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil

import pytest

from mmv_tf.data import preparation
from mmv_tf.data.records import keys
from tests import media_samples
from tests.data.preparation.samples import CUES, SETTINGS, prepare, prepare_sources, records


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
    with pytest.raises(
        ValueError, match=r"id 'same' belongs to a clip from .*a.mp4 and to one from .*b"
    ):
        prepare_sources(sources, tmp_path / "data", cut="list")


def test_other_classes_than_the_data_set_s_are_an_error(tmp_path, in_process):
    media_samples.write_film(tmp_path / "a.mp4", 0.5)
    source = preparation.Source("a", tmp_path / "a.mp4", split="train", labels=("b",))
    settings = preparation.Settings(short_side=16, cut="list")
    facts = preparation.DataSetFacts("x", ("c", "a"))
    with pytest.raises(ValueError, match="The label 'b' is not one of the data set's 2 classes"):
        preparation.prepare([source], tmp_path / "data", settings, facts=facts)
    facts = preparation.DataSetFacts("x", ("c", "b"))
    manifest = preparation.prepare([source], tmp_path / "data", settings, facts=facts)[0]
    assert manifest["labels"] == ["c", "b"]


def test_what_is_left_out_is_counted_and_its_place_told(film, tmp_path, in_process):
    for name in ("a", "b"):
        shutil.copy(film, tmp_path / f"{name}.mp4")
    cues = [(0.0, 0.6, "one"), (0.7, 0.7, "x"), (1.0, 1.0, "y"), (1.6, 2.3, "two")]
    media_samples.write_vtt(tmp_path / "a.en.vtt", cues)
    media_samples.write_vtt(tmp_path / "a.de.vtt", CUES)
    media_samples.write_vtt(tmp_path / "b.vtt", CUES)
    media_samples.write_vtt(tmp_path / "gone.vtt", CUES)
    for name in ("a.info.json", "b.jpg"):
        (tmp_path / name).touch()
    found = preparation.find(tmp_path)
    manifest, _ = preparation.prepare(
        found.sources, tmp_path / "data", SETTINGS, passed_over=found.passed_over
    )
    rows = {row["media_id"]: row for row in manifest["sources"]}
    assert rows["a"]["status"] == "ok"
    assert rows["a"]["clips"] == 2
    assert rows["a"]["left_out"] == {"caption_files_passed_over": 1, "captions_without_length": 2}
    assert rows["b"]["left_out"] == {}
    report = preparation.format_report(manifest)
    assert "1 caption files passed over (first: a.en.vtt is used, not a.de.vtt)" in report
    assert "(first: a.en.vtt, line 6: the caption ends at 0.7 s but starts at 0.7 s)" in report
    assert "files passed over: 1 .jpg, 1 .json, 1 caption files of no source" in report
    assert manifest["passed_over"] == found.passed_over
    dropped = preparation.format_dropped(manifest["dropped"])
    assert "2 captions without length" in dropped
    assert "3 files passed over" in dropped
    # Other files do not affect the shards, which are not written again.
    (tmp_path / "a.fr.vtt").touch()
    again = preparation.find(tmp_path)
    assert again.sources != found.sources
    assert preparation.prepare(again.sources, tmp_path / "data", SETTINGS)[1]


def test_labels_that_are_left_out_are_counted(film, tmp_path, in_process):
    labels = tmp_path / "labels.tsv"
    text = (film.parent / "labels.tsv").read_text()
    labels.write_text(f"{text}\n9.0\t9.0\tx\tnothing\n")
    manifest, _ = prepare(film, tmp_path / "data", labels=labels)
    assert manifest["dropped"]["captions_without_length_in_the_labels"] == 1


def test_names_that_are_no_utf8(film, tmp_path, in_process):
    odd = tmp_path / "videos" / os.fsdecode(b"caf\xe9.mp4")
    odd.parent.mkdir()
    shutil.copy(film, odd)
    shutil.copy(film.with_suffix(".vtt"), odd.with_suffix(".vtt"))
    odd.with_name(os.fsdecode(b"br\xfbl\xe9.mp4")).write_bytes(b"no film")
    manifest, _ = prepare(odd.parent, tmp_path / "data")
    rows = {row["media_id"]: row for row in manifest["sources"]}
    assert rows[r"caf\xe9"]["status"] == "ok"
    assert rows[r"caf\xe9"]["path"] == rf"{odd.parent}/caf\xe9.mp4"
    assert rows[r"br\xfbl\xe9"]["status"] == "corrupt"
    assert r"br\xfbl\xe9.mp4: can't be decoded" in rows[r"br\xfbl\xe9"]["reason"]
    assert preparation.format_report(manifest).encode().count(rb"caf\xe9") == 1
    record = records(tmp_path / "data", "train")[0]
    (name,) = record.context.feature[keys.EXAMPLE_ID].bytes_list.value
    assert name.startswith(rb"caf\xe9_")
