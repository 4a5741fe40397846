# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.data.integrity.damage import DamagedDataError as DamagedDataError
from mmv_tf.data.integrity.damage import DamageReport as DamageReport
from mmv_tf.data.reading.pipeline import Input as Input
from mmv_tf.data.reading.pipeline import make_dataset as make_dataset
from mmv_tf.data.reading.reader import Reader as Reader
from mmv_tf.data.reading.settings import METADATA_KEYS as METADATA_KEYS
from mmv_tf.data.reading.settings import config_for_network as config_for_network
from mmv_tf.data.reading.settings import default_config as default_config
