# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classifiers for videos, audio and images, trained on the user's own labels."""

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.classification.classifier import Classifier as Classifier
from mmv_tf.classification.classifier import load_classifier as load_classifier
from mmv_tf.classification.fitting import FitOptions as FitOptions
from mmv_tf.classification.fitting import fit as fit
from mmv_tf.classification.label_files import read_labels as read_labels
from mmv_tf.classification.labels import Clip as Clip
from mmv_tf.classification.labels import LabeledClips as LabeledClips
from mmv_tf.classification.network import ClassifierNetwork as ClassifierNetwork
from mmv_tf.classification.zero_shot import ZeroShotClassifier as ZeroShotClassifier
