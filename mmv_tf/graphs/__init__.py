# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.graphs.base import GRAPHS as GRAPHS
from mmv_tf.graphs.base import EmbeddingGraph as EmbeddingGraph
from mmv_tf.graphs.disjoint import Disjoint as Disjoint
from mmv_tf.graphs.fine_and_coarse import FineAndCoarse as FineAndCoarse
from mmv_tf.graphs.inputs import MODALITIES as MODALITIES
from mmv_tf.graphs.shared import Shared as Shared
