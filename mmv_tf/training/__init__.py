# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.training.experiment import run as run
from mmv_tf.training.finite_check import NotFiniteError as NotFiniteError
from mmv_tf.training.optimizer import default_config as default_optimizer_config
from mmv_tf.training.run_folder import load_model as load_model
from mmv_tf.training.run_folder import save_model as save_model
from mmv_tf.training.trainer import Preempted as Preempted
from mmv_tf.training.trainer import Trainer as Trainer
from mmv_tf.training.trainer import default_config as default_config
from mmv_tf.training.workers import WorkerLostError as WorkerLostError
from mmv_tf.training.workers import make_strategy as make_strategy

__all__ = [
    "NotFiniteError",
    "Preempted",
    "Trainer",
    "WorkerLostError",
    "default_config",
    "default_optimizer_config",
    "load_model",
    "make_strategy",
    "run",
    "save_model",
]
