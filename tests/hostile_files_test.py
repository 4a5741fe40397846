# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Damaged and hostile files of every kind: one line that says why, or the right answer."""

import gc
import gzip
import io
import json
import logging
import os
import pathlib
import random
import shutil
import zlib

import google_crc32c
import keras
import numpy as np
import pytest
from PIL import Image

from mmv_tf import pretrained
from mmv_tf.data import captions
from mmv_tf.data.datasets import read_data_set
from mmv_tf.data.images import image_pixels, image_size
from mmv_tf.data.preparation.listing import read_listing
from mmv_tf.data.preparation.report import format_report
from mmv_tf.data.records import manifests, shard_writer
from mmv_tf.evaluation import listing as evaluation_listing
from mmv_tf.evaluation import results
from mmv_tf.evaluation.feature_store import FeatureStore
from mmv_tf.inference.loading import open_model
from mmv_tf.pretrained.pickle_reader import read_arrays
from mmv_tf.pretrained.torch_reader import read_state_dict
from mmv_tf.publishing.contract import CONTRACT_FILE, read_contract
from mmv_tf.search import store
from mmv_tf.util.keras_files import load_keras_file
from mmv_tf.util.safe_files import read_npz
from tests import mutations, small_world
from tests.pretrained import checkpoints, mil_nce_checkpoints

FEW, MANY = 20, 1000
FEW_NETWORKS = 5  # each is built, which takes a second


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Warnings by the thousand."""
    with caplog.at_level(logging.ERROR, "mmv_tf"):
        yield


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """A whole example of each kind in one folder."""
    folder = tmp_path_factory.mktemp("whole")
    keras.utils.set_random_seed(0)
    small_world.tiny_model().save(folder / "initial.keras")
    (folder / "network.pkl").write_bytes(gzip.decompress(checkpoints.COMMITTED.read_bytes()))
    state = mil_nce_checkpoints.small_state()
    for form in mil_nce_checkpoints.FORMATS:
        mil_nce_checkpoints.write(folder / f"{form}.pth", state, form)
    write_shards(folder / "shards")
    return folder


def write_shards(folder):
    folder.mkdir()
    shard = shard_writer.write_shard(
        folder / shard_writer.shard_name("train", 0, 1), [b"one", b"two"]
    )
    source = {"media_id": "a", "status": "ok", "reason": "", "seconds": 2.0, "clips": 2}
    manifest = {
        "frame_rate": 5.0, "sample_rate": 16_000, "short_side": 32, "labels": ["x"],
        "splits": {"train": {"num_examples": 2, "num_captions": 1, "shards": [shard]}},
        "sources": [{**source, "left_out": {"a_b": 1}, "first_left_out": {"a_b": "line 1"}}],
        "blocks": [{"media_id": "a", "start": 0.0}], "dropped": {}, "passed_over": {"a": 1},
        "settings": {"caption_window_seconds": 2.0}, "log_mel": None,
    }  # fmt: skip
    manifests.write_manifest(folder, manifest)


def read_network(path):
    open_model(path)


def read_pickle(path):
    if path.suffix == ".pkl":
        tree = read_arrays(path)
        if zlib.crc32(path.read_bytes()) % 16 == 0:
            pretrained.import_haiku_checkpoint(path)
        assert isinstance(tree, dict)
    else:
        assert isinstance(read_state_dict(path), dict)


def change_member(name, content, seed):
    change = mutations.damaged_json if name.endswith(".json") else mutations.damaged
    return change(content, seed)


def networks(folder, seed):
    data = mutations.damaged_zip((folder / "initial.keras").read_bytes(), seed, change_member)
    return "a.keras", data, read_network


def pickles(folder, seed):
    name = seed.choice(("network.pkl", "network.pkl", "stream.pth", "archive.pth"))
    data = (folder / name).read_bytes()
    if name == "archive.pth":
        return name, mutations.damaged_zip(data, seed, change_member), read_pickle
    return name, mutations.damaged(data, seed), read_pickle


def read_shards(path):
    manifest = manifests.read_manifest(path.parent)
    manifests.listed_shards(path.parent, manifest)
    manifests.expected_of(manifest)
    format_report(manifest) if "sources" in manifest else None
    manifests.check_shards(path.parent, manifest)


def damaged_manifests(folder, seed):
    data = (folder / "shards" / "manifest.json").read_bytes()
    return "manifest.json", mutations.damaged_json(data, seed), read_shards


CAPTIONS = {
    "a.vtt": "WEBVTT\n\n1\n00:01.000 --> 00:02.500 align:start\n<b>one</b> two\n\n"
    "00:03.000 --> 00:04.000\nthree\n",
    "a.srt": "1\n00:00:01,000 --> 00:00:02,500\none two\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\nthree\n",
    "a.json3": json.dumps(
        {
            "events": [
                {"tStartMs": 1000, "dDurationMs": 900, "segs": [{"utf8": "one"}]},
                {"tStartMs": 2000, "dDurationMs": 900, "aAppend": 1, "segs": [{"utf8": "\n"}]},
                {"tStartMs": 3000, "dDurationMs": 900, "segs": [{"utf8": "two", "tOffsetMs": 9}]},
            ]
        }
    ),
    "a.tsv": "start\tend\ttext\n1.0\t2.5\tone two\n3\t4\tthree\n",
    "a.csv": 'start,end,caption,label\n0:01,0:02.5,"one, two",x\n3,4,three,y\n',
}


def caption_files(folder, seed):
    name = seed.choice(list(CAPTIONS))
    change = mutations.damaged_json if name == "a.json3" else mutations.damaged
    return name, change(CAPTIONS[name].encode(), seed), captions.read_caption_file


LISTS = {
    "hmdb51.csv": ("video_id,label,split1\na_1,run,1\nb_1,run_test,2\n", "hmdb51", "1"),
    "msrvtt_test.csv": (
        'key,vid_key,video_id,sentence\nret0,msr1,video1,"a, b"\nret1,msr2,video2,c\n',
        "msrvtt",
        "1k-A",
    ),
    "validation_youcook.csv": (
        "end,start,task,text,video_id\n20,10,101,mix the egg,abc\n40,30.5,101,fry,abc\n",
        "youcook2",
        "validation",
    ),
    "esc50.csv": (
        "filename,fold,target,category,esc10\n1-1-A-0.wav,1,0,dog,True\n2-1-A-0.wav,2,0,dog,True\n",
        "esc50",
        "1",
    ),
    "list.csv": ('path,start,end,label\n"a,b.mp4",0,1:02.5,x\nc.mp4,1,2,y\n', "", ""),
    "list.jsonl": (
        '{"path": "a.mp4", "start": 1, "label": ["x", "y"]}\n{"path": "b.mp4"}\n',
        "",
        "",
    ),
    "MSRVTT_data.json": (
        json.dumps(
            {
                "videos": [{"video_id": "video1", "split": "test"}],
                "sentences": [{"video_id": "video1", "caption": "a b"}],
            }
        ),
        "",
        "",
    ),
}


def lists(folder, seed):
    name = seed.choice(list(LISTS))
    text, data_set, split = LISTS[name]
    change = mutations.damaged_json if name.endswith(".json") else mutations.damaged

    def read(path):
        if name == "MSRVTT_data.json":
            read_data_set("msrvtt", path.parent)
        elif data_set:
            evaluation_listing.read_listing(data_set, path.parent, path, split)
        else:
            read_listing(path)

    return name, change(text.encode(), seed), read


PICTURES = "PNG JPEG GIF WEBP BMP TIFF PPM AVIF TGA ICO JPEG2000".split()


def pictures(folder, seed):
    kind = seed.choice(PICTURES)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)

    def read(path):
        width, height = image_size(path)
        assert min(width, height) > 0
        assert image_pixels(path, 32).shape[2] == 3

    return "a.jpg", mutations.damaged(buffer.getvalue(), seed), read


def _features(number):
    return {"f": np.full((number + 1, 4), number, np.float32)}


def feature_stores(folder, seed):
    file_format = seed.choice(("npz", "parquet"))
    whole = folder / f"features.{file_format}"
    if not whole.exists():
        made = FeatureStore(whole, {"m": 1}, part_items=2, file_format=file_format)
        for number in range(4):
            made.add(str(number), "v", _features(number))
    chosen = seed.choice(sorted(whole.iterdir()))

    def read(path):
        for other in whole.iterdir():
            if other != chosen:
                shutil.copy(other, path.parent)
        found = FeatureStore(path.parent, {"m": 1}, part_items=2, file_format=file_format)
        there = [number for number in range(4) if found.has(str(number), "v")]
        for number, rows in zip(there, found.load(list(map(str, there)), "f"), strict=True):
            np.testing.assert_array_equal(rows, _features(number)["f"])
        # Where the sums themselves are damaged, all parts are computed again.
        assert len(there) >= 2 or chosen.name == "sums.json"

    return chosen.name, mutations.damaged(chosen.read_bytes(), seed), read


def indexes(folder, seed):
    whole = folder / "index"
    if not whole.exists():
        from tests.search.store_test import EMPTY, add

        made = store.Writer(whole, EMPTY)
        add(made, "a.mp4", 4)
        add(made, "b.mp4", 3, seed=1)
    files = [path for path in sorted(whole.rglob("*")) if path.is_file()]
    chosen = seed.choice(files + [path for path in files if path.suffix == ".json"] * 3)
    data = chosen.read_bytes()
    if chosen.suffix == ".json" and seed.random() < 0.7:  # with the right sum of what is wrong
        body = mutations.damaged_json(data.split(b"\n")[1], seed).replace(b"\n", b" ")
        data = b'{"crc32c": %d, "index":\n%b\n}\n' % (google_crc32c.value(body), body)
    else:
        data = mutations.damaged(data, seed)

    def read(path):
        copy = path.parent / "index"
        shutil.copytree(whole, copy)
        shutil.move(path, copy / chosen.relative_to(whole))
        found = store.open_index(copy)
        for video in found.manifest.videos:
            rows = found.segments[video.segment].array("video.va")
            assert len(rows[video.first : video.first + video.count]) == video.count

    return chosen.name, data, read


def result_files(folder, seed):
    scored = results.Scored(np.array(["a", "b"]), np.array(["a", "b"]), np.array(["t", "t"]),
                            ranks=np.array([1, 2]))  # fmt: skip
    whole = folder / "results.json"
    if not whole.exists():
        evaluation = {"protocol": {"name": "p", "version": 1}, "changed": [], "test": {"x": 0.5}}
        results.write_results(evaluation, {"test": scored}, whole)
    chosen = seed.choice((whole, results.items_path(whole)))
    data = chosen.read_bytes()
    if chosen == whole:
        data = mutations.damaged_json(data, seed)
    else:
        data = mutations.damaged_zip(data, seed, change_member)

    def read(path):
        for other in (whole, results.items_path(whole)):
            if other != chosen:
                shutil.copy(other, path.parent)
        results.read_results(path.parent / whole.name)

    return chosen.name, data, read


def contracts(folder, seed):
    text = {
        "version": 1,
        "trained_at": {"num_frames": 4, "frame_rate": 5.0, "size": 32, "square_crop": True},
        "signatures": {
            "text": {
                "input": {"name": "text", "least_shape": [1], "most_bytes": 9, "example": "a"},
                "outputs": {"vt": [None, 8]},
            }
        },
    }

    def read(path):
        (path.parent / CONTRACT_FILE).parent.mkdir()
        path.rename(path.parent / CONTRACT_FILE)
        read_contract(path.parent)

    return "contract.json", mutations.damaged_json(json.dumps(text).encode(), seed), read


KINDS = {
    function.__name__: function
    for function in (
        *(
            networks,
            pickles,
            damaged_manifests,
            caption_files,
            lists,
            pictures,
            feature_stores,
            indexes,
        ),
        *(result_files, contracts),
    )
}


def run(kind, count, folder, tmp_path):
    refused = 0
    for number in range(count):
        seed = random.Random(f"{kind} {number}")
        name, data, read = KINDS[kind](folder, seed)
        here = tmp_path / f"{kind}-{number}"
        here.mkdir()
        (here / name).write_bytes(data)
        with mutations.survived(f"{kind} {number} ({name})") as said:
            read(here / name)
        refused += bool(said)
        for line in said:
            assert str(here) in line, f"{kind} {number} ({name}): names no file: {line}"
        shutil.rmtree(here)
        if number % 20 == 0:
            # Keras keeps what it builds until then: 10 MB a network.
            keras.backend.clear_session()
            gc.collect()
    return refused


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in ("networks", "pickles")])
def test_a_few_of_each_kind(seeds, tmp_path, kind):
    run(kind, FEW, seeds, tmp_path)


def test_a_few_networks(seeds, tmp_path):
    with mutations.limited_memory():
        assert run("networks", FEW_NETWORKS, seeds, tmp_path)
        assert run("pickles", FEW, seeds, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_of_each_kind(seeds, tmp_path, kind):
    with mutations.limited_memory():
        run(kind, MANY, seeds, tmp_path)


def test_no_file_waits_for_a_pipe(tmp_path, seeds):
    folder = tmp_path / "data"
    shutil.copytree(seeds / "shards", folder)
    shard = next(folder.glob("*.tfrecord"))
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(ValueError, match=r"tfrecord: Is a pipe; expected a file"):
        manifests.check_shards(folder, manifests.read_manifest(folder))
    readers = {
        "a.keras": load_keras_file,
        "a.pkl": read_arrays,
        "a.pth": read_state_dict,
        "a.png": image_size,
        "a.vtt": captions.read_caption_file,
        "a.csv": read_listing,
        "a.npz": read_npz,
        "manifest-00000001.json": lambda path: store.open_index(path.parent),
    }
    for name, read in readers.items():
        os.mkfifo(tmp_path / name)
        with mutations.survived(name) as said:
            read(pathlib.Path(tmp_path / name))
        assert "pipe" in said[0]
