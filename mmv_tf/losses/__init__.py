# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.losses.contrastive import mil_nce as mil_nce
from mmv_tf.losses.contrastive import nce as nce
from mmv_tf.losses.objective import PAIRS as PAIRS
from mmv_tf.losses.objective import Objective as Objective
