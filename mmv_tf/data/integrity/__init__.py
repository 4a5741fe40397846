# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Soundness of records: checks, damage, inspection and verification."""
