# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.inference.encoder import Encoder as Encoder
from mmv_tf.inference.graph_network import GraphNetwork as GraphNetwork
from mmv_tf.inference.graph_network import model_hash as model_hash
from mmv_tf.inference.loading import as_encoder as as_encoder
from mmv_tf.inference.loading import load_encoder as load_encoder
from mmv_tf.inference.loading import open_model as open_model
from mmv_tf.inference.module_check import ModuleCheck as ModuleCheck
from mmv_tf.inference.module_check import check_against_module as check_against_module
from mmv_tf.inference.module_network import ModuleNetwork as ModuleNetwork
from mmv_tf.inference.module_network import is_module as is_module
from mmv_tf.inference.network import Network as Network
from mmv_tf.inference.network import Settings as Settings
from mmv_tf.inference.network import similarity as similarity
from mmv_tf.inference.network import unit as unit
from mmv_tf.inference.windows import Windows as Windows
