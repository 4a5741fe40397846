# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Removes secrets from settings, for logs and model cards that others read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

Plain: TypeAlias = bool | int | float | str

# Parts of a setting's name that make it a secret; "tokenizer" is not one.
_SECRET = {"token", "secret", "password", "credentials", "key"}
_HIDDEN = "(hidden)"


def without_passwords(text: str) -> str:
    """Return a text without the user names and passwords in its URLs."""
    return re.sub(r"//[^/@\s]+@", f"//{_HIDDEN}@", text)


def plain_settings(
    settings: Mapping[str, Any], prefix: str = ""
) -> dict[str, bool | int | float | str]:
    """Return nested settings by dotted name, without secrets.

    Args:
      settings: nested dicts; a value under a name such as "api_key" is hidden.
      prefix: prefix of the names.
    """
    found: dict[str, Plain] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= plain_settings(value, f"{prefix}{name}.")
        elif _SECRET & set(name.lower().split("_")) and value:
            found[f"{prefix}{name}"] = _HIDDEN
        elif isinstance(value, bool | int | float):
            found[f"{prefix}{name}"] = value
        else:
            found[f"{prefix}{name}"] = without_passwords(str(value))
    return found
