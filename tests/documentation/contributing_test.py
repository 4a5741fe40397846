# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/contributing.md do what the page says."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import backbones
from mmv_tf.data import preparation
from mmv_tf.deflation.agreement import static_clips
from tests import media_samples, small_world
from tests.deflation.networks import images

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "contributing.md"
EXAMPLES = dict(
    re.findall(r"```python\n# example: (.*?)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
)


@pytest.fixture
def example(request):
    """What an example defines, run as it stands."""
    names: dict = {}
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


@pytest.fixture
def urban_sound(tmp_path):
    """Two sounds, laid out as the data set is."""
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold, name, number, label in ((1, "a", 3, "dog_bark"), (2, "b", 0, "drilling")):
        folder = tmp_path / "audio" / f"fold{fold}"
        folder.mkdir(parents=True)
        media_samples.write_wav(folder / f"{name}.wav", media_samples.tone(4.0, 16_000, 0.5))
        rows.append(f"{name}.wav,7,0.0,4.0,1,{fold},{number},{label}")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@of("data set")
def test_data_set(example, urban_sound):
    found = example["read"](urban_sound)
    assert all(source.path.is_file() for source in found.sources)
    assert found.labels == ("drilling", "dog_bark")
    assert found.folds["1"] == {"train": "fold2", "test": "fold1"}


@pytest.mark.slow
@of("data set")
def test_data_set_is_prepared(example, urban_sound):
    found = example["read"](urban_sound)
    manifest, _ = preparation.prepare(
        list(found.sources),
        urban_sound / "data",
        preparation.Settings(cut="list"),
        facts=preparation.DataSetFacts(found.name, found.labels, found.folds),
        execution=preparation.Execution(processes=1),
    )
    assert {row["status"] for row in manifest["sources"]} == {"ok"}


@pytest.mark.slow
@of("protocol")
def test_protocol(example, prepared):
    keras.utils.set_random_seed(0)
    metrics = example["score"](small_world.tiny_model(), str(prepared))
    assert 0 < metrics["p_value"] <= 1
    assert 1 <= metrics["mean_rank"] <= metrics["count"]


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
