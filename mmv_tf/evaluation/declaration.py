# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classes for declaring protocols: views, classifiers, published results."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import ml_collections

from mmv_tf.evaluation.listing import Listing, read_listing
from mmv_tf.util.configuration import override
from mmv_tf.util.registry import Registry

Declared = TypeVar("Declared")
_Arguments = ParamSpec("_Arguments")
# Reader names in result files, where they differ from those of the data sets.
_FIRST_READERS = {"kinetics600": "kinetics", "esc50": "esc"}


@dataclasses.dataclass(frozen=True)
class VideoViews:
    """Windows of a video that the model embeds.

    Attributes:
      windows: windows per video.
      num_frames, frame_rate: number of frames per window, and frames per second.
      short_side: size in pixels to which the shorter side of a frame is scaled.
      size: side of the square crop, in pixels.
      random: whether windows and crops are at random positions and randomly mirrored; otherwise
        windows are evenly spaced from start to end, and crops are centered.
    """

    windows: int
    num_frames: int
    frame_rate: float
    short_side: int
    size: int
    random: bool = False


@dataclasses.dataclass(frozen=True)
class AudioViews:
    """Windows of audio that the model embeds.

    Attributes:
      windows: windows per audio file.
      seconds: window duration. Shorter audio is repeated.
      random: whether windows are at random positions; otherwise they are evenly spaced.
    """

    windows: int
    seconds: float
    random: bool = False


@dataclasses.dataclass(frozen=True)
class ImageViews:
    """A view of an image: scaled by its shorter side and center-cropped."""

    short_side: int
    size: int


Views = VideoViews | AudioViews | ImageViews


@dataclasses.dataclass(frozen=True)
class LinearSVMClassifier:
    """One linear SVM per class, on standardized features; each window is a training row.

    Attributes:
      grid: values of C to select from on held-out training groups.
      fixed_C: published value for each feature size; used with `--C=published`.
    """

    grid: tuple[float, ...]
    fixed_C: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class MLPClassifier:
    """A perceptron on standardized features, trained by Adam with a cosine schedule.

    Attributes:
      hidden: sizes of the hidden layers; empty for a linear classifier.
      epochs, batch_size, learning_rate, weight_decay, dropout: training settings.
    """

    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    dropout: float = 0.0


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """Trains the whole backbone with a new linear layer on top.

    Attributes:
      epochs, batch_size, learning_rate, warmup_epochs, weight_decay: settings for AdamW with a
        half-cosine schedule.
      dropout: dropout before the new layer.
      label_smoothing: target smoothing.
      mixup: parameter of the beta distribution for mixing pairs of spectrograms; 0 to disable.
      mask_share: maximum masked fraction of a spectrogram's bins and frames.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_epochs: float
    weight_decay: float
    dropout: float
    label_smoothing: float = 0.0
    mixup: float = 0.0
    mask_share: float = 0.0


@dataclasses.dataclass(frozen=True)
class ZeroShot:
    """Compares items with class names, without training.

    Attributes:
      templates: sentences with "{}" for the class name; their embeddings are averaged.
      allow_unknown: accept classes without any word known to the model, although it can't
        distinguish them.
      names: wording for names that can't be split at underscores or capitals.
    """

    templates: tuple[str, ...] = ("{}",)
    allow_unknown: bool = False
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Reported:
    """A published result, in the metric's unit (fractions, not percent)."""

    metric: str
    network: str
    value: float
    where: str


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark: its data, and every choice that affects its results.

    Attributes:
      name, version: identify the meaning of results; every change increments the version.
      data: required content of the data folder.
      data_set: data set with the published lists, by its name in `mmv_tf.data.datasets.DATA_SETS`.
      splits: official divisions or folds; the headline metric is their mean.
      modality: "video", "audio" or "image" (the deflated model).
      feature: "before_head", "last_conv" (averaged over the map), or "space" (for retrieval: the
        common space of the two modalities).
      train_views, test_views: views of the items; a test item's scores are averaged over windows.
      classifier: classifier for the features; None for retrieval.
      metric: headline metric: "top_1", "mAP" or "R@10".
      average_precision_points: see `classification_metrics.average_precision`.
      tie_rule: rule for equal scores.
      sources: choice -> its source ("ours" where nothing was published).
      reported: published results.
    """

    name: str
    version: int
    data: str
    data_set: str
    splits: tuple[str, ...]
    modality: str
    feature: str
    test_views: Views
    metric: str
    sources: Mapping[str, str]
    train_views: Views | None = None
    classifier: LinearSVMClassifier | MLPClassifier | FineTuning | ZeroShot | None = None
    average_precision_points: int = 0
    tie_rule: str = "ties count against"
    reported: tuple[Reported, ...] = ()

    def read_list(self, data: pathlib.Path, lists: pathlib.Path | None, division: str) -> Listing:
        """Read one division of the published lists; see `read_listing`."""
        trained = not isinstance(self.classifier, ZeroShot)
        return read_listing(self.data_set, data, lists, division, trained)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the result file."""
        plain = dataclasses.asdict(self)
        # Key, value and position are those of the first result files.
        plain = {"read_list" if key == "data_set" else key: plain[key] for key in plain}
        plain["read_list"] = f"read_{_FIRST_READERS.get(self.data_set, self.data_set)}"
        plain["classifier_kind"] = type(self.classifier).__name__ if self.classifier else None
        return plain


BENCHMARKS: Registry[Benchmark] = Registry("protocol")


def _registered(make: Callable[_Arguments, Benchmark]) -> Callable[_Arguments, Benchmark]:
    def declare(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Benchmark:
        """Create a `Benchmark` and register it under its name."""
        benchmark = make(*args, **kwargs)
        return BENCHMARKS.register(benchmark.name)(benchmark)

    return declare


declare = _registered(Benchmark)


def changed(declared: Declared, settings: Sequence[str]) -> Declared:
    """Return a protocol with changed settings, which its results record.

    Args:
      declared: the protocol, a dataclass. Numbers, strings and tuples in it and in nested
        dataclasses can be changed.
      settings: "test_views.windows=4", "splits=('1',)".

    Raises:
      ValueError: a setting is unknown, or a value has an unexpected type.
    """
    return _with(declared, override(_settings(declared), settings, "protocol"))


def _settings(declared: Any) -> ml_collections.ConfigDict:
    found = ml_collections.ConfigDict()
    for field in dataclasses.fields(declared):
        value = getattr(declared, field.name)
        if dataclasses.is_dataclass(value):
            found[field.name] = _settings(value)
        elif isinstance(value, bool | int | float | str | tuple):
            found[field.name] = value
    return found


def _with(declared: Any, settings: ml_collections.ConfigDict) -> Any:
    return dataclasses.replace(
        declared,
        **{
            name: _with(getattr(declared, name), value)
            if isinstance(value, ml_collections.ConfigDict)
            else value
            for name, value in settings.items()
        },
    )
