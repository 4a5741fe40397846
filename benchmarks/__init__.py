# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: `make benchmark`, or `python -m benchmarks.NAME --help`."""

import mmv_tf.util.quiet_start  # noqa: F401  # first: hides TensorFlow's start-up notes
