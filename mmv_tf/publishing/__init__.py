# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.publishing.saved_model import SIGNATURES as SIGNATURES
from mmv_tf.publishing.saved_model import Publication as Publication
from mmv_tf.publishing.saved_model import export as export
