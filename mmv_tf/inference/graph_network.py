# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Models from mmv_tf, including deflated ones, as a `Network`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference.network import (
    AUDIO,
    IMAGE,
    LOG_MEL,
    MODALITY_OF,
    TEXT,
    VIDEO,
    WORD_IDS,
    Network,
    Settings,
    as_float32,
    interrupted,
    refuse_not_finite,
)


class GraphNetwork(Network):
    """An `EmbeddingGraph`, an `ImageEncoder`, or both: a model and its deflated model.

    Args:
      model: the model, if there is one.
      image_model: the deflated model, if there is one.

    Attributes:
      model, image_model: as given.
    """

    def __init__(
        self, model: EmbeddingGraph | None = None, image_model: ImageEncoder | None = None
    ):
        super().__init__()
        self._window_functions: dict[tuple[tf.DType, int], Any] = {}
        self.model = model
        self.image_model = image_model
        metadata = dict(getattr(image_model, "metadata", {}))
        log_mel = None
        modalities: tuple[str, ...] = () if image_model is None else (IMAGE,)
        if model is not None:
            metadata |= model.metadata
            log_mel = model.log_mel
            modalities = (*model.modalities, *modalities)
        self.modalities = modalities
        self.settings = Settings(
            num_frames=metadata.get("num_frames"),
            frame_rate=metadata.get("frame_rate"),
            size=metadata.get("size"),
            square_crop=bool(metadata.get("square_crop", True)),
            sample_rate=None if log_mel is None else log_mel.sample_rate,
        )

    def dims(self, modality: str) -> dict[str, int]:
        """Return the sizes of a modality's features; see `Network.dims`."""
        self.check_modality(modality)
        if modality == IMAGE:
            outputs = _network(self.image_model).network.output
            if not isinstance(outputs, Mapping):
                return {"before_head": int(outputs.shape[-1])}
            order = _order(self.model, tuple(outputs))
            return {name: int(outputs[name].shape[-1]) for name in order}
        model = _network(self.model)
        tower = model.backbone(modality)
        found = {"before_head": tower.feature_dim}
        if modality == AUDIO:
            found["last_conv"] = tower.feature_dim
        return found | {space: head.dim for space, head, _ in model.chain(modality)}

    def check_modality(self, modality: str) -> None:
        """Check that the model embeds a modality; see `Network.check_modality`."""
        if modality == IMAGE and self.image_model is None:
            raise ValueError(
                f"The model accepts {', '.join(self.modalities)}, not image; deflate the network "
                "first (mmv deflate) and pass the deflated file."
            )
        super().check_modality(modality)

    def check_input(self, kind: str) -> None:
        """Check an input as `Network` does; audio also needs log-mel settings, text a tokenizer."""
        if kind == TEXT and self.model is not None:
            self.model.sentence_tokenizer()
        super().check_input(kind)
        if kind == AUDIO and _network(self.model).log_mel is None:
            raise ValueError(
                "The model has no log-mel settings to convert audio to its input; pass log-mels "
                "as arrays."
            )

    def compute(self, kind: str, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the features of a batch; see `Network.compute`."""
        self.check_input(kind)
        if kind == IMAGE:
            image_model: Any = self.image_model
            outputs = image_model(inputs)
            return dict(outputs) if isinstance(outputs, Mapping) else {"before_head": outputs}
        model: Any = self.model
        if kind == TEXT:
            inputs = model.tokenizer(inputs)
        if kind == AUDIO:
            inputs = model.log_mel(inputs)
        if kind in (AUDIO, LOG_MEL):
            return _audio_features(model, inputs)
        modality = MODALITY_OF.get(kind, kind)
        return model({modality: inputs}, training=False)[modality]

    def run(
        self, kind: str, inputs: np.ndarray | tf.Tensor, batch_size: int | None = None
    ) -> dict[str, np.ndarray]:
        """Return the features of any number of inputs; see `Network.run`.

        Raises:
          ValueError: as for `Network.run`, or word ids are not rows of the word table.
        """
        if kind == WORD_IDS:
            self.check_input(kind)
            inputs = _checked_ids(inputs, getattr(_network(self.model).text, "vocabulary_size", 0))
        return super().run(kind, inputs, batch_size)

    def run_windows(
        self, frames: np.ndarray, starts: Sequence[int], num_frames: int
    ) -> dict[str, np.ndarray]:
        """Return the features of one video's windows; see `Network.run_windows`.

        Windows an even number of frames apart share work, if the backbone can; see
        `S3D.embed_windows`.
        """
        backbone = self._sharing_backbone()
        first = min(starts, default=0)
        shared = (np.asarray(starts) - first) % 2 == 0
        together = np.asarray(starts)[shared]
        end = max(together, default=0) + num_frames
        computed = end - first + 2 * len(together)  # frames, if work is shared
        if backbone is None or num_frames % 2 or computed >= num_frames * len(together):
            return super().run_windows(frames, starts, num_frames)
        self.check_input(VIDEO)
        function = self._window_function(backbone, tf.as_dtype(frames.dtype), num_frames)
        with interrupted():
            found = function(frames[first:end], (together - first).astype(np.int32))
        rows = {name: np.asarray(value) for name, value in found.items()}
        refuse_not_finite(VIDEO, rows)
        if shared.all():
            return rows
        rest = super().run_windows(frames, np.asarray(starts)[~shared].tolist(), num_frames)
        order = np.argsort(np.concatenate([np.nonzero(shared)[0], np.nonzero(~shared)[0]]))
        return {name: np.concatenate([rows[name], rest[name]])[order] for name in rows}

    def _sharing_backbone(self) -> Any:
        """Return the video backbone if windows can share its work, or None."""
        backbone = getattr(self.model, "video", None)
        return backbone if getattr(backbone, "shares_windows", False) else None

    def _window_function(self, backbone: Any, dtype: tf.DType, num_frames: int) -> Any:
        """Return a function of frames and starts, traced once per frame size."""
        key = dtype, num_frames
        if key not in self._window_functions:

            def function(frames: tf.Tensor, starts: tf.Tensor) -> dict[str, tf.Tensor]:
                features = backbone.embed_windows(as_float32(frames), starts, num_frames)
                spaces = _network(self.model).project(VIDEO, features, training=False, valid=None)
                found = {"before_head": features, **spaces}
                return {name: tf.cast(value, tf.float32) for name, value in found.items()}

            self._window_functions[key] = tf.function(
                function, autograph=False, reduce_retracing=True
            )
        return self._window_functions[key]

    def known(self, sentences: Sequence[str]) -> np.ndarray:
        """Return whether each sentence has a known word; see `Network.known`."""
        self.check_input(TEXT)
        tokenizer = _network(self.model).tokenizer
        return tokenizer.knows(tokenizer(list(sentences))).numpy()

    @property
    def stop_words(self) -> frozenset[str]:
        """Words that the tokenizer leaves out; see `Network.stop_words`."""
        tokenizer = getattr(_network(self.model), "tokenizer", None)
        return frozenset(getattr(tokenizer, "stop_words", ()))

    def description(self) -> dict[str, Any]:
        """Return the class and the number of parameters; see `Network.description`."""
        model: Any = self.image_model if self.model is None else self.model
        return {"class": type(model).__name__, "parameters": int(model.count_params())}

    @property
    def fingerprint(self) -> str:
        """The hexadecimal SHA-256 of everything that the model computes with."""
        models = [model for model in (self.model, self.image_model) if model is not None]
        hashes = [model_hash(model) for model in models]
        return (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        )


def model_hash(model: keras.Model) -> str:
    """Return the SHA-256 of everything a model computes with: settings, weights, vocabulary."""
    digest = hashlib.sha256()
    # Not `copy.deepcopy`: containers that Keras tracks hold the whole model.
    config = json.loads(json.dumps(model.get_config(), default=str))
    config.pop("name", None)
    for name in ("log_mel", "tokenizer"):
        # Keras numbers names and sets these once a layer has been called: they carry no
        # information.
        if isinstance(config.get(name), dict):
            config[name].pop("build_config", None)
            config[name].get("config", {}).pop("name", None)
    digest.update(json.dumps(config, sort_keys=True).encode())
    for weight in model.weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes())
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is not None:
        digest.update("\n".join(tokenizer.vocabulary).encode())
        word_ids = getattr(tokenizer, "word_ids", None)
        if word_ids is not None:
            digest.update(word_ids.tobytes())
    return digest.hexdigest()


def _checked_ids(ids: Any, rows: int) -> np.ndarray:
    """Return word ids as int32; `rows` is the word table's size, or 0 if unknown."""
    ids = np.asarray(ids)
    least, most = (ids.min(), ids.max()) if ids.size else (0, 0)
    if least < 0 or (rows and most >= rows):
        raise ValueError(
            f"Word ids range from {least} to {most}; expected rows of the network's word "
            f"table, 0 to {rows - 1}."
        )
    return ids.astype(np.int32)


def _audio_features(model: Any, log_mel: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return all features of [B, frames, bins, 1]; "last_conv" is averaged over both axes."""
    endpoints = model.audio(log_mel, training=False, return_endpoints=True)
    features = endpoints["embedding"]
    found = {
        "before_head": features,
        "last_conv": tf.reduce_mean(endpoints["last_conv"], [1, 2]),
        **model.project(AUDIO, features, training=False, valid=None),
    }
    return {name: tf.cast(value, tf.float32) for name, value in found.items()}


def _order(model: EmbeddingGraph | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names with spaces finest first, if a video model defines their order."""
    spaces = ("va", "vt", "vat") if model is None else model.spaces(VIDEO)
    place = {name: index for index, name in enumerate(("before_head", *spaces))}
    return tuple(sorted(names, key=lambda name: place.get(name, len(place))))


def _network(model: Any) -> Any:
    if model is None:
        raise ValueError("This is an image model; pass the video model.")
    return model
