# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is raised for media that can't be decoded."""

from __future__ import annotations


class MediaError(ValueError):
    """A video, its sound or a picture can't be decoded; one line that names the file."""
