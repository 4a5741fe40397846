# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from mmv_tf.evaluation import zero_shot_benchmarks as zero_shot_benchmarks
from mmv_tf.evaluation.benchmarks import BENCHMARKS as BENCHMARKS
from mmv_tf.evaluation.declaration import Benchmark as Benchmark
from mmv_tf.evaluation.declaration import changed as changed
from mmv_tf.evaluation.declaration import declare as declare
from mmv_tf.evaluation.embed import ClipEmbedder as ClipEmbedder
from mmv_tf.evaluation.embed import ClipEmbeddings as ClipEmbeddings
from mmv_tf.evaluation.linear_probe import linear_probe as linear_probe
from mmv_tf.evaluation.listed_media import Options as Options
from mmv_tf.evaluation.protocols import PROTOCOLS as PROTOCOLS
from mmv_tf.evaluation.protocols import Evaluation as Evaluation
from mmv_tf.evaluation.protocols import Protocol as Protocol
from mmv_tf.evaluation.protocols import run_protocol as run_protocol
from mmv_tf.evaluation.results import Scored as Scored
from mmv_tf.evaluation.results import compare as compare
from mmv_tf.evaluation.results import write_results as write_results
from mmv_tf.evaluation.retrieval import grouped_p_values as grouped_p_values
from mmv_tf.evaluation.retrieval import permutation_p_value as permutation_p_value
from mmv_tf.evaluation.retrieval import ranks as ranks
from mmv_tf.evaluation.retrieval import retrieval_metrics as retrieval_metrics
from mmv_tf.evaluation.runner import run_benchmark as run_benchmark
