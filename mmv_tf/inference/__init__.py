# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.inference.graph_network import GraphNetwork as GraphNetwork
from mmv_tf.inference.module_check import ModuleCheck as ModuleCheck
from mmv_tf.inference.module_check import check_against_module as check_against_module
from mmv_tf.inference.module_network import ModuleNetwork as ModuleNetwork
from mmv_tf.inference.module_network import is_module as is_module
from mmv_tf.inference.network import Network as Network
from mmv_tf.inference.network import Settings as Settings
