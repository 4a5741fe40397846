# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/settings.md lists every entry of a training configuration with its default."""

import re

from mmv_tf import data, training
from mmv_tf.util.configuration import entries_of, load_config
from tests.documentation import pages

PAGE = (pages.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w.]+)` \|\s*(?:`(.*?)`)?\s*\| .+ \|$", re.MULTILINE)


def listed(section):
    """Entry -> default, as one section of the page has them."""
    text = PAGE.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    return dict(ROW.findall(text))


def entries(config, prefix=""):
    """Entry -> value as Python writes it."""
    found = {}
    for name, value in config.items():
        if hasattr(value, "items"):
            found |= entries(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = repr(value)
    return found


def test_every_section_lists_its_entries_with_their_defaults():
    assert listed("`data`") == entries(data.default_config())
    assert listed("`optimizer`") == entries(training.default_optimizer_config())
    assert listed("`training`") == entries(training.default_config())


def test_the_entries_of_the_run_are_those_of_every_configuration():
    sections = {"data", "optimizer", "training"}
    for path in ("quickstart", "own_videos", "howto100m_audioset"):
        config = load_config(str(pages.ROOT / "configs" / f"{path}.py"))
        assert set(config) - sections == set(listed("The run")), path
        printed = {line.split("=")[0].removeprefix("--config.") for line in entries_of(config)}
        assert set(listed("`optimizer`")) == {
            name.removeprefix("optimizer.") for name in printed if name.startswith("optimizer.")
        }
