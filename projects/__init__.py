# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Studies that use the library and are not part of it."""

import binaries  # noqa: F401  # imports TensorFlow without its start-up notes
