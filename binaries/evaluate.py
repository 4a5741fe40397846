# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Run `mmv evaluate` from a checkout."""

from mmv_tf.programs.launcher import run_program

if __name__ == "__main__":
    run_program("evaluate")
