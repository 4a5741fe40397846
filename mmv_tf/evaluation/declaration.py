# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Declarations of protocols: views, classifiers, figures; `benchmarks` holds them."""

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
# What results files call the readers of data sets whose names differ.
_FIRST_READERS = {"kinetics600": "kinetics", "esc50": "esc"}


@dataclasses.dataclass(frozen=True)
class VideoViews:
    """Views of a video that the network sees.

    Attributes:
      windows: clips taken from each video.
      num_frames, frame_rate: of a clip; frames a second.
      short_side: pixels that the frames' shorter side is scaled to.
      size: pixels of the square crop.
      random: clips and crops at random places, mirrored or not; else clips spread evenly from the
        start to the end, and the middle of the picture.
    """

    windows: int
    num_frames: int
    frame_rate: float
    short_side: int
    size: int
    random: bool = False


@dataclasses.dataclass(frozen=True)
class AudioViews:
    """Views of audio that the network hears.

    Attributes:
      windows: taken from each sound.
      seconds: of a window. A shorter sound is repeated.
      random: windows at random places, else spread evenly.
    """

    windows: int
    seconds: float
    random: bool = False


@dataclasses.dataclass(frozen=True)
class ImageViews:
    """The view of an image: its short side scaled, the square in the middle cropped."""

    short_side: int
    size: int


Views = VideoViews | AudioViews | ImageViews


@dataclasses.dataclass(frozen=True)
class LinearSVMClassifier:
    """One linear SVM a class, on standardized features; windows are training rows of their own.

    Attributes:
      grid: values of C to choose from on training groups held out.
      fixed_C: the published value for each size of feature; used with `--C=published`.
    """

    grid: tuple[float, ...]
    fixed_C: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class MLPClassifier:
    """A perceptron on standardized features, trained by Adam with a cosine schedule.

    Attributes:
      hidden: sizes of the hidden layers; none for a linear classifier.
      epochs, batch_size, learning_rate, weight_decay, dropout: of the training.
    """

    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    dropout: float = 0.0


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """The whole tower is trained with a new linear layer on top.

    Attributes:
      epochs, batch_size, learning_rate, warmup_epochs, weight_decay: AdamW; half a cosine.
      dropout: before the new layer.
      label_smoothing: of the targets.
      mixup: parameter of the beta distribution by which pairs of sounds are mixed; 0 for none.
      mask_share: of a spectrogram's bins and frames that may be masked.
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
class Reported:
    """A figure of the paper, in the metric's own unit (shares, not per cent)."""

    metric: str
    network: str
    value: float
    where: str


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark: its data and every choice that changes its numbers.

    Attributes:
      name, version: together they say what a number means; the version rises with every change.
      data: what has to be in the data's folder.
      data_set: whose published lists are read, a name in `mmv_tf.data.datasets.DATA_SETS`.
      splits: the official divisions or folds; the headline is their mean.
      modality: "video", "audio" or "image" (the deflated network).
      feature: "before_head", "last_conv" (averaged over the map), or "space" (retrieval: the one
        that both modalities reach).
      train_views, test_views: what is shown; the scores of a test item's windows are averaged.
      classifier: what is trained on the features, None for retrieval.
      metric: the headline: "top_1", "mAP" or "R@10".
      average_precision_points: see `metrics.average_precision`.
      tie_rule: how equal scores count.
      sources: choice -> where it comes from ("ours" where nothing was published).
      reported: what the paper says.
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
    classifier: LinearSVMClassifier | MLPClassifier | FineTuning | None = None
    average_precision_points: int = 0
    tie_rule: str = "ties count against"
    reported: tuple[Reported, ...] = ()

    def read_list(self, data: pathlib.Path, lists: pathlib.Path | None, division: str) -> Listing:
        """Read one division of the published lists, see `read_listing`."""
        return read_listing(self.data_set, data, lists, division)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the results file."""
        plain = dataclasses.asdict(self)
        # The key, the value and the place of the first results files.
        plain = {"read_list" if key == "data_set" else key: plain[key] for key in plain}
        plain["read_list"] = f"read_{_FIRST_READERS.get(self.data_set, self.data_set)}"
        plain["classifier_kind"] = type(self.classifier).__name__ if self.classifier else None
        return plain


BENCHMARKS: Registry[Benchmark] = Registry("protocol")


def _registered(make: Callable[_Arguments, Benchmark]) -> Callable[_Arguments, Benchmark]:
    def declare(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Benchmark:
        """Make a `Benchmark` and register it under its name."""
        benchmark = make(*args, **kwargs)
        return BENCHMARKS.register(benchmark.name)(benchmark)

    return declare


declare = _registered(Benchmark)


def changed(declared: Declared, settings: Sequence[str]) -> Declared:
    """Return a protocol with other values, for trials; its results say what was changed.

    Args:
      declared: the protocol, any dataclass. Its numbers, texts and tuples can be changed, and
        those of dataclasses in it.
      settings: "test_views.windows=4", "splits=('1',)".

    Raises:
      ValueError: an unknown setting (the nearest is named), or a value of another type.
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
