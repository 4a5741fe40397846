# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmv_tf.pretrained import create_model
from projects import narrated_world
from tests import running, small_world


@pytest.mark.slow
def test_the_program_prints_and_writes_the_table(tmp_path):
    arguments = (
        "--config=projects/narrated_world/config.py:runlocal",
        '--config.run=["untrained"]',
        f"--output={tmp_path / 'out'}",
        "--deflate",
    )
    done = running.run("projects.narrated_world", *arguments)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out" / "table.md").read_text()
    images = (tmp_path / "out" / "images.md").read_text()
    assert table in done.stdout and images in done.stdout
    assert (tmp_path / "out" / "models" / "untrained_0.keras").exists()
    assert running.run("projects.narrated_world", *arguments).returncode == 0


def test_wrong_usage_ends_with_one_line(tmp_path):
    done = running.run_forked(
        "projects.narrated_world",
        "--config=projects/narrated_world/config.py:fast",
        f"--output={tmp_path}",
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "'fast' is unknown" in done.stderr
    done = running.run_forked("projects.narrated_world", "--config.run=fac")
    assert done.returncode == 2


@pytest.mark.slow
def test_a_network_is_scored_without_data(tmp_path):
    words = narrated_world.vocabulary()
    model = create_model(small_world.model_config(), words, narrated_world.word_vectors(8))
    model.save(tmp_path / "model.keras")
    output = tmp_path / "results.json"
    small = [f"--protocol.{one}" for one in
             ("galleries=1", "groups=2", "group_clips=12", "probe_clips=48")]  # fmt: skip
    model_flag = f"--model={tmp_path / 'model.keras'}"
    done = running.run("projects.narrated_world.evaluate", model_flag, f"--output={output}", *small)
    assert done.returncode == 0, done.stderr
    assert "audio -> text       216 items" in done.stdout
    results = json.loads(output.read_text())
    assert results["counts"]["listed"]["test"] == results["counts"]["scored"]["test"] == 240
    found = results["metrics"]["video -> audio, same coarse facts"]
    assert (found["items"], found["among"]) == (24, 12)
    low, high = found["R@10"]["interval"]
    assert low <= found["R@10"]["value"] <= high
    assert 0 <= results["probe"]["accuracy"]["video/before_head"]["shape"] <= 1
