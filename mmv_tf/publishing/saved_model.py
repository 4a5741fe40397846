# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A SavedModel with a signature for each modality, and JPEG frames decoded in the graph."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.data.reading import augmentation
from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.publishing.checks import checked, known_words
from mmv_tf.publishing.options import ExportOptions
from mmv_tf.publishing.serving_weights import ServingWeights

# Ours. A frame of 200 bytes may claim 65,535 pixels per side, 13 GB: the header is read first.
MAX_PIXELS = 4096 * 4096


def decode_clips(frames: tf.Tensor, size: int, square: bool) -> tf.Tensor:
    """Decode JPEG frames, string [B, T], to float32 [B, T, size, size, 3] in [0, 1].

    A frame of exactly `size` x `size` pixels is kept. Other frames are cropped and resized one by
    one, as the reader does for evaluation (`augmentation.crop_window`).

    Args:
      frames: the JPEG files' contents.
      size: side, in pixels.
      square: see `augmentation.crop_window`.

    Raises:
      InvalidArgumentError: at run time, a frame is not a JPEG, is damaged, or has too many pixels.
    """

    def decode(frame: tf.Tensor) -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(frame)  # fails unless it is a JPEG
        height, width = shape[0], shape[1]
        fits = tf.cast(height, tf.int64) * tf.cast(width, tf.int64) <= MAX_PIXELS
        big = tf.debugging.Assert(
            fits & (height > 0) & (width > 0),
            [
                f"A JPEG frame may have at most {MAX_PIXELS} pixels; height, width, colors:",
                shape,
            ],
        )
        with tf.control_dependencies([big]):
            window = augmentation.crop_window(height, width, None, 0.0, square)
            ready = (height == size) & (width == size)
            window = tf.where(ready, tf.stack([0, 0, height, width]), window)
        pixels = tf.image.decode_and_crop_jpeg(frame, window, channels=3)
        resized = tf.image.resize(pixels, [size, size])
        return tf.ensure_shape(resized, [size, size, 3])

    flat = tf.map_fn(
        decode,
        tf.reshape(frames, [-1]),
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
        parallel_iterations=2,  # each may hold a decoded frame of MAX_PIXELS
    )
    shape = tf.concat([tf.shape(frames), [size, size, 3]], axis=0)
    return tf.reshape(flat, shape) / 255.0


SIGNATURES = ("video", "audio", "text", "image", "video_jpeg")

# Not embeddings: maps and representations, which are never normalized.
FEATURES = ("before_head", "last_conv")


class Publication(tf.train.Checkpoint):
    """The object to save: callable, fine-tunable, with one signature for each modality.

    Signatures (all sizes except the channels are free): "video" float32 [B, T, H, W, 3] in [0, 1]
    -> before_head, va, vat; "audio" float32 [B, samples], a waveform in [-1, 1] at the network's
    sample rate -> last_conv (the map before pooling), va, vat; "text" string [B], whole sentences
    -> vat; "image" float32 [B, H, W, 3] in [0, 1] -> before_head, va, vat; and, if requested,
    "video_jpeg" string [B, T], JPEG frames -> as "video". The spaces depend on the network's graph.

    Calling the module with a clip returns the dict of its "video" signature, with an optional
    `training` argument, as in TensorFlow's reusable SavedModels. Without a video backbone, it
    accepts the input of its first signature. If `options` make it inference-only, `training` must
    be False and there are no trainable variables.

    Args:
      model: the model.
      image_model: its deflated model, for "image".
      options: see `ExportOptions`.

    Raises:
      ValueError: the model lacks what a signature needs.
    """

    def __init__(
        self,
        model: EmbeddingGraph,
        image_model: ImageEncoder | None = None,
        options: ExportOptions | None = None,
    ):
        super().__init__()
        self.options = options = options or ExportOptions()
        modalities = choose_modalities(model, image_model, options)
        # Kept in a function to hide it from TensorFlow, which saves tracked objects with all
        # backbones.
        self._networks = lambda: (model, image_model)
        self.jpeg_size = _jpeg_size(model, options) if options.video_jpeg else 0
        layers = _layers(model, image_model, modalities)
        weights = None
        if options.trainable:
            variables = list({id(v): v for layer in layers for v in layer.variables}.values())
            trainable = {id(v) for v in model.trainable_variables}
            # Attributes that `hub.KerasLayer` and other users of reusable SavedModels need.
            self.variables = [v.value for v in variables]
            self.trainable_variables = [v.value for v in variables if id(v) in trainable]
        else:
            weights = ServingWeights(layers, options.fold_batch_norms, options.weights)
            self.variables = list(weights.variables)
            self.trainable_variables = []
        self._scope = lambda: contextlib.nullcontext() if weights is None else weights.scope()
        self.regularization_losses: list[Any] = []
        if "text" in modalities:
            self.tokenizer = model.tokenizer  # for its table of words
        self.modalities = modalities

    @tf.function(autograph=False)
    def __call__(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Return a clip's representation and embeddings."""
        return self.apply(self.modalities[0], inputs, training)

    def trace_call(self) -> None:
        """Trace `__call__`, in each of its modes, so that it is saved too."""
        spec = INPUTS[self.modalities[0]]
        for training in (False, True) if self.options.trainable else (False,):
            self.__call__.get_concrete_function(spec, training=training)

    def make_signatures(self) -> dict[str, Any]:
        """Return signature name -> function for each available modality."""
        names = [*self.modalities, *(["video_jpeg"] if self.options.video_jpeg else [])]
        return {name: self._make_signature(name) for name in names}

    def _make_signature(self, name: str) -> Any:
        def signature(tensor: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.apply(name, tensor)

        # The name in the specification is the key of the signature's input.
        return tf.function(signature, autograph=False, input_signature=[INPUTS[name]])

    def apply(self, name: str, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Compute a signature's outputs; called when tracing."""
        # Augmentation may leave the range, so training input is not checked.
        if self.options.checked and not training:
            inputs = checked(name, inputs)
        with self._scope():
            outputs = self._outputs(name, inputs, training)
        if self.options.normalized:
            outputs = {
                key: value if key in FEATURES else tf.math.l2_normalize(value, axis=-1)
                for key, value in outputs.items()
            }
        return outputs

    def _outputs(self, name: str, inputs: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        networks: tuple[Any, Any] = self._networks()
        model, image_model = networks
        if name == "image":
            return image_model(inputs, training=training)
        if name == "audio":
            return audio_outputs(model, model.log_mel(inputs), training)
        if name == "text":
            ids = model.tokenizer(inputs)
            if self.options.checked and not training:
                known = model.tokenizer.knows(ids)
                with tf.control_dependencies([known_words(name, inputs, known)]):
                    ids = tf.identity(ids)
            outputs = dict(model({"text": ids}, training=training)["text"])
            del outputs["before_head"]
            return outputs
        if name == "video_jpeg":
            square = model.metadata.get("square_crop", True)
            inputs = decode_clips(inputs, self.jpeg_size, square)
        return model({"video": inputs}, training=training)["video"]


INPUTS = {
    "video": tf.TensorSpec([None, None, None, None, 3], tf.float32, name="video"),
    "audio": tf.TensorSpec([None, None], tf.float32, name="audio"),
    "text": tf.TensorSpec([None], tf.string, name="text"),
    "image": tf.TensorSpec([None, None, None, 3], tf.float32, name="image"),
    "video_jpeg": tf.TensorSpec([None, None], tf.string, name="video_jpeg"),
}


def audio_outputs(model: Any, log_mel: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Return "last_conv" [B, h, w, d] and the embeddings of log-mels [B, frames, mel_bins, 1]."""
    endpoints = model.audio(log_mel, training=training, return_endpoints=True)
    spaces = model.project("audio", endpoints["embedding"], training=training, valid=None)
    outputs = {"last_conv": endpoints["last_conv"], **spaces}
    return {name: tf.cast(value, tf.float32) for name, value in outputs.items()}


def choose_modalities(
    model: EmbeddingGraph, image_model: ImageEncoder | None, options: ExportOptions
) -> tuple[str, ...]:
    """Return the modalities that get a signature, in order.

    Raises:
      ValueError: a requested modality is missing, or lacks the step from raw input to its
        backbone's input.
    """
    there = (*model.modalities, *(("image",) if image_model is not None else ()))
    chosen = there if options.modalities is None else options.modalities
    for name in chosen:
        if name not in there:
            hint = " Pass its deflated network as well." if name == "image" else ""
            raise ValueError(f"The model can't embed {name!r}, only {there}.{hint}")
    if "audio" in chosen and model.log_mel is None:
        raise ValueError("The model has an audio backbone but no log-mel settings.")
    if "text" in chosen and model.tokenizer is None:
        others = " ".join(f"--modality={name}" for name in chosen if name != "text")
        raise ValueError(
            "The model has a text backbone but no vocabulary, so it can't embed sentences: export "
            f"it without text ({others}), or import its checkpoint again with --word_vectors or "
            "--vocabulary (mmv import_checkpoint)."
        )
    if options.video_jpeg and "video" not in chosen:
        raise ValueError("video_jpeg needs the video backbone; add video to the modalities.")
    return tuple(name for name in SIGNATURES if name in chosen)


def _jpeg_size(model: EmbeddingGraph, options: ExportOptions) -> int:
    size = options.jpeg_size or model.metadata.get("size")
    if not size:
        raise ValueError(
            "The model does not state its training size; pass jpeg_size for video_jpeg."
        )
    return int(size)


def _layers(
    model: EmbeddingGraph, image_model: ImageEncoder | None, modalities: tuple[str, ...]
) -> list[keras.layers.Layer]:
    """Return the backbones and heads of some modalities."""
    layers: list[keras.layers.Layer] = []
    for name in modalities:
        if name == "image":
            layers.append(image_model)
        else:
            layers.append(model.backbone(name))
            layers += [head for _, head, _ in model.chain(name)]
    return layers
