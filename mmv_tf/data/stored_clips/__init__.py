# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips stored as video: their MP4 files, encoded and decoded with PyAV, parsed without it."""
