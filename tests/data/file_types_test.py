# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import pytest

from mmv_tf.data import file_types


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "video") for name in ("cam.MTS", "a.m2ts", "a.3gp", "a.wmv", "a.Mp4", "a.vob")),
        *((name, "sound") for name in ("a.wma", "a.AIFF", "a.caf", "a.mka", "a.m4b")),
        *((name, "image") for name in ("a.tif", "a.JPG", "a.ppm")),
        *((name, None) for name in ("a.vtt", "a.info.json", "mp4", "a.ppt", "a.svg", "a.m3u8")),
    ],
)
def test_kinds(name, kind):
    assert file_types.kind_of(name) == kind


def test_a_suffix_is_of_one_kind():
    known = [suffix for own in file_types.SUFFIXES.values() for suffix in own]
    assert len(known) == len(set(known))
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in known)
    assert file_types.is_usual("a.MP4") and not file_types.is_usual("a.wmv")


def test_the_guide_lists_them():
    guide = (pathlib.Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    names = {file_types.SOUND: "audio"}
    for kind, known in file_types.SUFFIXES.items():
        (row,) = re.findall(rf"^\| {names.get(kind, kind)} \| (`\..*) \|$", guide, re.M)
        assert re.findall(r"\.\w+", row) == list(known)
