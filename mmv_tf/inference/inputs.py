# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks the arrays, paths and sentences that an encoder accepts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from mmv_tf.data.reading.value_checks import check_windows, faulty_rows
from mmv_tf.inference import network as network_lib
from mmv_tf.inference.network import AUDIO, IMAGE, LOG_MEL, VIDEO, WORD_IDS

Path: TypeAlias = str | os.PathLike[str]

_CHANNELS = {VIDEO: 3, IMAGE: 3, LOG_MEL: 1}


def is_array(values: Any) -> bool:
    """Return whether a value is an array or tensor of numbers."""
    if isinstance(values, np.ndarray):
        return values.dtype.kind not in "OSU"
    return tf.is_tensor(values)


def checked_count(windows: int) -> int:
    """Return a number of windows after checking that it is at least 1."""
    if windows < 1:
        raise ValueError(f"windows is {windows}; expected 1 or more.")
    return windows


def path_list(paths: Path | Iterable[Path]) -> list[str]:
    """Return one or several paths as a list of strings."""
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    try:
        return [os.fsdecode(path) for path in paths]
    except TypeError as error:
        raise ValueError(
            f"Got {error.args[0].rpartition(' ')[2]} among the paths; pass a list of paths, or one "
            "array (numpy.stack joins several)."
        ) from error


def list_or_ids(sentences: Any) -> list[Any] | np.ndarray:
    """Return word ids as an array, anything else as a list."""
    if tf.is_tensor(sentences):
        sentences = sentences.numpy()
    if isinstance(sentences, np.ndarray) and sentences.dtype.kind in "iu":
        return sentences
    values = list(sentences)
    if values and all(isinstance(value, list | tuple | np.ndarray) for value in values):
        try:
            ids = np.array(values)
        except ValueError:
            ids = np.empty([0])
        if ids.dtype.kind not in "iu":
            raise ValueError(
                "Got lists instead of sentences; expected strings, or word ids: integers "
                "[N, words], the same number in each row."
            )
        return ids
    return values


def strings(sentences: Iterable[Any]) -> list[str]:
    """Return strings, decoding bytes as UTF-8.

    Raises:
      ValueError: an item is neither, or is not valid Unicode.
    """
    texts = []
    for sentence in sentences:
        if not isinstance(sentence, str | bytes):
            raise ValueError(f"Got {sentence!r:.80} instead of a sentence; expected a string.")
        try:
            text = sentence.decode() if isinstance(sentence, bytes) else sentence
            text.encode()
        except UnicodeError as error:
            raise ValueError(f"The sentence {sentence!r:.80} is not UTF-8 ({error}).") from error
        texts.append(text)
    return texts


def checked_array(kind: str, array: np.ndarray, rank: int) -> np.ndarray:
    """Return a checked input array, floats as float32.

    Raises:
      ValueError: rank, dtype or range is not as expected, or a value is not finite.
    """
    if array.ndim != rank:
        raise ValueError(
            f"The {kind} has shape {array.shape}; expected {rank} dimensions, starting with the "
            "batch."
        )
    channels = _CHANNELS.get(kind)
    if channels not in (None, array.shape[-1]) or 0 in array.shape[1:]:
        last = "" if channels is None else f", and a last dimension of {channels}"
        raise ValueError(
            f"The {kind} has shape {array.shape}; expected no dimension of size 0{last}."
        )
    if array.dtype == np.uint8 and kind in (VIDEO, IMAGE):
        return array
    if kind == AUDIO:
        check_windows(AUDIO, array)
    elif kind != WORD_IDS:
        if array.dtype.kind != "f":
            expected = "floats" if kind == LOG_MEL else "floats from 0 to 1, or uint8"
            raise ValueError(f"The {kind} is {array.dtype}; expected {expected}.")
        named = VIDEO if kind == IMAGE else AUDIO if kind == LOG_MEL else kind
        for piece in network_lib.pieces(len(array), network_lib.BATCH):
            rows = tf.convert_to_tensor(array[piece], tf.float32)
            faulty = faulty_rows(named, rows).numpy()
            if faulty.any():
                expected = "finite values" if kind == LOG_MEL else "finite values from 0 to 1"
                raise ValueError(
                    f"Row {piece.start + int(np.argmax(faulty))} of the {kind} has invalid "
                    f"values; expected {expected}."
                )
    return array if kind == WORD_IDS else np.asarray(array, np.float32)
