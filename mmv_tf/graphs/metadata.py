# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Model metadata: plain values that are saved with the model.

The values may come from untrusted files, and are used in programs and published pages. They are
therefore checked before a model is created.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mmv_tf.util.safe_files import Count, Positive, check_form

_FORM = {
    "num_frames?": (Count, None),
    "frame_rate?": (Positive, None),
    "size?": (Count, None),
    "square_crop?": (bool, None),
    "sample_rate?": (Count, None),
    "max_words?": (Count, None),
    **dict.fromkeys(("data?", "licence?", "source?", "file?", "sha256?"), (str, None)),
}
# Ours: far above the settings of any model, and far below what exhausts memory.
_RANGES = {
    "num_frames": (1, 4096),
    "size": (1, 4096),
    "max_words": (1, 100_000),
    "frame_rate": (0.01, 1000),
}
_MAX_CLIP_PIXELS = 1 << 27
_MAX_CHARACTERS = 1 << 20


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return checked metadata as a new dict.

    Other keys may have any value that JSON supports.

    Raises:
      ValueError: a value has an unexpected type, is out of range or is not a plain value.
    """
    values = dict(metadata or {})
    try:
        if len(json.dumps(values)) > _MAX_CHARACTERS:
            raise ValueError(f"has more than {_MAX_CHARACTERS} characters")
        check_form(values, _FORM)
        for name, (least, most) in _RANGES.items():
            if values.get(name) is not None and not least <= values[name] <= most:
                raise ValueError(f"{name} is {values[name]}; expected {least} to {most}")
        if (values.get("num_frames") or 1) * (values.get("size") or 1) ** 2 > _MAX_CLIP_PIXELS:
            raise ValueError(
                f"num_frames x size x size is more than {_MAX_CLIP_PIXELS}: {values['num_frames']} "
                f"frames of {values['size']} pixels a side"
            )
    except (TypeError, ValueError) as error:
        raise ValueError(f"the model's metadata can't be used: {error}") from None
    return values
