# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Makes `python -m mmv_tf NAME ...` equivalent to `mmv NAME ...`."""

from mmv_tf.programs.launcher import main

if __name__ == "__main__":
    main()
