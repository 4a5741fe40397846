# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.data.datasets.registry import DATA_SETS as DATA_SETS
from mmv_tf.data.datasets.registry import WITHOUT_HELD_OUT as WITHOUT_HELD_OUT
from mmv_tf.data.datasets.registry import read_data_set as read_data_set
from mmv_tf.data.datasets.registry import read_published as read_published
