# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: `make benchmark`, or `python -m benchmarks.NAME --help`."""

import binaries  # noqa: F401 - hushes TensorFlow's start-up notes, which would hide what we say
