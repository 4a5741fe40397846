# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Chooses Keras's backend for a program that has not imported Keras yet."""

from __future__ import annotations

import os
import sys

_NAME = "KERAS_BACKEND"
_original: list[str | None] = []


def choose() -> None:
    """Make TensorFlow the backend with which Keras will be imported, by this package or others."""
    if "keras" not in sys.modules and not _original:
        _original.append(os.environ.get(_NAME))
        os.environ[_NAME] = "tensorflow"


def restore() -> None:
    """Restore the environment after Keras has been imported."""
    if _original:
        before = _original.pop()
        if before is None:
            os.environ.pop(_NAME, None)
        else:
            os.environ[_NAME] = before
