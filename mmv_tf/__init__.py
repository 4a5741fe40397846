# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MultiModal Versatile networks (MMV, Alayrac et al., NeurIPS 2020) for TensorFlow and Keras 3.

>>> import mmv_tf
>>> model = mmv_tf.create_model("s3d_fac")
>>> outputs = model({"video": clips, "text": word_ids})
>>> outputs["video"]["vat"] @ outputs["text"]["vat"].T

Data, training, evaluation and publishing are the subpackages of those names and the programs in
`binaries/`.

Keras has to run on TensorFlow: where it has not been imported yet, it is imported so, whatever
KERAS_BACKEND or keras.json say; where it runs on another backend, this is an ImportError. `floatx`
and the other settings of keras.json change nothing of what this package computes.
"""

# isort: off
from mmv_tf import (
    keras_backend as keras_backend,
)  # first: Keras keeps the backend that it begins with

# isort: on
from mmv_tf import backbones as backbones
from mmv_tf import layers as layers
from mmv_tf import losses as losses
from mmv_tf.deflation import ImageEncoder as ImageEncoder
from mmv_tf.deflation import deflate as deflate
from mmv_tf.deflation import fit_deflated as fit_deflated
from mmv_tf.graphs import Disjoint as Disjoint
from mmv_tf.graphs import EmbeddingGraph as EmbeddingGraph
from mmv_tf.graphs import FineAndCoarse as FineAndCoarse
from mmv_tf.graphs import Shared as Shared
from mmv_tf.inference import load_encoder as load_encoder
from mmv_tf.pretrained import create_model as create_model
from mmv_tf.pretrained import import_haiku_checkpoint as import_haiku_checkpoint
from mmv_tf.pretrained import import_mil_nce_checkpoint as import_mil_nce_checkpoint
from mmv_tf.pretrained import preset_config as preset_config
from mmv_tf.publishing import export as export
from mmv_tf.training import load_model as load_model
from mmv_tf.training import save_model as save_model
from mmv_tf.version import __version__ as __version__
