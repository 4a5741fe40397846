# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preparation and evaluation read the same layouts of a data set."""

import pytest

from mmv_tf.data.datasets import DATA_SETS, read_data_set
from mmv_tf.evaluation.listing import MediaIndex, read_listing
from tests.evaluation import small_benchmarks


def renamed(make, *names):
    def made(root):
        data = make(root)
        for old, new in names:
            (data / new).parent.mkdir(exist_ok=True)
            (data / old).rename(data / new)
        return data

    return made


def kinetics_whole(root):
    data = small_benchmarks.kinetics(root)
    for path in list(data.rglob("*_000010_000020.mp4")):
        path.rename(path.with_name(path.name.replace("_000010_000020", "")))
    return data


LAYOUTS = {
    "kinetics val.csv": (
        *("kinetics600", "val"),
        renamed(small_benchmarks.kinetics, ("validate.csv", "val.csv")),
    ),
    "kinetics with prefixes": (
        *("kinetics600", "validate"),
        renamed(
            small_benchmarks.kinetics,
            ("validate.csv", "annotations/kinetics_600_validate.csv"),
            ("train.csv", "annotations/kinetics_600_train.csv"),
        ),
    ),
    "kinetics whole": ("kinetics600", "validation", kinetics_whole),
    "youcook2 validation.csv": (
        *("youcook2", "validation"),
        renamed(small_benchmarks.youcook2, ("validation_youcook.csv", "validation.csv")),
    ),
    "ucf101 splits": (
        *("ucf101", "2"),
        renamed(
            small_benchmarks.ucf101,
            ("ucfTrainTestlist", "splits"),
            ("Archery", "videos/Archery"),
            ("Bowling", "videos/Bowling"),
        ),
    ),
    "ucf101 beside the lists": ("ucf101", "1", small_benchmarks.ucf101),
    "hmdb51 in splits": (
        *("hmdb51", "1"),
        renamed(
            small_benchmarks.hmdb51, ("hmdb51.csv", "splits/hmdb51.csv"), ("clap", "videos/clap"),
            ("wave", "videos/wave"),
        ),
    ),
    "msrvtt": (
        *("msrvtt", "1k-A"),
        renamed(small_benchmarks.msrvtt, ("msrvtt_test.csv", "MSRVTT_JSFUSION_test.csv")),
    ),
    "esc50": ("esc50", "3", small_benchmarks.esc),
    "audioset": ("audioset", "balanced_train", small_benchmarks.audioset),
    "voc2007": ("voc2007", "trainval-test", small_benchmarks.voc2007),
    "image_folder": ("image_folder", "val", small_benchmarks.image_folder),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_find_every_file_and_the_same_classes(tmp_path, layout):
    name, division, make = LAYOUTS[layout]
    data = make(tmp_path)
    collection = read_data_set(name, data)
    listing = read_listing(name, data, None, division)
    paths, missing = MediaIndex(data).find_all(listing.items)
    assert not missing
    assert all(source.path.is_file() for source in collection.sources)
    assert {source.path for source in collection.sources} >= set(paths.values())
    assert set(collection.labels or ()) == set(listing.classes)
    by_path = {source.path: source for source in collection.sources}
    for item in listing.items:
        labels = {listing.classes[label] for label in item.labels}
        assert labels == set(by_path[paths[item.item_id]].labels)


def test_whole_videos_are_cut_where_the_list_says(tmp_path):
    data = kinetics_whole(tmp_path)
    source = read_data_set("kinetics600", data).sources[0]
    item = read_listing("kinetics600", data, None, "validate").items[0]
    assert source.clips is not None
    assert (source.clips[0].start, source.clips[0].end) == (item.start, item.end) == (10.0, 20.0)


def test_evaluation_reads_the_lists_of_its_division_only(tmp_path):
    data = small_benchmarks.kinetics(tmp_path)
    (data / "test.csv").write_text("broken\n")
    assert read_listing("kinetics600", data, None, "validate").items
    with pytest.raises(ValueError, match="lacks the column"):
        read_data_set("kinetics600", data)


def test_unknown_names_are_errors(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'hmdb51'"):
        read_listing("hmdb_51", tmp_path, None, "1")
    with pytest.raises(
        ValueError, match=r"no division 'valid' in the lists in .*; use one of test"
    ):
        read_listing("kinetics400", small_benchmarks.kinetics(tmp_path), None, "valid")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="There is no list at"):
        read_listing("ucf101", tmp_path, tmp_path / "none", "1")
    assert "howto100m" in DATA_SETS.names()
