# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Embeds files, sentences and arrays with any network, as NumPy."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import tensorflow as tf

from mmv_tf.data.reading.value_checks import check_windows, faulty_rows
from mmv_tf.inference import network as network_lib
from mmv_tf.inference.network import (
    AUDIO,
    END,
    IMAGE,
    ITEM,
    LOG_MEL,
    SETTINGS,
    START,
    TEXT,
    VIDEO,
    WORD_IDS,
    Network,
    Settings,
)
from mmv_tf.inference.windows import Windows

Path: TypeAlias = str | os.PathLike[str]
Embeddings: TypeAlias = dict[str, np.ndarray]

# Ours: windows of a file whose mean is its embedding; as many as MMV's published evaluation of
# UCF101 takes.
WINDOWS = 10
# Ours: clips that a static picture is repeated to, at once; each is as large as a video's.
_STATIC_CLIPS = 4
_CHANNELS = {VIDEO: 3, IMAGE: 3, LOG_MEL: 1}
DEFLATED, STATIC_CLIP = "deflated network", "static clip"


class Encoder:
    """Embeds videos, images, sounds and sentences with one network.

    Every `embed_...` takes a list of paths (of sentences for text), a single one, or an array, and
    gives {"before_head" where the network has one, space: float32 [N, D]}, not normalised; compare
    two such results with `similarity`. Make one with `mmv_tf.load_encoder`.

    Args:
      network: the network.
      source: where it came from, for messages.

    Attributes:
      network, source: as given.
    """

    def __init__(self, network: Network, source: str = "The network"):
        self.network = network
        self.source = source

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it embeds, of "video", "image", "audio" and "text"."""
        given = self.network.modalities
        static = (IMAGE,) if VIDEO in given and IMAGE not in given else ()
        return (*given, *static)

    @property
    def accepts(self) -> tuple[str, ...]:
        """Those of `modalities` that it embeds from media and sentences.

        Left out are text for a network without a tokenizer, and audio for one without log-mel
        settings or a sample rate: they take word ids and log-mels as arrays.
        """
        return tuple(name for name in self.modalities if self.refusal(name) is None)

    def refusal(self, modality: str) -> str | None:
        """The reason why media or sentences of a modality can't be embedded; None if they can."""
        try:
            self.network.check_input(self.embedded_as(modality))
            if modality == AUDIO:
                self.require(["sample_rate"], "sounds can't be read for it")
        except ValueError as error:
            return str(error)
        return None

    def require(self, names: Iterable[str], consequence: str) -> None:
        """Checks that the network tells some settings.

        Args:
          names: fields of `Settings`.
          consequence: of their lack, for the message.

        Raises:
          ValueError: it does not; the message says how to give them.
        """
        missing = [name for name in names if not getattr(self.settings, name)]
        if missing:
            given = ", ".join(f'"{name}": ...' for name in missing)
            flags = " ".join(f"--settings.{name}=VALUE" for name in missing)
            raise ValueError(
                f"{self.source} does not tell its {', '.join(missing)}, so {consequence}; give "
                f"them: load_encoder(..., settings={{{given}}}), or {flags}."
            )

    @property
    def settings(self) -> Settings:
        """How the network was trained to see and hear."""
        return self.network.settings

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 that tells networks, and one network's precisions, apart."""
        return self.network.fingerprint

    @property
    def image_by(self) -> str | None:
        """What embeds images: "deflated network", "static clip", or None for nothing."""
        if IMAGE in self.network.modalities:
            return DEFLATED
        return STATIC_CLIP if VIDEO in self.network.modalities else None

    def spaces(self, modality: str) -> tuple[str, ...]:
        """The spaces that a modality reaches, finest first.

        Raises:
          ValueError: the network does not take it.
        """
        return self.network.spaces(self.embedded_as(modality))

    def common_space(self, first: str, second: str) -> str:
        """The space in which two modalities are compared, the finer one where there are two.

        Raises:
          ValueError: there is none.
        """
        return self.network.common_space(self.embedded_as(first), self.embedded_as(second))

    def windows(self, step_frames: int | None = None, modality: str = VIDEO) -> Windows:
        """How files are cut for the network, windows by default half a window apart.

        Args:
          step_frames: from one window to the next.
          modality: what the windows are of, "video" or "audio".

        Raises:
          ValueError: the network does not tell how it sees videos, or hears.
        """
        settings = self.settings
        needed = ["num_frames", "frame_rate", "sample_rate" if modality == AUDIO else "size"]
        self.require(needed, "files can't be cut for it")
        frames: Any = settings.num_frames
        return Windows(
            num_frames=int(frames),
            frame_rate=float(settings.frame_rate or 0),
            size=int(settings.size or 0),
            square_crop=settings.square_crop,
            step_frames=max(1, frames // 2) if step_frames is None else step_frames,
            sample_rate=int(settings.sample_rate or 0),
        )

    def embed_video(
        self,
        videos: Path | Sequence[Path] | np.ndarray,
        *,
        windows: int = WINDOWS,
        per_window: bool = False,
    ) -> Embeddings:
        """Embeds videos.

        Args:
          videos: paths; or clips, float [N, T, H, W, 3] in [0, 1] or uint8.
          windows: of a file at most, evenly spaced and at least half a window apart; the file's
            embedding is their mean.
          per_window: for files, a row a window instead, and what it is of: "item" (index of the
            file), "start" and "end" (seconds).

        Raises:
          ValueError: a file can't be decoded (a `MediaError`), an array is not what is expected, or
            the network takes no videos.
        """
        self.network.check_input(VIDEO)
        if _is_array(videos):
            return self._array(VIDEO, np.asarray(videos), 5)
        cut, most = self.windows(), _positive(windows)
        return self._files(
            VIDEO,
            _paths(videos),
            lambda path: _reading().span_clips(path, cut, most=most),
            cut,
            per_window,
        )

    def embed_audio(
        self,
        sounds: Path | Sequence[Path] | np.ndarray,
        *,
        windows: int = WINDOWS,
        per_window: bool = False,
    ) -> Embeddings:
        """Embeds sounds.

        Args:
          sounds: paths of sounds, or of videos with sound; or waveforms at `settings.sample_rate`,
            float [N, samples] in [-1, 1]; or, for networks of ours, log-mel [N, frames, bins] or
            [N, frames, bins, 1].
          windows, per_window: as for `embed_video`; windows are as long as a clip.

        Raises:
          ValueError: as for `embed_video`.
        """
        if _is_array(sounds):
            array = np.asarray(sounds)
            if array.ndim == 3:
                array = array[..., np.newaxis]
            kind, rank = (LOG_MEL, 4) if array.ndim == 4 else (AUDIO, 2)
            return self._array(kind, array, rank)
        self.network.check_input(AUDIO)
        cut, most = self.windows(modality=AUDIO), _positive(windows)
        return self._files(
            AUDIO,
            _paths(sounds),
            lambda path: _reading().span_sounds(path, cut, most=most),
            cut,
            per_window,
        )

    def embed_image(self, images: Path | Sequence[Path] | np.ndarray) -> Embeddings:
        """Embeds images, by the deflated network or else as clips that stand still: `image_by`.

        Args:
          images: paths; or float [N, H, W, 3] in [0, 1] or uint8.

        Raises:
          ValueError: as for `embed_video`.
        """
        if self.image_by is None:
            self.network.check_input(IMAGE)
        if _is_array(images):
            return self._images(_checked(IMAGE, np.asarray(images), 4))
        cut = self.windows() if VIDEO in self.modalities else self._picture_windows()
        paths = _paths(images)
        read = _ahead(lambda path: _reading().picture(path, cut, path), paths)
        parts = [self._images(np.stack(some)) for some in _groups(read, network_lib.BATCH)]
        if not parts:
            return self._images(np.zeros([0, cut.size, cut.size, 3], np.uint8))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def embed_text(
        self, sentences: str | Sequence[str] | np.ndarray, *, allow_unknown: bool = False
    ) -> Embeddings:
        """Embeds sentences.

        Args:
          sentences: strings; or word ids, int [N, words].
          allow_unknown: take sentences without a word that the network knows, too; they all get
            the same embedding.

        Raises:
          ValueError: the network takes no sentences, or knows no word of one.
        """
        if not isinstance(sentences, str | bytes):
            sentences = _as_list_or_ids(sentences)
        if isinstance(sentences, np.ndarray):
            self.network.check_input(WORD_IDS)
            return self.network.run(WORD_IDS, _checked(WORD_IDS, sentences, 2))
        self.network.check_input(TEXT)
        texts = _texts([sentences] if isinstance(sentences, str | bytes) else sentences)
        if not allow_unknown:
            self._refuse_unknown(texts)
        return self.network.run(TEXT, np.array(texts, object))

    @staticmethod
    def similarity(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> np.ndarray:
        """Cosines between two results, float32 [N, M], in the finest space that both have.

        Raises:
          ValueError: they share no space.
        """
        return network_lib.similarity(first, second)

    def embedded_as(self, modality: str) -> str:
        """The modality whose tower embeds another: images without a deflated network are videos."""
        return VIDEO if modality == IMAGE and self.image_by == STATIC_CLIP else modality

    def _refuse_unknown(self, texts: Sequence[str]) -> None:
        known = self.network.known(texts) if texts else np.zeros([0], bool)
        mute = [text for text, there in zip(texts, known, strict=True) if not there]
        if mute:
            raise ValueError(
                f"The network knows none of the words in {mute[0][:80]!r} (small words don't "
                f"count), nor of {len(mute) - 1} more of {len(texts)} sentences; use other words, "
                "or allow_unknown."
                if len(mute) > 1
                else f"The network knows none of the words in {mute[0][:80]!r} (small words don't "
                "count); use other words."
            )

    def _array(self, kind: str, array: np.ndarray, rank: int) -> Embeddings:
        return _told(self.network.run(kind, _checked(kind, array, rank)))

    def _images(self, images: np.ndarray) -> Embeddings:
        if self.image_by == DEFLATED:
            return _told(self.network.run(IMAGE, images))
        self.require(["num_frames"], "images can't be made clips for it")
        frames: Any = self.settings.num_frames
        parts = [
            self.network.run(
                VIDEO, np.repeat(images[at : at + _STATIC_CLIPS, None], frames, axis=1)
            )
            for at in range(0, max(len(images), 1), _STATIC_CLIPS)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _picture_windows(self) -> Windows:
        """For a network of images alone."""
        self.require(["size"], "images can't be cut for it")
        return Windows(1, 1.0, cast(int, self.settings.size), self.settings.square_crop, 1, 0)

    def _files(
        self,
        kind: str,
        paths: list[str],
        read: Callable[[str], tuple[np.ndarray, np.ndarray]],
        cut: Windows,
        per_window: bool,
    ) -> Embeddings:
        """Embeds the windows of files, those of short files in common batches."""
        parts: list[Embeddings] = []
        starts: list[np.ndarray] = []
        for group in _groups(_ahead(read, paths), network_lib.BATCH, lambda item: len(item[1])):
            parts.append(_told(self.network.run(kind, np.concatenate([item[0] for item in group]))))
            starts += [item[1] for item in group]
        if not parts:
            dims = self.network.dims(kind)
            parts = [_told({name: np.zeros([0, dim], np.float32) for name, dim in dims.items()})]
        rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        items = np.repeat(np.arange(len(paths)), [len(one) for one in starts])
        if not per_window:
            counts = np.bincount(items, minlength=len(paths))[:, np.newaxis].astype(np.float32)
            return {name: _sums(value, items, len(paths)) / counts for name, value in rows.items()}
        begins = np.concatenate(starts) if starts else np.zeros([0])
        return {**rows, ITEM: items, START: begins, END: begins + cut.seconds}


def with_settings(settings: Settings, changes: Mapping[str, Any] | None) -> Settings:
    """Settings with some replaced by hand.

    Raises:
      ValueError: for an unknown name or a wrong value.
    """
    changes = dict(changes or {})
    for name, value in changes.items():
        if name not in SETTINGS:
            raise ValueError(f"There is no setting {name!r}; they are {', '.join(SETTINGS)}.")
        kind = SETTINGS[name]
        right = isinstance(value, bool) == (kind is bool) and isinstance(value, numbers.Real)
        if not right or (kind is not bool and not value > 0) or kind(value) != value:
            expected = {bool: "True or False", int: "a whole number above 0"}.get(
                kind, "a number above 0"
            )
            raise ValueError(f"The setting {name} is {value!r}; expected {expected}.")
        changes[name] = kind(value)
    return dataclasses.replace(settings, **changes)


def _told(features: Embeddings) -> Embeddings:
    """The features without "last_conv", which is "before_head" once more or an inner map's mean."""
    return {name: value for name, value in features.items() if name != "last_conv"}


def _sums(values: np.ndarray, items: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros([count, values.shape[1]], np.float32)
    np.add.at(sums, items, values)
    return sums


def _is_array(values: Any) -> bool:
    if isinstance(values, np.ndarray):
        return values.dtype.kind not in "OSU"
    return tf.is_tensor(values)


def _positive(windows: int) -> int:
    if windows < 1:
        raise ValueError(f"windows is {windows}; expected 1 or more.")
    return windows


def _paths(paths: Path | Iterable[Path]) -> list[str]:
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    try:
        return [os.fsdecode(path) for path in paths]
    except TypeError as error:
        raise ValueError(
            f"Got {error.args[0].rpartition(' ')[2]} among the paths; give a list of paths, or one "
            "array (numpy.stack makes one of several)."
        ) from error


def _as_list_or_ids(sentences: Any) -> list[Any] | np.ndarray:
    """Word ids as an array, anything else as a list."""
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
                "Got lists in place of sentences; expected strings, or word ids, integers "
                "[N, words] with equally many in each row."
            )
        return ids
    return values


def _texts(sentences: Iterable[Any]) -> list[str]:
    """Strings; bytes are UTF-8.

    Raises:
      ValueError: something else, or no Unicode.
    """
    texts = []
    for sentence in sentences:
        if not isinstance(sentence, str | bytes):
            raise ValueError(f"Got {sentence!r:.80} in place of a sentence; expected a string.")
        try:
            text = sentence.decode() if isinstance(sentence, bytes) else sentence
            text.encode()
        except UnicodeError as error:
            raise ValueError(f"The sentence {sentence!r:.80} is not UTF-8 ({error}).") from error
        texts.append(text)
    return texts


def _checked(kind: str, array: np.ndarray, rank: int) -> np.ndarray:
    """An input array, floats as float32.

    Raises:
      ValueError: for another rank, dtype or range, or values that are not finite.
    """
    if array.ndim != rank:
        raise ValueError(
            f"The {kind} has shape {array.shape}; expected {rank} dimensions, the first for the "
            "batch."
        )
    channels = _CHANNELS.get(kind)
    if channels not in (None, array.shape[-1]) or 0 in array.shape[1:]:
        last = "" if channels is None else f" and {channels} in the last one"
        raise ValueError(f"The {kind} has shape {array.shape}; expected no empty axis{last}.")
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
                    f"Row {piece.start + int(np.argmax(faulty))} of the {kind} is not what the "
                    f"network takes; expected {expected}."
                )
    return array if kind == WORD_IDS else np.asarray(array, np.float32)


def _ahead(read: Callable[[str], Any], paths: Sequence[str]) -> Iterator[Any]:
    """What `read` gives for each path, one path read ahead on a thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting: list[concurrent.futures.Future[Any]] = []
        for path in paths:
            waiting.append(pool.submit(read, path))
            if len(waiting) > 1:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _groups(
    items: Iterable[Any], least: int, size: Callable[[Any], int] = lambda item: 1
) -> Iterator[list[Any]]:
    """Lists of successive items, closed once their sizes reach `least`."""
    group: list[Any] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        if total >= least:
            yield group
            group, total = [], 0
    if group:
        yield group


def _reading() -> Any:
    """The module that decodes files; `import mmv_tf` does without PyAV, which takes its time."""
    from mmv_tf.inference import reading

    return reading
