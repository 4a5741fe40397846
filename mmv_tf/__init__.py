# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MultiModal Versatile networks (MMV, Alayrac et al., NeurIPS 2020) for TensorFlow and Keras 3.

>>> import mmv_tf
>>> model = mmv_tf.create_model("s3d_fac")
>>> outputs = model({"video": clips, "text": word_ids})
>>> outputs["video"]["vat"] @ outputs["text"]["vat"].T

Data preparation, training, evaluation, publishing, search and serving each have a subpackage; the
command `mmv` runs the programs. Everything is imported on first use, so that importing this package
is fast, and TensorFlow is loaded only when it is needed. If Keras is already imported, the layers
are imported too, so that `keras.saving.load_model` knows them; `load_model` here always imports
them.

Keras has to run on TensorFlow: the subpackages import it that way, whatever KERAS_BACKEND or
keras.json says; if it already runs on another backend, they raise an ImportError. `floatx` and the
other settings in keras.json do not affect this package's results.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from mmv_tf import backend_choice
from mmv_tf.version import __version__ as __version__

if TYPE_CHECKING:
    from mmv_tf import backbones as backbones
    from mmv_tf import classification as classification
    from mmv_tf import data as data
    from mmv_tf import deflation as deflation
    from mmv_tf import evaluation as evaluation
    from mmv_tf import graphs as graphs
    from mmv_tf import layers as layers
    from mmv_tf import losses as losses
    from mmv_tf import pretrained as pretrained
    from mmv_tf import search as search
    from mmv_tf import serving as serving
    from mmv_tf import training as training
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
    from mmv_tf.publishing.export import export as export
    from mmv_tf.training import load_model as load_model
    from mmv_tf.training import save_model as save_model

_SUBPACKAGES = (
    "backbones",
    "classification",
    "data",
    "deflation",
    "evaluation",
    "graphs",
    "inference",
    "layers",
    "losses",
    "pretrained",
    "publishing",
    "search",
    "serving",
    "training",
)
# Public name -> module that defines it.
_HOMES = {
    "ImageEncoder": "deflation",
    "deflate": "deflation",
    "fit_deflated": "deflation",
    "EmbeddingGraph": "graphs",
    "FineAndCoarse": "graphs",
    "load_encoder": "inference",
    "create_model": "pretrained",
    "import_haiku_checkpoint": "pretrained",
    "import_mil_nce_checkpoint": "pretrained",
    "preset_config": "pretrained",
    "export": "publishing",
    "load_model": "training",
    "save_model": "training",
}
# Names too general for the top level.
_MOVED = {"Disjoint": "graphs.Disjoint", "Shared": "graphs.Shared"}
# Subpackages with layers and models that Keras has to know to load a file.
_KNOWN_TO_KERAS = ("graphs", "deflation")


def __getattr__(name: str) -> Any:
    """Import a subpackage or a public name on first use."""
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    hint = f"; it is mmv_tf.{_MOVED[name]}" if name in _MOVED else ""
    raise AttributeError(f"module 'mmv_tf' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBPACKAGES, *_HOMES})


backend_choice.choose()
if "keras" in sys.modules:
    for _name in _KNOWN_TO_KERAS:
        importlib.import_module(f"{__name__}.{_name}")
