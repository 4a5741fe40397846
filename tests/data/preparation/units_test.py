# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

from mmv_tf.data import preparation
from mmv_tf.data.preparation import cutting, decode_plan
from mmv_tf.data.records import keys
from tests import media_samples
from tests.data.preparation.samples import SETTINGS, contents, prepare, prepare_sources, records


def test_one_pass_gives_what_single_units_give(film, tmp_path, in_process, monkeypatch):
    settings = dataclasses.replace(
        SETTINGS, cut="window", window_seconds=0.4, stride_seconds=0.1, split_pattern=("train",)
    )
    prepare(film, tmp_path / "one", settings)
    monkeypatch.setattr(cutting, "_UNIT_SECONDS", 0.7)
    prepare(film, tmp_path / "units", settings)
    monkeypatch.setattr(decode_plan, "_TASK_SECONDS", 0.1)
    prepare(film, tmp_path / "tasks", settings)
    assert contents(tmp_path / "units") == contents(tmp_path / "tasks")
    pictures = [
        [
            [step.bytes_list.value[0] for step in lists[keys.FRAMES].feature]
            for lists in (
                record.feature_lists.feature_list for record in records(tmp_path / name, "train")
            )
        ]
        for name in ("one", "units")
    ]
    assert len(pictures[0]) == 27
    assert pictures[0] == pictures[1]


def test_a_clip_too_long_for_a_record_is_told(tmp_path, in_process, monkeypatch):
    media_samples.write_film(tmp_path / "a.mp4", 1.5)
    media_samples.write_film(tmp_path / "b.mp4", 0.5, tone_start=0.1)
    monkeypatch.setattr(cutting, "MAX_RECORD_BYTES", 200_000)
    sources = preparation.find_sources(tmp_path)
    manifest = prepare_sources(sources, tmp_path / "data", cut="list")
    assert [row["status"] for row in manifest["sources"]] == ["too long", "ok"]
    assert "cut by window" in manifest["sources"][0]["reason"]
    assert manifest["dropped"]["clips_too_long"] == 1
