# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The programs of a checkout: `python -m binaries.NAME` is `mmv NAME`, see `mmv_tf.programs`."""
