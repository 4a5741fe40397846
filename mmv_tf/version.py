# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The version, in its own file so that packaging can read it without importing anything."""

__version__ = "0.1.0"
