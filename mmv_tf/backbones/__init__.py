# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.backbones.base import VIDEO_BACKBONES as VIDEO_BACKBONES
from mmv_tf.backbones.base import Backbone as Backbone
from mmv_tf.backbones.resnet import ResNet as ResNet
from mmv_tf.backbones.s3d import S3D as S3D
from mmv_tf.backbones.sentence import Sentence as Sentence
from mmv_tf.backbones.tsm_resnet import TSMResNet as TSMResNet
