# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Encoder: embeds files, sentences and arrays with any model, and returns NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from mmv_tf.inference import network as network_lib
from mmv_tf.inference.inputs import (
    Path,
    checked_array,
    checked_count,
    is_array,
    list_or_ids,
    path_list,
    strings,
)
from mmv_tf.inference.network import (
    AUDIO,
    END,
    IMAGE,
    ITEM,
    LOG_MEL,
    START,
    TEXT,
    VIDEO,
    WORD_IDS,
    Network,
    Settings,
)
from mmv_tf.inference.windows import Windows
from mmv_tf.util.read_ahead import read_ahead

Embeddings: TypeAlias = dict[str, np.ndarray]

# Ours: windows per file, averaged into its embedding as in MMV's published evaluation of UCF101.
WINDOWS = 10
# Ours: images per call as static clips; each static clip is as large as a video's clip.
_STATIC_CLIPS = 4
DEFLATED, STATIC_CLIP = "deflated network", "static clip"


class Encoder:
    """Embed videos, images, audio and sentences with one model.

    Every `embed_...` method accepts a list of paths (or sentences), a single path or sentence, or
    an array. It returns {"before_head" if the model has one, space: float32 [N, D]}; rows are not
    normalized. Compare two such results with `similarity`. Create one with `mmv_tf.load_encoder`.

    Args:
      network: the model to run.
      source: where the model came from, for messages.

    Attributes:
      network, source: as given.
    """

    def __init__(self, network: Network, source: str = "The model"):
        self.network = network
        self.source = source

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that the model embeds: any of "video", "image", "audio" and "text"."""
        given = self.network.modalities
        static = (IMAGE,) if VIDEO in given and IMAGE not in given else ()
        return (*given, *static)

    @property
    def accepts(self) -> tuple[str, ...]:
        """Modalities that the model embeds from media files and sentences.

        Excludes text if the model has no tokenizer, and audio if it has no log-mel settings or
        sample rate; such models accept word ids and log-mels as arrays.
        """
        return tuple(name for name in self.modalities if self.refusal(name) is None)

    def refusal(self, modality: str) -> str | None:
        """Return why media or sentences of a modality can't be embedded, or None if they can."""
        try:
            self.network.check_input(self.embedded_as(modality))
            if modality == AUDIO:
                self.require(["sample_rate"], "it can't read audio")
        except ValueError as error:
            return str(error)
        return None

    def require(self, names: Iterable[str], consequence: str) -> None:
        """Check that the model has the given settings.

        Args:
          names: fields of `Settings`.
          consequence: what a missing setting makes impossible, for the message.

        Raises:
          ValueError: a setting is missing; the message says how to supply it.
        """
        missing = [name for name in names if not getattr(self.settings, name)]
        if missing:
            given = ", ".join(f'"{name}": ...' for name in missing)
            flags = " ".join(f"--settings.{name}=VALUE" for name in missing)
            raise ValueError(
                f"{self.source} does not specify {', '.join(missing)}, so {consequence}; pass "
                f"load_encoder(..., settings={{{given}}}), or {flags}."
            )

    @property
    def settings(self) -> Settings:
        """Video and audio settings that the model was trained with."""
        return self.network.settings

    @property
    def fingerprint(self) -> str:
        """A hexadecimal SHA-256 that differs between models and between precisions of a model."""
        return self.network.fingerprint

    @property
    def image_by(self) -> str | None:
        """The way to embed images: "deflated network", "static clip", or None if there is none."""
        if IMAGE in self.network.modalities:
            return DEFLATED
        return STATIC_CLIP if VIDEO in self.network.modalities else None

    def spaces(self, modality: str) -> tuple[str, ...]:
        """Return the spaces that a modality is embedded in, finest first.

        Raises:
          ValueError: the model does not accept this modality.
        """
        return self.network.spaces(self.embedded_as(modality))

    def common_space(self, first: str, second: str) -> str:
        """Return the finest space in which two modalities can be compared.

        Raises:
          ValueError: the modalities share no space.
        """
        return self.network.common_space(self.embedded_as(first), self.embedded_as(second))

    def windows(self, step_frames: int | None = None, modality: str = VIDEO) -> Windows:
        """Return the windows into which files are cut, by default half a window apart.

        Args:
          step_frames: frames from the start of one window to the start of the next.
          modality: "video" or "audio".

        Raises:
          ValueError: the model lacks a required setting.
        """
        settings = self.settings
        needed = ["num_frames", "frame_rate", "sample_rate" if modality == AUDIO else "size"]
        self.require(needed, "it can't cut files into windows")
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
        """Embed videos.

        Args:
          videos: paths, or clips, float [N, T, H, W, 3] in [0, 1] or uint8.
          windows: maximum number of windows per file, evenly spaced and at least half a window
            apart; the file's embedding is their mean.
          per_window: for files, return one row per window, and its origin: "item" (index of the
            file), "start" and "end" (seconds).

        Raises:
          ValueError: a file can't be decoded (a `MediaError`), an array is not as expected, or the
            model has no video input.
        """
        self.network.check_input(VIDEO)
        if is_array(videos):
            return self._array(VIDEO, np.asarray(videos), 5)
        cut, most = self.windows(), checked_count(windows)
        return self._files(
            VIDEO,
            path_list(videos),
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
        """Embed audio.

        Args:
          sounds: paths of audio files or of videos with an audio track; or waveforms at
            `settings.sample_rate`, float [N, samples] in [-1, 1]; or, for mmv_tf models, log-mels
            [N, frames, bins] or [N, frames, bins, 1].
          windows, per_window: as for `embed_video`; windows are as long as a clip.

        Raises:
          ValueError: as for `embed_video`.
        """
        if is_array(sounds):
            array = np.asarray(sounds)
            if array.ndim == 3:
                array = array[..., np.newaxis]
            kind, rank = (LOG_MEL, 4) if array.ndim == 4 else (AUDIO, 2)
            return self._array(kind, array, rank)
        self.network.check_input(AUDIO)
        cut, most = self.windows(modality=AUDIO), checked_count(windows)
        return self._files(
            AUDIO,
            path_list(sounds),
            lambda path: _reading().span_sounds(path, cut, most=most),
            cut,
            per_window,
        )

    def embed_image(self, images: Path | Sequence[Path] | np.ndarray) -> Embeddings:
        """Embed images with the deflated model, or else as static clips: see `image_by`.

        Args:
          images: paths, or float [N, H, W, 3] in [0, 1] or uint8.

        Raises:
          ValueError: as for `embed_video`.
        """
        if self.image_by is None:
            self.network.check_input(IMAGE)
        if is_array(images):
            return self._images(checked_array(IMAGE, np.asarray(images), 4))
        cut = self.windows() if VIDEO in self.modalities else self._picture_windows()
        paths = path_list(images)
        read = read_ahead(lambda path: _reading().picture(path, cut, path), paths, 1)
        parts = [self._images(np.stack(some)) for some in _groups(read, network_lib.BATCH)]
        if not parts:
            return self._images(np.zeros([0, cut.size, cut.size, 3], np.uint8))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def embed_text(
        self, sentences: str | Sequence[str] | np.ndarray, *, allow_unknown: bool = False
    ) -> Embeddings:
        """Embed sentences.

        Args:
          sentences: strings, or word ids, int [N, words].
          allow_unknown: also accept sentences that contain no word known to the model; they all
            get the same embedding.

        Raises:
          ValueError: the model has no text input, or knows none of a sentence's words.
        """
        if not isinstance(sentences, str | bytes):
            sentences = list_or_ids(sentences)
        if isinstance(sentences, np.ndarray):
            self.network.check_input(WORD_IDS)
            return self.network.run(WORD_IDS, checked_array(WORD_IDS, sentences, 2))
        self.network.check_input(TEXT)
        texts = strings([sentences] if isinstance(sentences, str | bytes) else sentences)
        if not allow_unknown:
            self._refuse_unknown(texts)
        return self.network.run(TEXT, np.array(texts, object))

    @staticmethod
    def similarity(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return cosine similarities of two results, float32 [N, M], in their finest common space.

        Raises:
          ValueError: the results share no space.
        """
        return network_lib.similarity(first, second)

    def embedded_as(self, modality: str) -> str:
        """Return the modality whose backbone embeds `modality`."""
        return VIDEO if modality == IMAGE and self.image_by == STATIC_CLIP else modality

    def _refuse_unknown(self, texts: Sequence[str]) -> None:
        known = self.network.known(texts) if texts else np.zeros([0], bool)
        mute = [text for text, there in zip(texts, known, strict=True) if not there]
        if mute:
            raise ValueError(
                f"The model knows none of the words in {mute[0][:80]!r} (stop words don't count), "
                f"nor any in {len(mute) - 1} more of the {len(texts)} sentences; use other words, "
                "or set allow_unknown."
                if len(mute) > 1
                else f"The model knows none of the words in {mute[0][:80]!r} (stop words don't "
                "count); use other words."
            )

    def _array(self, kind: str, array: np.ndarray, rank: int) -> Embeddings:
        return _told(self.network.run(kind, checked_array(kind, array, rank)))

    def _images(self, images: np.ndarray) -> Embeddings:
        if self.image_by == DEFLATED:
            return _told(self.network.run(IMAGE, images))
        self.require(["num_frames"], "it can't turn images into clips")
        frames: Any = self.settings.num_frames
        parts = [
            self.network.run(
                VIDEO, np.repeat(images[at : at + _STATIC_CLIPS, None], frames, axis=1)
            )
            for at in range(0, max(len(images), 1), _STATIC_CLIPS)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _picture_windows(self) -> Windows:
        """Return the window settings of an image-only model."""
        self.require(["size"], "it can't crop images")
        return Windows(1, 1.0, self.settings.size or 0, self.settings.square_crop, 1, 0)

    def _files(
        self,
        kind: str,
        paths: list[str],
        read: Callable[[str], tuple[np.ndarray, np.ndarray]],
        cut: Windows,
        per_window: bool,
    ) -> Embeddings:
        """Embed the windows of files; windows of short files share batches."""
        parts: list[Embeddings] = []
        starts: list[np.ndarray] = []
        for group in _groups(
            read_ahead(read, paths, 1), network_lib.BATCH, lambda item: len(item[1])
        ):
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


def _told(features: Embeddings) -> Embeddings:
    """Return the features without "last_conv", a repeated "before_head" or means of inner maps."""
    return {name: value for name, value in features.items() if name != "last_conv"}


def _sums(values: np.ndarray, items: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros([count, values.shape[1]], np.float32)
    np.add.at(sums, items, values)
    return sums


def _groups(
    items: Iterable[Any], least: int, size: Callable[[Any], int] = lambda item: 1
) -> Iterator[list[Any]]:
    """Yield lists of successive items; a list ends once its total size reaches `least`."""
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
    """Return the module that decodes files, imported at first use because PyAV imports slowly."""
    from mmv_tf.inference import reading

    return reading
