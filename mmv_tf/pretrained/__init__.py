# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.pretrained.fetching import cache_folder as cache_folder
from mmv_tf.pretrained.fetching import fetch as fetch
from mmv_tf.pretrained.fetching import local_path as local_path
from mmv_tf.pretrained.haiku import import_haiku_checkpoint as import_haiku_checkpoint
from mmv_tf.pretrained.mil_nce import import_mil_nce_checkpoint as import_mil_nce_checkpoint
from mmv_tf.pretrained.module_words import words_of_module as words_of_module
from mmv_tf.pretrained.pickle_reader import read_arrays as read_arrays
from mmv_tf.pretrained.presets import PRESETS as PRESETS
from mmv_tf.pretrained.presets import create_model as create_model
from mmv_tf.pretrained.presets import preset_config as preset_config
from mmv_tf.pretrained.published import Published as Published
from mmv_tf.pretrained.published import is_published as is_published
from mmv_tf.pretrained.published import nearest_published as nearest_published
from mmv_tf.pretrained.published import registry as registry
from mmv_tf.pretrained.published import registry_table as registry_table
from mmv_tf.pretrained.table_words import words_from_list as words_from_list
from mmv_tf.pretrained.table_words import words_from_vectors as words_from_vectors
from mmv_tf.pretrained.torch_reader import is_torch_file as is_torch_file
from mmv_tf.pretrained.torch_reader import read_state_dict as read_state_dict
from mmv_tf.pretrained.web import FetchError as FetchError
from mmv_tf.pretrained.word_vectors import load_word_vectors as load_word_vectors
