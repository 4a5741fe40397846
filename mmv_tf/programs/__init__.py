# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The programs, one per file; `mmv NAME` runs them (see `launcher`)."""
