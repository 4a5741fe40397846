# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import pytest

from mmv_tf import pretrained
from mmv_tf.pretrained import haiku, mil_nce, web
from mmv_tf.pretrained.published import find_published
from tests.documentation import pages
from tests.pretrained.presets_test import tiny

REGISTRY = pretrained.registry()


@pytest.mark.parametrize("entry", REGISTRY.values(), ids=REGISTRY)
def test_entries_are_consistent(entry):
    assert REGISTRY[entry.name] is entry
    assert entry.name == entry.name.lower() and entry.name.isidentifier()
    assert (entry.kaggle is None) == (entry.file_name is not None)
    assert (entry.kaggle is None) == (entry.format != "tf1_hub_module")
    assert entry.kaggle is None or entry.address is None
    assert entry.page or entry.notes
    assert ("audio" in entry.modalities) == (entry.sample_rate is not None)
    spaces = [set(sizes) - {"before_head"} for sizes in entry.outputs.values()]
    assert set.intersection(*spaces)
    if entry.address is not None:
        web.check_address(entry.address, local=False)
    if entry.preset is not None:
        assert entry.preset in pretrained.PRESETS


def test_licenses_are_those_that_the_importers_write():
    for name in ("mmv_s3d", "mmv_tsm_resnet_x1", "mmv_tsm_resnet_x2"):
        assert REGISTRY[name].license == haiku.LICENCE
    entry = REGISTRY["mil_nce_s3d_torch"]
    assert f"{entry.license} for the weights (code: {entry.code_license})" == mil_nce.LICENCE
    assert entry.companions[0].file_name == mil_nce.DICTIONARY


def test_the_registry_is_a_copy():
    pretrained.registry().clear()
    assert pretrained.is_published("mmv_s3d")
    assert not pretrained.is_published("s3d_fac")


@pytest.mark.parametrize(
    ("name", "near"),
    [("mmv_s3", "mmv_s3d"), ("mmv_tsm_resnet_2x", "mmv_tsm_resnet_x2"), ("model.keras", None)],
)
def test_misspelt_names_are_recognized(name, near):
    assert pretrained.nearest_published(name) == near
    with pytest.raises(ValueError, match=near or "the names are mmv_s3d, ") as caught:
        find_published(name)
    assert name in str(caught.value)


def test_the_page_shows_the_registry():
    page = (pages.ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    table = pretrained.registry_table()
    assert table in page, f"put this into docs/checkpoints.md:\n{table}"


def test_a_preset_says_that_its_weights_are_random(monkeypatch, caplog):
    monkeypatch.setattr(pretrained.presets, "_create", lambda *arguments: None)
    with caplog.at_level(logging.INFO):
        pretrained.create_model("s3d_fac")
        pretrained.create_model("s3d_shared")
        pretrained.create_model(tiny())
    assert [record.getMessage() for record in caplog.records] == [
        "create_model('s3d_fac'): random weights; released weights of this architecture: mmv_s3d.",
        "create_model('s3d_shared'): random weights.",
    ]
