# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MultiModal Versatile networks (MMV, Alayrac et al., NeurIPS 2020) for TensorFlow and Keras 3.

>>> import mmv_tf
>>> model = mmv_tf.create_model("s3d_fac")
>>> outputs = model({"video": clips, "text": word_ids})
>>> outputs["video"]["vat"] @ outputs["text"]["vat"].T

Data, training, evaluation, publishing, search and serving are the subpackages of those names and
the programs in `binaries/`; those that few need are imported at first use, as `mmv_tf.search`.

Keras has to run on TensorFlow: where it has not been imported yet, it is imported so, whatever
KERAS_BACKEND or keras.json say; where it runs on another backend, this is an ImportError. `floatx`
and the other settings of keras.json change nothing of what this package computes.
"""

import importlib
from typing import TYPE_CHECKING, Any

# isort: off
from mmv_tf import (
    keras_backend as keras_backend,
)  # first: Keras keeps the backend that it begins with

# isort: on
from mmv_tf import backbones as backbones
from mmv_tf import graphs as graphs
from mmv_tf import layers as layers
from mmv_tf import losses as losses
from mmv_tf.deflation import ImageEncoder as ImageEncoder
from mmv_tf.deflation import deflate as deflate
from mmv_tf.deflation import fit_deflated as fit_deflated
from mmv_tf.graphs import EmbeddingGraph as EmbeddingGraph
from mmv_tf.graphs import FineAndCoarse as FineAndCoarse
from mmv_tf.inference import load_encoder as load_encoder
from mmv_tf.pretrained import create_model as create_model
from mmv_tf.pretrained import import_haiku_checkpoint as import_haiku_checkpoint
from mmv_tf.pretrained import import_mil_nce_checkpoint as import_mil_nce_checkpoint
from mmv_tf.pretrained import preset_config as preset_config
from mmv_tf.publishing import export as export
from mmv_tf.training import load_model as load_model
from mmv_tf.training import save_model as save_model
from mmv_tf.version import __version__ as __version__

if TYPE_CHECKING:
    from mmv_tf import classification as classification
    from mmv_tf import evaluation as evaluation
    from mmv_tf import search as search
    from mmv_tf import serving as serving

_AT_FIRST_USE = ("classification", "evaluation", "search", "serving")
# Too general a name outside its folder.
_MOVED = {"Disjoint": "graphs.Disjoint", "Shared": "graphs.Shared"}


def __getattr__(name: str) -> Any:
    """Import a subpackage at its first use."""
    if name in _AT_FIRST_USE:
        return importlib.import_module(f"{__name__}.{name}")
    hint = f"; it is mmv_tf.{_MOVED[name]}" if name in _MOVED else ""
    raise AttributeError(f"module 'mmv_tf' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_AT_FIRST_USE})
