# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Common interface to the models that embed media; runs them in batches."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.layers.word_tokenizer import ENGLISH_STOP_WORDS

# Kinds of input. Backbones take LOG_MEL and WORD_IDS; users supply AUDIO and TEXT.
VIDEO, IMAGE, AUDIO, TEXT, LOG_MEL, WORD_IDS = KINDS = (
    "video", "image", "audio", "text", "log_mel", "word_ids",
)  # fmt: skip
# Features that are not spaces for comparing modalities.
REPRESENTATIONS = ("before_head", "last_conv")
# Keys for the origin of each row in an encoder's result.
ITEM, START, END = "item", "start", "end"
NOT_SPACES = (*REPRESENTATIONS, ITEM, START, END)
MODALITY_OF = {LOG_MEL: AUDIO, WORD_IDS: TEXT}
# Modality -> input kind of its backbone.
BACKBONE_KINDS = {VIDEO: VIDEO, AUDIO: LOG_MEL, TEXT: WORD_IDS}

# Engines that run a model.
TENSORFLOW, OPENVINO = ENGINES = ("tensorflow", "openvino")

# Ours: inputs per call. A smaller remainder is cut into powers of two: no padding is wasted,
# and a runtime that prepares kernels by batch size sees only a few sizes.
BATCH = 16
_BATCH_TEXT = 256  # ours
# Ours: number of frame sizes or lengths per kind with their own trace; others share a general one.
_MOST_SHAPES = 4
_FREE: dict[str, list[int | None]] = {
    VIDEO: [None, None, None, None, 3],
    IMAGE: [None, None, None, 3],
    AUDIO: [None, None],
    TEXT: [None],
    LOG_MEL: [None, None, None, 1],
    WORD_IDS: [None, None],
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Video and audio settings that a model was trained with; None where unknown.

    Attributes:
      num_frames: frames in a clip.
      frame_rate: frame rate of a clip, in Hz.
      size: height and width of a frame, in pixels.
      square_crop: crop wide frames at the sides instead of squeezing them.
      sample_rate: sample rate of waveforms, in Hz; None if there is no audio backbone.
    """

    num_frames: int | None = None
    frame_rate: float | None = None
    size: int | None = None
    square_crop: bool = True
    sample_rate: int | None = None


# Setting name -> type of its value.
SETTINGS: dict[str, type] = {
    "num_frames": int,
    "frame_rate": float,
    "size": int,
    "square_crop": bool,
    "sample_rate": int,
}


def with_settings(settings: Settings, changes: Mapping[str, Any] | None) -> Settings:
    """Return settings with some values replaced.

    Raises:
      ValueError: a name is unknown or a value is invalid.
    """
    changes = dict(changes or {})
    for name, value in changes.items():
        if name not in SETTINGS:
            raise ValueError(f"There is no setting {name!r}; use one of {', '.join(SETTINGS)}.")
        kind = SETTINGS[name]
        right = isinstance(value, bool) == (kind is bool) and isinstance(value, numbers.Real)
        if not right or (kind is not bool and not value > 0) or kind(value) != value:
            expected = {bool: "True or False", int: "a whole number above 0"}.get(
                kind, "a number above 0"
            )
            raise ValueError(f"The setting {name} is {value!r}; expected {expected}.")
        changes[name] = kind(value)
    return dataclasses.replace(settings, **changes)


class Network(abc.ABC):
    """A trained model: its modalities, its spaces, and a function from inputs to embeddings.

    Attributes:
      modalities: supported modalities: any of "video", "image", "audio" and "text".
      settings: see `Settings`.
    """

    modalities: tuple[str, ...]
    settings: Settings

    def __init__(self) -> None:
        self._functions: dict[tuple[str, tf.DType, tuple[int | None, ...]], Callable[..., Any]] = {}

    @abc.abstractmethod
    def dims(self, modality: str) -> dict[str, int]:
        """Return the sizes of a modality's features.

        Features are "before_head", "last_conv" if there is one, and the spaces, finest first.
        """

    @abc.abstractmethod
    def compute(self, kind: str, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the features of a batch, float32 [B, dim] each. Can be traced.

        Args:
          kind: one of `KINDS`.
          inputs: video float32 [B, T, H, W, 3] in [0, 1], image float32 [B, H, W, 3] in [0, 1],
            audio float32 [B, samples] in [-1, 1], text string [B], log_mel float32
            [B, frames, bins, 1], word_ids int32 [B, words].

        Raises:
          ValueError: the model does not accept this kind of input.
        """

    @abc.abstractmethod
    def known(self, sentences: Sequence[str]) -> np.ndarray:
        """Return whether each sentence has a word known to the model, booleans [N].

        The default is True for every sentence.
        """

    @property
    def stop_words(self) -> frozenset[str]:
        """Lowercase words that the model drops from sentences; English stop words if unknown."""
        return frozenset(ENGLISH_STOP_WORDS)

    @property
    @abc.abstractmethod
    def fingerprint(self) -> str:
        """The hexadecimal SHA-256 of everything that the model computes with."""

    @abc.abstractmethod
    def description(self) -> dict[str, Any]:
        """Class and number of parameters, for result files."""

    def spaces(self, modality: str) -> tuple[str, ...]:
        """Return the spaces that a modality is embedded in, finest first."""
        return tuple(name for name in self.dims(modality) if name not in REPRESENTATIONS)

    def check_input(self, kind: str) -> None:
        """Check that the model accepts a kind of input.

        Raises:
          ValueError: it does not; the message says what is accepted, or what is missing.
        """
        self.check_modality(MODALITY_OF.get(kind, kind))

    def check_modality(self, modality: str) -> None:
        """Check that the model embeds a modality, given the input of its backbone.

        Raises:
          ValueError: it does not; the message says what is accepted.
        """
        if modality not in self.modalities:
            raise ValueError(
                f"The model accepts {', '.join(self.modalities)}, not {modality}; use one that "
                f"was trained with {modality}."
            )

    def common_space(self, first: str, second: str) -> str:
        """Return the finest space in which two modalities can be compared.

        Raises:
          ValueError: the modalities share no space.
        """
        self.check_modality(first)
        self.check_modality(second)
        reached = self.spaces(second)
        for space in self.spaces(first):
            if space in reached:
                return space
        raise ValueError(f"This network can't compare {first} with {second}: they share no space.")

    def run(
        self, kind: str, inputs: np.ndarray | tf.Tensor, batch_size: int | None = None
    ) -> dict[str, np.ndarray]:
        """Compute the features of any number of inputs; each value is float32 [N, dim].

        Args:
          kind: one of `KINDS`.
          inputs: as for `compute`; pixels may also be uint8 from 0 to 255.
          batch_size: maximum number of inputs per call.

        Raises:
          ValueError: the model does not accept this input, or a feature is not finite.
        """
        self.check_input(kind)
        most = batch_size or (_BATCH_TEXT if kind in (TEXT, WORD_IDS) else BATCH)
        inputs = _as_text(inputs) if kind == TEXT else inputs
        function = self._function(kind, tf.as_dtype(inputs.dtype), tuple(inputs.shape[1:]))
        with interrupted():
            parts = [
                function(tf.convert_to_tensor(inputs[piece])) for piece in pieces(len(inputs), most)
            ]
        if not parts:
            return {
                name: np.zeros([0, dim], np.float32)
                for name, dim in self.dims(MODALITY_OF.get(kind, kind)).items()
            }
        found = {
            name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]
        }
        refuse_not_finite(kind, found)
        return found

    def run_windows(
        self, frames: np.ndarray, starts: Sequence[int], num_frames: int
    ) -> dict[str, np.ndarray]:
        """Return the features of one video's windows, float32 [W, dim] each.

        Subclasses may share the work of overlapping windows.

        Args:
          frames: uint8 or float32 [F, H, W, 3], as for `run`.
          starts: first frame of each window.
          num_frames: number of frames in a window.

        Raises:
          ValueError: as for `run`.
        """
        return self.run(VIDEO, np.stack([frames[start : start + num_frames] for start in starts]))

    def _function(self, kind: str, dtype: tf.DType, shape: tuple[int | None, ...]) -> Any:
        """Return a function traced once per frame size or audio length."""
        if kind == AUDIO:
            shape = (None,)
        traced = [one for one in self._functions if one[0] == kind]
        if (kind, dtype, shape) not in traced and len(traced) >= _MOST_SHAPES:
            shape = tuple(_FREE[kind][1:])
        key = kind, dtype, shape
        if key not in self._functions:

            def function(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
                return self.compute(kind, as_float32(inputs))

            spec = tf.TensorSpec([None, *shape], dtype)
            self._functions[key] = tf.function(function, autograph=False, input_signature=[spec])
        return self._functions[key]


def as_float32(pixels: tf.Tensor) -> tf.Tensor:
    """Return uint8 pixels as float32 in [0, 1]; leave other inputs unchanged."""
    return tf.cast(pixels, tf.float32) / 255.0 if pixels.dtype == tf.uint8 else pixels


def pieces(count: int, most: int) -> Iterator[slice]:
    """Yield slices of at most `most` rows; the remainder in powers of two, largest first."""
    start = 0
    while start < count:
        size = most if count - start >= most else 1 << ((count - start).bit_length() - 1)
        yield slice(start, start + size)
        start += size


def similarity(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return cosine similarities between two encoder results, in their finest common space.

    Args:
      first, second: space -> float [N, D] and [M, D].

    Returns:
      float32 [N, M].

    Raises:
      ValueError: the results share no space.
    """
    for space in first:
        if space in second and space not in NOT_SPACES:
            return unit(first[space]) @ unit(second[space]).T
    spaces = [
        ", ".join(name for name in one if name not in NOT_SPACES) or "none"
        for one in (first, second)
    ]
    raise ValueError(
        f"These results share no space to compare them in: one has {spaces[0]}, the other "
        f"{spaces[1]}."
    )


def refuse_not_finite(kind: str, features: Mapping[str, np.ndarray]) -> None:
    """Raise an error if a model's features of one kind of input are not finite.

    Raises:
      ValueError: one is not finite.
    """
    for name, values in features.items():
        if not np.isfinite(values).all():
            raise ValueError(
                f"The model's {kind}/{name} is not finite; the input may be too small, or the "
                "network is damaged."
            )


@contextlib.contextmanager
def interrupted() -> Iterator[None]:
    """Raise the KeyboardInterrupt that TensorFlow turned into its own error.

    A signal may arrive while its C++ code creates a Python error, which then names both.
    """
    try:
        yield
    except RuntimeError as error:
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error
        raise


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors [..., D] of length 1, float32; zero vectors stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)


def _as_text(sentences: Any) -> np.ndarray:
    """Return strings as an array of UTF-8 bytes for TensorFlow."""
    encode = [text if isinstance(text, bytes) else str(text).encode() for text in sentences]
    return np.array(encode, object)
