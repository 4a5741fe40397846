# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from projects import narrated_world
from projects.narrated_world import comparison, images, tables
from projects.narrated_world import config as configuration


@pytest.fixture(scope="module")
def config():
    config = configuration.get_config("runlocal").copy_and_resolve_references().unlock()
    config.images.fit_frames = 12
    config.images.epochs = config.images.pointwise_epochs = 0
    return config.lock()


def test_frames_are_those_of_the_clips(config):
    world = narrated_world.NarratedWorld(config.world)
    index = np.arange(150)  # more than are made at once, and some that have no pictures
    frames = images.make_frames(world, index)
    assert frames.images.shape == (150, 32, 32, 3) and frames.images.dtype == np.float32
    assert frames.images.max() <= 1 and (frames.images.max(axis=(1, 2, 3)) > 0.2).all()
    again = images.make_frames(world, index)
    np.testing.assert_array_equal(frames.images, again.images)
    whole = np.stack([frames.labels[name] for name in narrated_world.COARSE], axis=1)
    clips = world.clips(index, whole)
    shown = (clips.video[140] == np.round(255 * frames.images[140])).all(axis=(1, 2, 3))
    assert shown.any()
    for name, labels in clips.factors().items():
        np.testing.assert_array_equal(labels, frames.labels[name])
    # Which frame it is differs from clip to clip.
    places = {
        int((clip == np.round(255 * image)).all(axis=(1, 2, 3)).argmax())
        for clip, image in zip(clips.video, frames.images, strict=True)
    }
    assert places == set(range(8))


@pytest.mark.slow
def test_networks_are_deflated_and_probed_once(config, tmp_path, monkeypatch):
    path = comparison.model_path(tmp_path, "untrained", 0)
    comparison.Comparison(config).model("untrained").save(path)
    scored = []
    results = images.run(config, tmp_path, lambda *run: scored.append(run[:2]))
    assert scored == [("untrained", 0)]
    found = results["runs"]["untrained"]["0"]
    assert set(found["probe"]) == {"start", "closed_form", "fitted", "clip"}
    assert all(set(values) == set(narrated_world.CHANCE) for values in found["probe"].values())
    assert found["fit"]["held_out"] == 216 and found["fit"]["images"] == 12
    stored = json.loads((tmp_path / images.RESULTS_FILE).read_text())
    monkeypatch.setattr(images, "score", None)
    assert images.run(config, tmp_path) == stored
    other = config.copy_and_resolve_references().unlock()
    other.images.fit_frames = 13
    with pytest.raises(ValueError, match="made with other settings"):
        images.run(other, tmp_path)


def test_the_table_has_a_row_a_stage():
    factors = dict.fromkeys(narrated_world.CHANCE, 0.5)
    stages = {"naive": 0.4, "start": 0.4, "closed_form": 0.2, "fitted": 0.1}
    fit = {stage: {"l1": l1, "cosine": 1 - l1} for stage, l1 in stages.items()}
    probe = {"start": factors, "closed_form": factors, "fitted": factors}
    probe["clip"] = {**factors, "shape": 0.9}
    runs = {"fac": {"0": {"probe": probe, "fit": fit}}}
    chance = dict(narrated_world.CHANCE)
    text = tables.images_markdown({"chance": chance, "runs": runs}, {"fac": "FAC"})
    lines = text.splitlines()
    assert [line.count("|") for line in lines] == [10] * 7
    assert "| chance | - | - | 16.7 | 16.7 | 25.0 | 16.7 | 18.7 |" in lines[2]
    assert lines[3].startswith("| FAC | naive deflation | 100.0 | 60.0 | 50.0 |")
    assert lines[5].startswith("| FAC | deflated, fitted | 25.0 | 90.0 | 50.0 |")
    assert lines[6] == (
        "| FAC | inflated input (static clip) | - | - | 90.0 | 50.0 | 50.0 | 50.0 | 60.0 |"
    )


def test_a_network_that_is_not_there_is_named(config, tmp_path):
    with pytest.raises(ValueError, match=r"untrained_0\.keras"):
        images.run(config, tmp_path)
