# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A report on one GPU: parity with the CPU, speed, memory, and each use case from end to end."""
