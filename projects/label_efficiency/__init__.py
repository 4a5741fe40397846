# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Label efficiency: classifiers from a pretrained network compared with training from scratch."""
