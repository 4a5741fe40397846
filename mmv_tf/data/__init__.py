# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.data.damage import DamagedDataError as DamagedDataError
from mmv_tf.data.damage import DamageReport as DamageReport
from mmv_tf.data.pipeline import Input as Input
from mmv_tf.data.pipeline import make_dataset as make_dataset
from mmv_tf.data.reader import Reader as Reader
from mmv_tf.data.reader_config import METADATA_KEYS as METADATA_KEYS
from mmv_tf.data.reader_config import config_for_network as config_for_network
from mmv_tf.data.reader_config import default_config as default_config
