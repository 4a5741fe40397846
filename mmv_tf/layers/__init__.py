# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.layers.batch_norm import BatchNorm as BatchNorm
from mmv_tf.layers.conv3d_unit import Conv3DUnit as Conv3DUnit
from mmv_tf.layers.inception_block import InceptionBlock as InceptionBlock
from mmv_tf.layers.log_mel import LogMel as LogMel
from mmv_tf.layers.max_pool import MaxPool as MaxPool
from mmv_tf.layers.projection_head import ProjectionHead as ProjectionHead
from mmv_tf.layers.residual_block import ResidualBlock as ResidualBlock
from mmv_tf.layers.self_gating import SelfGating as SelfGating
from mmv_tf.layers.space_to_depth import SpaceToDepth as SpaceToDepth
from mmv_tf.layers.temporal_shift import TemporalShift as TemporalShift
from mmv_tf.layers.unicode_tokenizers import TOKENIZERS as TOKENIZERS
from mmv_tf.layers.unicode_tokenizers import SentencePieceTokenizer as SentencePieceTokenizer
from mmv_tf.layers.unicode_tokenizers import UnicodeTokenizer as UnicodeTokenizer
from mmv_tf.layers.unicode_tokenizers import WordPieceTokenizer as WordPieceTokenizer
from mmv_tf.layers.word_tokenizer import MilNceTokenizer as MilNceTokenizer
from mmv_tf.layers.word_tokenizer import WordTokenizer as WordTokenizer
