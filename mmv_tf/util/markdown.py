# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Quotes untrusted text in Markdown."""

from __future__ import annotations

import re


def literal(text: str) -> str:
    """Return a text as one line that Markdown shows literally, without links or tables."""
    return re.sub(r"([\\`*_\[\]<#|!&~])", r"\\\1", " ".join(str(text).split()))


def code(text: str) -> str:
    """Return a text in a code span, also valid within a table."""
    return f"`{' '.join(str(text).split()).replace('`', '').replace('|', '')}`"
