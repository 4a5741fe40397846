# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import shutil

from mmv_tf.data import preparation
from mmv_tf.data.records import keys
from tests import media_samples
from tests.data.preparation.samples import SETTINGS, prepare, records


def test_captions_across_borders_and_past_the_end_are_counted(film, tmp_path, in_process):
    path = tmp_path / "film.mp4"
    shutil.copy(film, path)
    media_samples.write_vtt(
        path.with_suffix(".vtt"), [(0.0, 0.6, "a"), (0.7, 2.9, "b"), (5.0, 6.0, "c")]
    )
    manifest, _ = prepare(path, tmp_path / "data")
    assert manifest["dropped"]["captions_across_borders"] == 1
    assert manifest["dropped"]["captions_past_the_end"] == 1


def test_captions_around_listed_clips_are_counted(film, tmp_path, in_process):
    clips = (preparation.ListedClip(0.0, 1.0, texts=("own",)),)
    captions = film.with_suffix(".vtt")
    source = preparation.Source("a", film, captions=captions, split="train", clips=clips)
    settings = dataclasses.replace(SETTINGS, cut="list")
    manifest, _ = preparation.prepare([source], tmp_path / "data", settings)
    (record,) = records(tmp_path / "data", "train")
    stored = record.context.feature[keys.CAPTION].bytes_list.value
    assert manifest["splits"]["train"]["num_captions"] == len(stored) > 1


def test_captions_of_the_clip_are_marked(film, tmp_path, in_process):
    prepare(film, tmp_path)
    for record in records(tmp_path, "train"):
        context = record.context.feature
        own = context[keys.CAPTION_OWN].int64_list.value
        starts = context[keys.CAPTION_START].int64_list.value
        assert sum(own) == 1
        assert starts[list(own).index(1)] == context[keys.CLIP_START].int64_list.value[0]


def test_listed_clips(film, tmp_path, in_process):
    (tmp_path / "list.csv").write_text(
        f"path,start,end,label,split,text\n{film},0.5,1,jump,train,he jumps\n{film},1,2.5,,test,\n"
    )
    sources = preparation.read_listing(tmp_path / "list.csv")
    settings = dataclasses.replace(SETTINGS, cut="list")
    manifest, _ = preparation.prepare(sources, tmp_path / "data", settings)
    assert manifest["labels"] == ["jump"]
    (train,), (test,) = (records(tmp_path / "data", split) for split in ("train", "test"))
    context = train.context.feature
    # Only the film's captions that touch the clip: the rest may be in the test split.
    texts = dict(
        zip(
            context[keys.CAPTION].bytes_list.value,
            context[keys.CAPTION_OWN].int64_list.value,
            strict=True,
        )
    )
    assert texts == {b"zero": 0, b"one": 0, b"he jumps": 1}
    assert len(train.feature_lists.feature_list[keys.FRAMES].feature) == 5
    assert keys.LABEL_INDEX not in test.context.feature


def test_windows(film, tmp_path, in_process):
    settings = dataclasses.replace(
        SETTINGS, cut="window", window_seconds=0.5, stride_seconds=0.25, num_shards=1
    )
    manifest, _ = prepare(film, tmp_path, settings, labels=film.with_name("labels.tsv"))
    found = records(tmp_path, "train")
    starts = [r.context.feature[keys.CLIP_START].int64_list.value[0] for r in found]
    assert starts == [0, 250_000, 500_000, 750_000, 1_000_000]
    # The third is half in a pause: neither caption covers half of it by much.
    names = [list(r.context.feature[keys.LABEL_STRING].bytes_list.value) for r in found]
    assert names[0] == [b"a"]
    assert names[3] == [b"b"]
    assert all(len(r.feature_lists.feature_list[keys.FRAMES].feature) == 5 for r in found)
    assert manifest["splits"]["test"]["num_examples"] == 5


def test_windows_need_no_captions(film, tmp_path, in_process):
    path = tmp_path / "film.mp4"
    shutil.copy(film, path)
    settings = dataclasses.replace(SETTINGS, cut="window", window_seconds=1.0)
    manifest, _ = prepare(path, tmp_path / "data", settings)
    assert manifest["sources"][0]["status"] == "no captions"
    (record,) = records(tmp_path / "data", "train")
    assert list(record.context.feature[keys.CAPTION].bytes_list.value) == []
