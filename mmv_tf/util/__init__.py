# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files, text, locks, worker processes and the command line, common to all packages."""
