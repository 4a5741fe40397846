# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf.training.logging.held_out import HeldOutClips as HeldOutClips
from mmv_tf.training.logging.settings import check as check
from mmv_tf.training.logging.settings import default_config as default_config
from mmv_tf.training.logging.settings import settings_of as settings_of
from mmv_tf.training.logging.tensorboard_writer import read_scalars as read_scalars
from mmv_tf.training.logging.watcher import Watcher as Watcher
from mmv_tf.training.logging.writers import IDS_FILE as IDS_FILE
from mmv_tf.training.logging.writers import Writer as Writer

__all__ = [
    "IDS_FILE",
    "HeldOutClips",
    "Watcher",
    "Writer",
    "check",
    "default_config",
    "read_scalars",
    "settings_of",
]
