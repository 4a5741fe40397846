# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""TF-Hub modules and exported SavedModels as a `Network`.

Reads modules with the signatures of deepmind/mmv (video, audio, text -> before_head, last_conv, va,
vat) or deepmind/mil-nce (video, text -> mixed_5c, video_embedding, text_embedding), in the TF1
format of TF-Hub or as TF2 SavedModels, and the exports of `mmv_tf.export`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.inference.module_settings import contract_settings, published_settings
from mmv_tf.inference.network import AUDIO, IMAGE, TEXT, VIDEO, Network, Settings
from mmv_tf.pretrained import saved_model_file
from mmv_tf.util.files import file_sha256

_MODALITIES = (VIDEO, IMAGE, AUDIO, TEXT)
# Output name -> feature, finest space first.
_FEATURES = {
    "before_head": "before_head",
    "mixed_5c": "before_head",
    "last_conv": "last_conv",
    "va": "va",
    "vt": "vt",
    "video_embedding": "vt",
    "text_embedding": "vt",
    "vat": "vat",
}
# Sentences without a known word: empty, one unknown word, more of them than a sentence holds.
_NO_WORDS = ("", "zqxjvkw", " ".join(["zqxjvkw"] * 64))
# Ours: rounding varies with the batch size, by far less than this fraction of the largest value.
_SAME = 1e-5
# Lines of TensorFlow's messages that locate a failure in a graph without explaining it.
_PLACE = re.compile(r"Graph execution error|Detected at node|Stack trace for op|\s*File \"")
_ASSERTION = re.compile(r"assertion failed: (.*)")


def is_module(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder with a SavedModel, or with numbered versions of one."""
    return saved_model_file.find_saved_model(path) is not None


class ModuleNetwork(Network):
    """A SavedModel with a signature for each modality.

    Its settings come from the arguments, from sizes fixed in the graph, from `mmv_tf.export`'s
    input contract, and for published modules from a table; the rest are None. TensorFlow executes
    the code in the graph, so load only modules that you trust.

    Args:
      path: the module's folder, or a folder of numbered versions, of which the newest is used.
      num_frames, frame_rate, size, square_crop, sample_rate: replace those of `settings`.

    Attributes:
      path: the SavedModel's folder.

    Raises:
      ValueError: there is no SavedModel, it is damaged, or it has none of the expected signatures.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        num_frames: int | None = None,
        frame_rate: float | None = None,
        size: int | None = None,
        square_crop: bool | None = None,
        sample_rate: int | None = None,
    ):
        super().__init__()
        saved = saved_model_file.read_saved_model(path)
        self.path = saved_model_file.find_saved_model(path) or pathlib.Path(path)
        # Kept alive, because its functions hold its variables only by weak references.
        self._module = _load(self.path, saved_model_file.load_tags(saved))
        functions = dict(self._module.signatures)
        self._signatures = {
            name: _Signature(name, functions[name]) for name in _MODALITIES if name in functions
        }
        if not self._signatures:
            names = ", ".join(sorted(functions)) or "none"
            raise ValueError(
                f"{self.path} has none of the signatures {', '.join(_MODALITIES)}; it has: "
                f"{names}. Pass a module from deepmind/mmv or deepmind/mil-nce, or one written "
                "by mmv export."
            )
        self.modalities = tuple(self._signatures)
        self.settings = self._find_settings(
            {
                "num_frames": num_frames,
                "frame_rate": frame_rate,
                "size": size,
                "square_crop": square_crop,
                "sample_rate": sample_rate,
            }
        )
        self._dims = {
            name: signature.find_dims(self.settings) for name, signature in self._signatures.items()
        }
        self._fingerprint: str | None = None

    def dims(self, modality: str) -> dict[str, int]:
        """Return the sizes of a modality's features; see `Network.dims`."""
        self.check_modality(modality)
        return dict(self._dims[modality])

    def compute(self, kind: str, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the features of a batch; see `Network.compute`. Maps are averaged."""
        if kind not in _MODALITIES:
            raise ValueError(
                f"A module accepts sentences and waveforms, not {kind}; pass those, or load "
                "the network's .keras file."
            )
        self.check_input(kind)
        return self._signatures[kind](inputs, self._dims[kind])

    def run(
        self, kind: str, inputs: np.ndarray | tf.Tensor, batch_size: int | None = None
    ) -> dict[str, np.ndarray]:
        """Return the features of any number of inputs; see `Network.run`.

        Raises:
          ValueError: as for `Network.run`, or the module's own checks reject an input.
        """
        try:
            return super().run(kind, inputs, batch_size)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{self.path} can't embed this {kind}: {_reason(error)}") from error

    def known(self, sentences: Sequence[str]) -> np.ndarray:
        """Return whether each sentence has a word that the model knows, booleans [N].

        Any other sentence gets the embedding of an empty sentence or of unknown words, or is
        rejected by the module's checks.
        """
        self.check_input(TEXT)
        unknown = [row for row in self._embedded(_NO_WORDS) if row is not None]
        found = []
        for row in self._embedded(sentences):
            same = [
                np.abs(row - other).max() <= _SAME * np.abs(other).max()
                for other in unknown
                if row is not None
            ]
            found.append(row is not None and not any(same))
        return np.array(found, bool)

    def description(self) -> dict[str, Any]:
        """Class and folder name; a module does not record its number of parameters."""
        return {"class": type(self).__name__, "module": self.path.name}

    @property
    def fingerprint(self) -> str:
        """The hexadecimal SHA-256 of the graph's file, the variables and the assets."""
        if self._fingerprint is None:
            files = [self.path / saved_model_file.SAVED_MODEL_FILE]
            for folder in ("assets", "variables"):
                files += sorted(file for file in (self.path / folder).rglob("*") if file.is_file())
            lines = (
                f"{file.relative_to(self.path).as_posix()} {file_sha256(file)}\n" for file in files
            )
            self._fingerprint = hashlib.sha256("".join(lines).encode()).hexdigest()
        return self._fingerprint

    def _embedded(self, sentences: Sequence[str]) -> list[np.ndarray | None]:
        """Return each sentence's embedding, or None where the module knows none of its words."""
        space = self.spaces(TEXT)[-1]
        try:
            return list(super().run(TEXT, np.array(sentences, object))[space])
        except tf.errors.InvalidArgumentError as error:
            reason = _reason(error)
            if "empty sentence" not in reason and "network knows" not in reason:
                raise ValueError(f"{self.path} can't embed this text: {reason}") from error
        if len(sentences) == 1:
            return [None]
        middle = len(sentences) // 2
        return [*self._embedded(sentences[:middle]), *self._embedded(sentences[middle:])]

    def _find_settings(self, given: dict[str, Any]) -> Settings:
        fixed = self._fixed_sizes()
        given = {name: value for name, value in given.items() if value is not None}
        for name in fixed.keys() & given.keys():
            if given[name] != fixed[name]:
                raise ValueError(
                    f"{name} is {given[name]}, but {self.path} accepts only {fixed[name]}; leave "
                    f"{name} out."
                )
        told = contract_settings(self.path)
        if told is None:
            video = self._signatures.get(VIDEO)
            told = published_settings({} if video is None else video.static_dims())
        if AUDIO not in self._signatures:
            told = dataclasses.replace(told, sample_rate=None)
        return dataclasses.replace(told, **{**fixed, **given})

    def _fixed_sizes(self) -> dict[str, int]:
        """Return the clip's frames and pixels, if the graph fixes them."""
        if VIDEO not in self._signatures:
            return {}
        shape = self._signatures[VIDEO].spec.shape
        if shape.rank != 5:
            return {}
        _, frames, height, width, _ = shape
        sizes = {"num_frames": frames, "size": height if height == width else None}
        return {name: value for name, value in sizes.items() if value is not None}


class _Signature:
    """A module function with one input tensor.

    Args:
      modality: its modality.
      function: the module's function.

    Attributes:
      spec: the input's spec.
      outputs: feature -> output name, finest space first.
    """

    def __init__(self, modality: str, function: Any):
        self.modality = modality
        self._function = function
        _, specs = function.structured_input_signature
        if len(specs) != 1:
            raise ValueError(
                f"The module's signature {modality} has inputs {', '.join(sorted(specs))}; "
                "expected one input."
            )
        ((self._key, self.spec),) = specs.items()
        expected_string = modality == TEXT
        if (self.spec.dtype == tf.string) != expected_string:
            wanted = "strings" if expected_string else "numbers"
            raise ValueError(
                f"The module's signature {modality} has inputs of type {self.spec.dtype.name}; "
                f"expected {wanted}."
            )
        names = function.structured_outputs
        self.outputs = {feature: name for name, feature in _FEATURES.items() if name in names}
        if not self.outputs:
            raise ValueError(
                f"The module's signature {modality} returns {', '.join(sorted(names))}; "
                f"expected at least one of {', '.join(_FEATURES)}."
            )

    def __call__(self, inputs: tf.Tensor, dims: Mapping[str, int]) -> dict[str, tf.Tensor]:
        """Return features [B, dim] for a batch of any size."""
        if not self.spec.shape[1:].is_compatible_with(inputs.shape[1:]):
            raise ValueError(
                f"Got {self.modality} of shape {list(inputs.shape)}; the module accepts only "
                f"{list(self.spec.shape)}."
            )
        fixed = None if self.spec.shape.rank is None else self.spec.shape[0]
        if fixed is None:
            return self._features(inputs, dims)
        count = tf.shape(inputs)[0]
        rest = tf.repeat(inputs[:1], tf.math.floormod(-count, fixed), axis=0)
        padded = tf.concat([inputs, rest], axis=0)
        groups = tf.reshape(padded, tf.concat([[-1, fixed], tf.shape(padded)[1:]], axis=0))
        groups.set_shape([None, fixed, *inputs.shape[1:]])
        found = tf.map_fn(
            lambda group: self._features(group, dims),
            groups,
            fn_output_signature={
                name: tf.TensorSpec([fixed, dims[name]], tf.float32) for name in self.outputs
            },
        )
        return {name: tf.reshape(value, [-1, dims[name]])[:count] for name, value in found.items()}

    def find_dims(self, settings: Settings) -> dict[str, int]:
        """Return feature sizes; if the graph does not define them, run it on a small input."""
        static = self.static_dims()
        if None in static.values():
            found = self._run_on_small_input(settings)
            static = {name: int(found[name].shape[-1]) for name in static}
        return {feature: static[name] or 0 for feature, name in self.outputs.items()}

    def static_dims(self) -> dict[str, int | None]:
        """Return output -> size of its last axis, or None where the graph does not define it."""
        shapes = {
            name: self._function.structured_outputs[name].shape for name in self.outputs.values()
        }
        return {name: shape[-1] if shape.rank else None for name, shape in shapes.items()}

    def _features(self, inputs: tf.Tensor, dims: Mapping[str, int]) -> dict[str, tf.Tensor]:
        if inputs.dtype != self.spec.dtype:
            inputs = tf.cast(inputs, self.spec.dtype)
        found = self._function(**{self._key: inputs})
        features = {}
        for feature, name in self.outputs.items():
            value = tf.cast(found[name], tf.float32)
            value = tf.reduce_mean(value, axis=tf.range(1, tf.rank(value) - 1))
            features[feature] = tf.ensure_shape(value, [None, dims[feature]])
        return features

    def _run_on_small_input(self, settings: Settings) -> dict[str, tf.Tensor]:
        error: Exception | None = None
        for shape in _small_shapes(self.modality, settings):
            if self.spec.shape.rank is not None:
                known = zip(self.spec.shape.as_list(), shape, strict=True)
                shape = [other if one is None else one for one, other in known]
            inputs = (
                tf.fill(shape, "a") if self.modality == TEXT else tf.zeros(shape, self.spec.dtype)
            )
            try:
                return self._function(**{self._key: inputs})
            # The error for too small an input depends on the operation.
            except (tf.errors.OpError, ValueError) as failure:
                error = failure
        raise ValueError(f"The module can't run its signature {self.modality}: {_reason(error)}")


def _small_shapes(modality: str, settings: Settings) -> list[list[int]]:
    """Return input shapes to try, cheapest first."""
    frames, size = settings.num_frames or 32, settings.size or 224
    rate = settings.sample_rate or 48_000
    return {
        VIDEO: [[1, 8, 64, 64, 3], [1, frames, size, size, 3]],
        IMAGE: [[1, 64, 64, 3], [1, size, size, 3]],
        AUDIO: [[1, rate], [1, 4 * rate]],
        TEXT: [[1]],
    }[modality]


def _load(folder: pathlib.Path, tags: list[str] | None) -> Any:
    logger = tf.get_logger()
    level = logger.level
    # TF1 modules hold variables that can't be trained, and TensorFlow warns about each.
    logger.setLevel("ERROR")
    try:
        return tf.saved_model.load(str(folder), tags=tags)
    # TensorFlow may raise any error on a damaged folder.
    except Exception as error:
        raise ValueError(
            f"{folder} can't be loaded ({_reason(error)}); download the module again."
        ) from error
    finally:
        logger.setLevel(level)


def _reason(error: Exception | None) -> str:
    """Return a TensorFlow error in one line."""
    text = str(error).strip()
    assertion = _ASSERTION.search(text)
    if assertion:
        return assertion[1]
    lines = [line for line in text.splitlines() if line.strip() and not _PLACE.match(line)]
    return lines[0] if lines else type(error).__name__
