# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Search in your own videos: index, queries, API and page."""

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.search.embedder import Embedder as Embedder
from mmv_tf.search.export import export_parquet as export_parquet
from mmv_tf.search.indexing import IndexReport as IndexReport
from mmv_tf.search.indexing import update_index as update_index
from mmv_tf.search.joining import join_indexes as join_indexes
from mmv_tf.search.labels import LabelFilter as LabelFilter
from mmv_tf.search.labels import WindowLabels as WindowLabels
from mmv_tf.search.moments import Moment as Moment
from mmv_tf.search.queries import Query as Query
from mmv_tf.search.searcher import Searcher as Searcher
