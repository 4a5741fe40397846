# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Studies that use the library and are not part of it."""

import mmv_tf.util.quiet_start  # noqa: F401  # first: hides TensorFlow's start-up notes
