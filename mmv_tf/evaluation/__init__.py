# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.evaluation.embed import ClipEmbeddings as ClipEmbeddings
from mmv_tf.evaluation.embed import embed_clips as embed_clips
from mmv_tf.evaluation.linear_probe import linear_probe as linear_probe
from mmv_tf.evaluation.protocols import PROTOCOLS as PROTOCOLS
from mmv_tf.evaluation.protocols import Evaluation as Evaluation
from mmv_tf.evaluation.protocols import Protocol as Protocol
from mmv_tf.evaluation.protocols import run_protocol as run_protocol
from mmv_tf.evaluation.retrieval import permutation_p_value as permutation_p_value
from mmv_tf.evaluation.retrieval import ranks as ranks
from mmv_tf.evaluation.retrieval import retrieval_metrics as retrieval_metrics
