# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Opens any kind of model as an encoder."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from mmv_tf.deflation import ImageEncoder, load_image_model
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.graphs.precision import check_dtype, in_precision
from mmv_tf.inference.encoder import Encoder
from mmv_tf.inference.graph_network import GraphNetwork
from mmv_tf.inference.module_network import ModuleNetwork, is_module
from mmv_tf.inference.network import TENSORFLOW, Network, Settings, with_settings
from mmv_tf.inference.openvino_network import OpenVinoNetwork, check_engine
from mmv_tf.training import opening

Path = str | os.PathLike[str]


def load_encoder(
    source: Path,
    *,
    dtype: str | None = None,
    vocabulary: Path | Sequence[str] | None = None,
    image_model: Path | ImageEncoder | None = None,
    settings: Mapping[str, Any] | None = None,
    engine: str = TENSORFLOW,
    quantized: Path | None = None,
) -> Encoder:
    """Open any kind of model, ready to embed files, arrays and sentences.

    Args:
      source: a `.keras` file, including one of a deflated model; the folder of a training run, or
        of one of its checkpoints; an exported SavedModel; the folder of a TF-Hub module with the
        signatures of MMV or MIL-NCE; a released MMV pickle or MIL-NCE `.pth`; or a name in
        `mmv_tf.pretrained.registry()`, whose file is downloaded once.
      dtype: precision to compute in, if not the saved one: "mixed_bfloat16", "bfloat16",
        "mixed_float16" or "float32". Modules keep the precision that they were published with.
      vocabulary: for a released file, the words of its table: a list, a file with one word per
        line, or the folder of its TF-Hub module. For an MMV pickle, also the word vectors that
        the table was made from (`.bin`, `.vec` or `.gz`). For MIL-NCE, `s3d_dict.npy`, which is
        found by default if it lies beside the file.
      image_model: the deflated model to embed images with, a `.keras` file.
      settings: video and audio settings that the model does not specify, or that override its own:
        "num_frames", "frame_rate", "size", "square_crop", "sample_rate".
      engine: "openvino" to embed video and images with OpenVINO, an extra that suits some CPUs;
        other inputs stay in TensorFlow. Modules support only "tensorflow".
      quantized: with OpenVINO, the folder that `mmv quantize` created for this model: video is
        embedded in 8-bit integers.

    Raises:
      ValueError: there is no model at `source`, or the arguments don't fit it; the message says
        what to do.

    Example:
    >>> encoder = mmv_tf.load_encoder("runs/my_run")  # doctest: +SKIP
    >>> videos = encoder.embed_video(["a.mp4", "b.mp4"])  # doctest: +SKIP
    >>> encoder.similarity(encoder.embed_text(["a dog runs"]), videos)  # doctest: +SKIP
    """
    # Checked before reading anything, which may take minutes.
    with_settings(Settings(), settings)
    if dtype is not None:
        check_dtype(dtype)
    check_engine(engine)
    if quantized is not None and engine == TENSORFLOW:
        raise ValueError("A quantized model runs in OpenVINO; set engine to openvino.")
    path = opening.find_network(source)
    network: Network
    if is_module(path):
        if engine != TENSORFLOW:
            raise ValueError(
                f"{path} is a SavedModel, which only TensorFlow can run here; leave engine out, or "
                "pass the .keras file."
            )
        network = _module(path, dtype, vocabulary, image_model, settings)
    else:
        model: Any = open_model(path, vocabulary=vocabulary)
        images: Any = image_model
        if isinstance(model, ImageEncoder):
            if images is not None:
                raise ValueError(f"{path} is a deflated network already; leave image_model out.")
            model, images = None, model
        elif isinstance(images, str | os.PathLike):
            images = load_image_model(images)
        network = _graph_network(model, images, dtype, engine, quantized)
        _check_rate(network.settings, settings)
        network.settings = with_settings(network.settings, settings)
        if isinstance(network, OpenVinoNetwork):
            network.check_settings()
    return Encoder(network, os.fspath(source))


def _graph_network(
    model: EmbeddingGraph | None,
    image_model: ImageEncoder | None,
    dtype: str | None,
    engine: str,
    quantized: Path | None,
) -> GraphNetwork:
    """Return a network with one model or both, in the requested precision and engine."""
    given: Any = image_model if model is None else model
    saved = given.dtype_policy.name
    keras_dtype = dtype if engine == TENSORFLOW else "float32"
    if keras_dtype is not None:
        model = None if model is None else in_precision(model, keras_dtype)
        image_model = None if image_model is None else in_precision(image_model, keras_dtype)
    if engine == TENSORFLOW:
        return GraphNetwork(model, image_model)
    return OpenVinoNetwork(model, image_model, dtype or saved, quantized)


def as_encoder(model: Encoder | EmbeddingGraph | ImageEncoder) -> Encoder:
    """Return an encoder unchanged, or wrap a Keras model in one."""
    if isinstance(model, Encoder):
        return model
    if isinstance(model, ImageEncoder):
        return Encoder(GraphNetwork(image_model=model))
    return Encoder(GraphNetwork(model))


def open_model(
    source: Path, *, dtype: str | None = None, vocabulary: Path | Sequence[str] | None = None
) -> EmbeddingGraph | ImageEncoder:
    """Open a local model as a Keras model; see `load_encoder`.

    Raises:
      ValueError: as for `load_encoder`, or the source is a SavedModel, which has no Keras model.
    """
    model = opening.open_weights(source, vocabulary)
    if not isinstance(model, EmbeddingGraph | ImageEncoder):
        raise ValueError(
            f"{os.fspath(source)} holds a {type(model).__name__}; expected an mmv_tf network, or "
            "a deflated one."
        )
    return model if dtype is None else in_precision(model, dtype)


def _check_rate(told: Settings, settings: Mapping[str, Any] | None) -> None:
    """Raise an error for a sample rate that differs from that of the model's log-mels."""
    rate = (settings or {}).get("sample_rate")
    if rate is not None and rate != told.sample_rate:
        heard = f"expects {told.sample_rate} Hz" if told.sample_rate else "has no audio input"
        raise ValueError(
            f"The setting sample_rate is {rate!r}, but the network {heard}; leave sample_rate out."
        )


def _module(
    path: pathlib.Path,
    dtype: str | None,
    vocabulary: Any,
    image_model: Any,
    settings: Mapping[str, Any] | None,
) -> ModuleNetwork:
    for name, value in {
        "dtype": dtype, "vocabulary": vocabulary, "image_model": image_model
    }.items():  # fmt: skip
        if value is not None:
            raise ValueError(
                f"{path} is a SavedModel, which can't be changed after export; leave {name} out."
            )
    return ModuleNetwork(path, **dict(settings or {}))
