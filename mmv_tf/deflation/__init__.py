# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.deflation.fit import agreement as agreement
from mmv_tf.deflation.fit import fit_deflated as fit_deflated
from mmv_tf.deflation.image_encoder import ImageEncoder as ImageEncoder
from mmv_tf.deflation.image_encoder import load_image_model as load_image_model
from mmv_tf.deflation.rewrite import deflate as deflate
from mmv_tf.deflation.speed import measure_speed as measure_speed
