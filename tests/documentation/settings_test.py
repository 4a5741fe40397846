# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/settings.md has every entry of the configurations, as tools/settings_page.py writes it."""

from mmv_tf import data, training
from mmv_tf.util.configuration import entries_of, load_config
from tests.documentation import pages
from tools import settings_page

PAGE = settings_page.PAGE.read_text(encoding="utf-8")


def test_the_page_is_current_and_every_entry_has_a_meaning():
    assert settings_page.updated(PAGE) == PAGE, "run: python -m tools.settings_page"
    assert settings_page.UNKNOWN not in PAGE


def test_a_new_entry_is_added_without_a_meaning_and_a_changed_default_is_corrected():
    row = next(line for line in PAGE.splitlines() if line.startswith("| `shuffle_buffer` |"))
    assert "`1024`" in row
    stale = PAGE.replace(row + "\n", "").replace(
        "| `size` | int | `200` |", "| `size` | int | `1` |"
    )
    mended = settings_page.updated(stale)
    assert "| `shuffle_buffer` | int | `1024` | TODO |" in mended
    assert "| `size` | int | `200` |" in mended


def test_the_page_has_the_entries_that_runs_print():
    found = settings_page.written_meanings(PAGE)
    sections = {"data": data.default_config(), "training": training.default_config()}
    for name, config in sections.items():
        for entry in settings_page.entries(config):
            assert f"{name}: {entry}" in found
    for name in ("quickstart", "own_videos", "howto100m_audioset"):
        config = load_config(str(pages.ROOT / "configs" / f"{name}.py"))
        outside = set(config) - {*settings_page.SECTIONS, "model"}
        assert outside == {key.removeprefix("The run: ") for key in found if "The run" in key}
        printed = {line.split("=")[0].removeprefix("--config.") for line in entries_of(config)}
        assert {
            f"optimizer.{key.removeprefix('optimizer: ')}"
            for key in found
            if key.startswith("optimizer: ")
        } == {key for key in printed if key.startswith("optimizer.")}


def test_arguments_are_read_from_docstrings():
    told = settings_page.described(
        "Title.\n\nArgs:\n  a, b: two\n    lines.\n  c: one.\n\nMore: no.\n"
    )
    assert told == {"a": "two lines", "b": "two lines", "c": "one"}
