# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/contributing.md do what the page says."""

import itertools
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import backbones, evaluation
from mmv_tf.data import preparation
from mmv_tf.data.datasets import read_data_set
from mmv_tf.deflation.measures import static_clips
from mmv_tf.evaluation import declaration
from mmv_tf.evaluation.listing import MediaIndex
from mmv_tf.pretrained import create_model
from tests import small_world
from tests.deflation.networks import images
from tests.evaluation import small_benchmarks

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "contributing.md"
EXAMPLES = dict(
    re.findall(r"```python\n# example: (.*?)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
)


@pytest.fixture
def example(request):
    """What an example defines, run as it stands."""
    names: dict = {}
    if request.param == "protocol":  # It is one of the data set before it.
        exec(compile(EXAMPLES["data set"], f"{PAGE}, data set", "exec"), {})
    exec(compile(EXAMPLES[request.param], f"{PAGE}, {request.param}", "exec"), names)
    return names


def of(name):
    return pytest.mark.parametrize("example", [name], indirect=True)


def test_all_are_here_and_short():
    assert set(EXAMPLES) == {"backbone", "graph", "data set", "protocol", "deflation rule"}
    assert max(len(text.splitlines()) for text in EXAMPLES.values()) <= 40


@of("backbone")
def test_backbone(example):
    tower = example["FrameResNet"](18, 0.0625)
    clips = tf.random.stateless_uniform([2, 3, 32, 32, 3], (0, 1))
    features = tower(clips)
    assert features.shape == (2, tower.feature_dim)
    frames = [tower.frames(clips[:, frame]) for frame in range(3)]
    np.testing.assert_allclose(features, np.mean(frames, axis=0), rtol=1e-4, atol=1e-5)
    again = type(tower).from_config(tower.get_config())
    assert again.feature_dim == tower.feature_dim
    config = small_world.model_config()
    config.video = {"backbone": "frame_resnet", "depth": 18, "width": 0.0625}
    assert isinstance(create_model(config).video, example["FrameResNet"])


@of("graph")
def test_graph(example, tmp_path):
    network = example["LinearSpace"](
        video=backbones.TSMResNet(18, 0.0625),
        text=backbones.Sentence(9, 4, 8),
        dim=6,
    )
    assert network.common_space("video", "text") == "vat"
    inputs = {"video": tf.ones([2, 2, 32, 32, 3]), "text": tf.constant([[1, 2], [3, 0]])}
    outputs = network(inputs)
    assert outputs["video"]["vat"].shape == outputs["text"]["vat"].shape == (2, 6)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")(inputs)
    np.testing.assert_allclose(again["video"]["vat"], outputs["video"]["vat"], rtol=1e-5)
    config = small_world.model_config()
    config.graph = {"name": "linear", "dim": 6}
    assert isinstance(create_model(config), example["LinearSpace"])


@pytest.fixture
def urban_sound(tmp_path):
    """Eight sounds in two folds and two classes, laid out as the data set is."""
    data = tmp_path / "UrbanSound8K"
    (data / "metadata").mkdir(parents=True)
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for number, take, fold in itertools.product((0, 3), (1, 2), (1, 2)):
        name = f"{number}{take}{fold}-{number}-0-0.wav"
        small_benchmarks.sound(data / "audio" / f"fold{fold}" / name, number // 3, take * fold)
        label = {0: "drilling", 3: "dog_bark"}[number]
        rows.append(f"{name},{number}{take}{fold},0.0,0.5,1,{fold},{number},{label}")
    (data / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows) + "\n")
    return data


@of("data set")
def test_data_set(example, urban_sound):
    del example
    found = read_data_set("urbansound8k", urban_sound)
    assert all(source.path.is_file() for source in found.sources)
    assert found.labels == ("drilling", "dog_bark")
    assert found.folds["1"] == {"train": "fold2", "test": "fold1"}


@pytest.mark.slow
@of("data set")
def test_data_set_is_prepared(example, urban_sound):
    del example
    found = read_data_set("urbansound8k", urban_sound)
    manifest, _ = preparation.prepare(
        list(found.sources),
        urban_sound / "data",
        preparation.Settings(cut="list"),
        facts=preparation.DataSetFacts(found.name, found.labels, found.folds),
        execution=preparation.Execution(processes=1),
    )
    assert {row["status"] for row in manifest["sources"]} == {"ok"}


@of("protocol")
def test_protocol(example, urban_sound):
    declared = example["URBANSOUND8K_LINEAR"]
    listing = declared.read_list(urban_sound, None, "2")
    assert listing.classes == ("drilling", "dog_bark")
    assert len(listing.of("train")) == len(listing.of("test")) == 4
    assert MediaIndex(urban_sound).find_all(listing.items)[1] == []


@pytest.mark.slow
@of("protocol")
def test_protocol_is_scored(example, urban_sound, tmp_path, tiny_model):
    settings = [f"{views}.seconds=0.4" for views in ("train_views", "test_views")]
    small = declaration.changed(example["URBANSOUND8K_LINEAR"], [*settings, "splits=('1', '2')"])
    outcome = evaluation.run_benchmark(
        small, tiny_model, urban_sound, evaluation.Options(tmp_path / "features")
    )
    assert outcome.results["counts"]["scored"]["test"] == 8


@of("deflation rule")
def test_deflation_rule(example):
    batch = images(3, size=32)
    expected = example["video_network"](static_clips(tf.constant(batch), 8))
    np.testing.assert_allclose(example["image_network"](batch), expected, rtol=1e-4, atol=1e-5)


def test_files_that_the_page_names_are_there():
    text = PAGE.read_text(encoding="utf-8")
    root = PAGE.parents[1]
    for path in re.findall(r"`((?:mmv_tf|tests)/[\w/.]+)`", text):
        assert (root / path).exists(), path
