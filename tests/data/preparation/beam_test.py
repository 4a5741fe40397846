# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pipelines on Beam's DirectRunner."""

import shutil
import sys

import pytest

from mmv_tf.data import preparation
from mmv_tf.data.preparation import beam
from tests import media_samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("films")
    cues = [(0.1, 0.9, "one"), (1.0, 1.6, "two")]
    for name in ("a b", "é"):
        media_samples.write_film(path / f"{name}.mp4", 2.0, tone_start=0.5)
        media_samples.write_vtt(path / f"{name}.vtt", cues)
    (path / "bad.mp4").write_text("no film")
    shutil.copy(path / "é.vtt", path / "bad.vtt")
    return path


def contents(directory):
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir()) if p.is_file()}


def check_same_shards(folder, output):
    settings = preparation.Settings(
        frame_rate=5.0,
        short_side=24,
        min_clip_seconds=0.5,
        block_seconds=1.0,
        split_pattern=("train", "test"),
        num_shards=2,
    )
    for name, by_beam in (("local", False), ("beam", True)):
        manifest, _ = preparation.prepare(
            preparation.find_sources(folder),
            output / name,
            settings,
            execution=preparation.Execution(processes=2, beam=by_beam),
        )
        assert [row["status"] for row in manifest["sources"]] == ["ok", "corrupt", "ok"]
    assert contents(output / "beam") == contents(output / "local")
    assert len(contents(output / "beam")) == 5
    assert not (output / "beam" / ".partial").exists()


@pytest.mark.slow
def test_same_shards_as_on_one_machine(folder, tmp_path, in_process):
    check_same_shards(folder, tmp_path)


@pytest.mark.slow
def test_same_shards_with_child_processes(folder, tmp_path):
    check_same_shards(folder, tmp_path)


def test_hint_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.setattr(beam.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'mmv_tf\[beam\]'"):
        beam.BeamRunner(tmp_path, 1.0)
