# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.publishing.contract import CONTRACT_FILE as CONTRACT_FILE
from mmv_tf.publishing.contract import read_contract as read_contract
from mmv_tf.publishing.export import export as export
from mmv_tf.publishing.folder import verify_checksums as verify_checksums
from mmv_tf.publishing.model_card import CardDetails as CardDetails
from mmv_tf.publishing.options import ExportOptions as ExportOptions
from mmv_tf.publishing.samples import WARMUP_FILE as WARMUP_FILE
from mmv_tf.publishing.samples import read_warmup as read_warmup
from mmv_tf.publishing.saved_model import SIGNATURES as SIGNATURES
from mmv_tf.publishing.saved_model import Publication as Publication
