# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Updates docs/settings.md: settings, types, defaults, and what the configurations change.

    python -m tools.settings_page

The meanings of settings are written on the page and kept; a new setting gets the meaning `TODO`,
which tests/documentation/settings_test.py rejects. The settings of `model` come from the classes'
signatures and docstrings.
"""

from __future__ import annotations

import inspect
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmv_tf import backbones, data, layers, training
from mmv_tf.backbones import VIDEO_BACKBONES
from mmv_tf.graphs import GRAPHS
from mmv_tf.util.configuration import load_config

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "settings.md"
UNKNOWN = "TODO"
# Configurations whose values are compared with the defaults.
CONFIGURATIONS = (
    "quickstart",
    "own_videos:1h,vat",
    "own_videos:10h,vat",
    "own_videos:1h,weights,vat",
    "howto100m_audioset:s3d",
)
SECTIONS = {
    "data": data.default_config,
    "optimizer": training.default_optimizer_config,
    "training": training.default_config,
}
# These settings depend on the machine's memory and accelerators.
_BY_MACHINE = ("data.batch_size", "training.gradient_cache", "model.dtype")
_HEADER = "| setting | type | default | meaning |\n|---|---|---|---|\n"


def entries(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings of a configuration by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if hasattr(value, "items"):
            found |= entries(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def written_meanings(page: str) -> dict[str, str]:
    """Return the meanings on the page: "section: setting" -> text."""
    found, section = {}, ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("`")
        row = re.fullmatch(r"\| `([\w.]+)` \|(?:.*?\|)+ (.+) \|", line)
        if row and not section.startswith("What"):
            found[f"{section}: {row[1]}"] = line.rstrip(" |").rpartition(" | ")[2]
    return found


def run_entries() -> dict[str, Any]:
    """Return the settings outside the sections, with the quickstart's values."""
    config = load_config("quickstart")
    return {name: config[name] for name in config if name not in (*SECTIONS, "model")}


def table(values: Mapping[str, Any], meanings: Mapping[str, str], section: str) -> str:
    """Return the rows of a section, in the order of the page; new settings come last."""
    known = [name.removeprefix(f"{section}: ") for name in meanings]
    order = [name for name in known if name in values]
    order += [name for name in values if name not in order]
    rows = [
        f"| `{name}` | {type(values[name]).__name__} | `{values[name]!r}` "
        f"| {meanings.get(f'{section}: {name}', UNKNOWN)} |\n"
        for name in order
    ]
    return _HEADER + "".join(rows)


def described(docstring: str) -> dict[str, str]:
    """Return the arguments described in a Google-style docstring."""
    text = inspect.cleandoc(docstring).partition("Args:\n")[2].partition("\n\n")[0]
    found = {}
    for names, meaning in re.findall(r"^  (\w[\w, ]*): (.*(?:\n    .*)*)", text, re.M):
        for name in names.split(", "):
            found[name] = " ".join(meaning.split()).removesuffix(".")
    return found


def arguments(section: str, owner: type, leave_out: set[str]) -> Iterator[str]:
    """Yield the rows for a class's arguments as settings of a section of `model`."""
    meanings = described(owner.__doc__ or "")
    for name, parameter in inspect.signature(owner).parameters.items():
        named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if named and name in meanings and name not in leave_out:
            kind = str(parameter.annotation).replace("Sequence[int]", "tuple").replace("|", "or")
            meaning = meanings[name].replace("|", "\\|")
            yield f"| `{section}.{name}` | {kind} | `{parameter.default!r}` | {meaning} |\n"


def model_tables() -> str:
    """Return the tables of the section `model`."""
    shared = {"video", "audio", "text", "tokenizer", "log_mel", "metadata", "check_inputs"}
    shared |= {"name", "trainable", "dtype"}
    registries = (("graph.name", "graph", GRAPHS), ("video.backbone", "video", VIDEO_BACKBONES))
    parts = [
        (f"`{entry}` = `{name}`", section, part)
        for entry, section, registry in registries
        for name in registry.names()
        # A process may have registered others.
        if (part := registry.get(name)).__module__.startswith("mmv_tf.")
    ]
    parts += [
        ("`audio`", "audio", backbones.ResNet),
        ("`text`", "text", backbones.Sentence),
        ("`log_mel`", "log_mel", layers.LogMel),
    ]
    return "\n".join(
        f"### {title}\n\n{_HEADER}" + "".join(arguments(section, owner, shared))
        for title, section, owner in parts
    )


def changes() -> str:
    """Return the table of settings for which a configuration has another value."""
    defaults = run_entries() | entries({name: make() for name, make in SECTIONS.items()})
    configs = [entries(load_config(name)) for name in CONFIGURATIONS]
    names = dict.fromkeys(name for config in configs for name in config)
    rows = []
    for name in names:
        shown = []
        for label, config in zip(CONFIGURATIONS, configs, strict=True):
            value = config.get(name, "")
            if name in _BY_MACHINE and label.startswith("own_videos"):
                shown.append("depends on the machine")
            elif name not in config or value == defaults.get(name, object()):
                shown.append("")
            else:
                shown.append(f"`{value!r}`")
        if any(shown):
            rows.append(f"| `{name}` | {' | '.join(shown)} |\n")
    head = " | ".join(f"`{name}`" for name in CONFIGURATIONS)
    return f"| setting | {head} |\n|---|{'---|' * len(CONFIGURATIONS)}\n" + "".join(rows)


def updated(page: str) -> str:
    """Return the page with its generated parts updated."""
    meanings = written_meanings(page)
    bodies = {"The run": table(run_entries(), meanings, "The run")}
    for name, make in SECTIONS.items():
        bodies[f"`{name}`"] = table(entries(make()), meanings, name)
    bodies["`model`"] = model_tables()
    bodies["What the configurations change"] = changes()
    for heading, body in bodies.items():
        pattern = rf"(## {re.escape(heading)}\n\n(?:(?!\||#).*\n)*)(?:(?!## ).*\n)*"
        found = re.search(pattern, page)
        if found is None:
            raise ValueError(f"{PAGE} has no section {heading}.")
        page = f"{page[: found.start()]}{found[1]}{body}\n{page[found.end() :]}".rstrip() + "\n"
    return page


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
