# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.deflation.fit import fit_deflated as fit_deflated
from mmv_tf.deflation.fitted import deflate as deflate
from mmv_tf.deflation.image_encoder import ImageEncoder as ImageEncoder
from mmv_tf.deflation.image_encoder import load_image_model as load_image_model
from mmv_tf.deflation.images import altered as altered
from mmv_tf.deflation.images import load_images as load_images
from mmv_tf.deflation.images import sample_frames as sample_frames
from mmv_tf.deflation.measures import agreement as agreement
from mmv_tf.deflation.measures import measure_speed as measure_speed
from mmv_tf.deflation.registry import DeflationError as DeflationError
from mmv_tf.deflation.registry import register_rule as register_rule
from mmv_tf.deflation.report import format_report as format_report
from mmv_tf.deflation.report import plot_report as plot_report
from mmv_tf.deflation.rewrite import deflate_naively as deflate_naively
