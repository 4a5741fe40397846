# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.data.reader import METADATA_KEYS as METADATA_KEYS
from mmv_tf.data.reader import Reader as Reader
from mmv_tf.data.reader import config_for_network as config_for_network
from mmv_tf.data.reader import default_config as default_config
