# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Module settings, from an export's input contract or from a table of published modules."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from mmv_tf.inference.network import AUDIO, Settings
from mmv_tf.publishing import read_contract


@dataclasses.dataclass(frozen=True)
class _Published:
    """A published family of modules: its video output sizes and its training settings."""

    dims: Mapping[str, tuple[int, ...]]
    settings: Settings


# Clips, rates and sizes are from the model cards of deepmind/mmv and MIL-NCE's paper (1912.06430).
_PUBLISHED = (
    _Published(
        {"before_head": (1024, 2048, 4096), "va": (512,), "vat": (256,)},
        Settings(num_frames=32, frame_rate=10.0, size=200, sample_rate=48_000),
    ),
    _Published(
        {"mixed_5c": (1024,), "video_embedding": (512,)},
        Settings(num_frames=32, frame_rate=10.0, size=200),
    ),
)


def published_settings(dims: Mapping[str, int | None]) -> Settings:
    """Return the settings of the published module with these video outputs, or unknown settings.

    Args:
      dims: video output -> size, or None where the graph does not define it.
    """
    for published in _PUBLISHED:
        if set(dims) == set(published.dims) and all(
            dims[name] in (*sizes, None) for name, sizes in published.dims.items()
        ):
            return published.settings
    return Settings()


def contract_settings(folder: pathlib.Path) -> Settings | None:
    """Return the settings in an exported model's input contract, or None if there is none.

    Raises:
      ValueError: the contract is damaged.
    """
    contract = read_contract(folder)
    if contract is None:
        return None
    told: dict[str, Any] = dict(contract["trained_at"])
    if AUDIO in contract["signatures"]:
        told["sample_rate"] = contract["signatures"][AUDIO]["input"].get("sample_rate")
    names = [field.name for field in dataclasses.fields(Settings)]
    return Settings(**{name: told[name] for name in names if told.get(name) is not None})
