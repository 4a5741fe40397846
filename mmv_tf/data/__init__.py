# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.data.reader import Reader as Reader
from mmv_tf.data.reader import default_config as default_config
