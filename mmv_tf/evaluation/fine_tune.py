# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tunes a backbone with a new linear layer for a classification benchmark."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import av
import keras
import numpy as np
import tensorflow as tf

from mmv_tf.data.media import MediaError
from mmv_tf.data.reading import augmentation
from mmv_tf.evaluation.classification import Scorer, SplitClassification
from mmv_tf.evaluation.declaration import AudioViews, Benchmark, FineTuning, VideoViews
from mmv_tf.evaluation.features import Failures
from mmv_tf.evaluation.listed_media import ListedMedia, Options
from mmv_tf.evaluation.listing import Item, Listing
from mmv_tf.evaluation.views import read_all, read_audio, window_times
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder
from mmv_tf.util.progress import Progress, progress


class Source(Protocol):
    """Examples for training and testing a backbone."""

    def train(self, items: Sequence[Item], epoch: int) -> Iterator[np.ndarray]:
        """Yield one float32 example per item, in the given order, augmented anew in each epoch."""

    def test(self, items: Sequence[Item]) -> Iterator[np.ndarray]:
        """Yield the windows of each item, float32 [windows, ...]."""


class AudioSource:
    """Log-mel spectrograms, computed once per audio file; windows are cut from them.

    Args:
      model: model whose `log_mel` computes the spectrograms.
      items, paths: all items and their paths; the spectrograms are kept in memory.
      train_views, test_views: the protocol's views.
      seed: seed for random windows.
      failures: receives the items that can't be read.
    """

    def __init__(
        self,
        model: EmbeddingGraph,
        items: Sequence[Item],
        paths: Mapping[str, pathlib.Path],
        train_views: AudioViews,
        test_views: AudioViews,
        seed: int,
        failures: Failures,
    ):
        if model.log_mel is None:
            raise ValueError("The model has no log-mel layer; fine-tuning on audio needs one.")
        self._seed = seed
        self._test_views = test_views
        log_mel, rate = model.log_mel, model.log_mel.sample_rate

        def frames(seconds: float) -> int:
            return -(-round(seconds * rate) // log_mel.step)

        self._train_frames, self._test_frames = (
            frames(views.seconds) for views in (train_views, test_views)
        )
        shortest = round(max(train_views.seconds, test_views.seconds) * rate)
        self._spectrograms: dict[str, np.ndarray] = {}
        spectrogram = tf.function(
            log_mel,
            input_signature=[tf.TensorSpec([1, None], tf.float32)],
            autograph=False,
        )
        for item in progress(items, "read audio", "files"):
            try:
                waveform = read_audio(paths[item.item_id], item, rate)
            except (MediaError, av.FFmpegError) as error:
                failures.unreadable[item.item_id] = str(error)
                continue
            if len(waveform) < shortest:
                waveform = np.tile(waveform, -(-shortest // len(waveform)))
            self._spectrograms[item.item_id] = spectrogram(waveform[np.newaxis]).numpy()[0]

    def train(self, items: Sequence[Item], epoch: int) -> Iterator[np.ndarray]:
        """Yield an example for each item; see `Source`."""
        generator = np.random.default_rng([self._seed, epoch])
        for item in items:
            spectrogram = self._spectrograms[item.item_id]
            start = generator.integers(len(spectrogram) - self._train_frames + 1)
            yield spectrogram[start : start + self._train_frames]

    def test(self, items: Sequence[Item]) -> Iterator[np.ndarray]:
        """Yield the windows of each item; see `Source`."""
        for item in items:
            spectrogram, length = self._spectrograms[item.item_id], self._test_frames
            starts = window_times(len(spectrogram), length, self._test_views.windows, None)
            yield np.stack([spectrogram[s : s + length] for s in np.round(starts).astype(int)])


class VideoSource:
    """Windows of videos, decoded each time because augmented windows would not fit in memory.

    Args:
      paths, train_views, test_views, seed: see `AudioSource`.
    """

    def __init__(
        self,
        paths: Mapping[str, pathlib.Path],
        train_views: VideoViews,
        test_views: VideoViews,
        seed: int,
    ):
        self._paths = paths
        self._train_views, self._test_views = train_views, test_views
        self._seed = seed

    def train(self, items: Sequence[Item], epoch: int) -> Iterator[np.ndarray]:
        """Yield an example for each item; see `Source`."""
        # A large step, so that the epochs of successive seeds differ.
        for clips in self._read(items, self._train_views, self._seed * 1_000_003 + epoch):
            yield clips[0]

    def test(self, items: Sequence[Item]) -> Iterator[np.ndarray]:
        """Yield the windows of each item; see `Source`."""
        yield from self._read(items, self._test_views, self._seed)

    def _read(self, items: Sequence[Item], views: VideoViews, seed: int) -> Iterator[np.ndarray]:
        for _, clips in read_all(items, self._paths, views, seed=seed):
            if isinstance(clips, MediaError):
                raise clips
            yield clips.astype(np.float32) / 255.0


class BackboneClassifier(keras.Model):
    """A backbone, dropout and a linear layer: [B, ...] -> logits [B, classes].

    Args:
      backbone: the backbone.
      classes: number of classes.
      dropout: dropout before the linear layer.
      seed: seed for the layer and the dropout.
    """

    def __init__(self, backbone: keras.layers.Layer, classes: int, dropout: float, seed: int = 0):
        super().__init__(dtype="float32")
        self.backbone = backbone
        self.dropout = keras.layers.Dropout(dropout, seed=seed, dtype="float32")
        self.head = keras.layers.Dense(
            classes, kernel_initializer=keras.initializers.GlorotUniform(seed), dtype="float32"
        )
        self.head.build((None, backbone.feature_dim))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return logits."""
        features = tf.cast(self.backbone(inputs, training=training), tf.float32)
        return self.head(self.dropout(features, training=training))


class FineTunedClassification(SplitClassification):
    """Fine-tune the backbone for each split, always from the same weights.

    Raises:
      ValueError: the model is a SavedModel, which can't be trained.
    """

    def __init__(self, benchmark: Benchmark, encoder: Encoder, options: Options):
        model = getattr(encoder.network, "model", None)
        if model is None:
            raise ValueError(
                f"{benchmark.name} trains the model, but a SavedModel can't be trained here; "
                "pass a .keras file, a training run or a released checkpoint."
            )
        self._model: EmbeddingGraph = model
        super().__init__(benchmark, encoder, options)

    def scorer(self, media: ListedMedia) -> Scorer:
        """Read or check the media; see the base class."""
        benchmark, options = self.benchmark, self.options
        declared = benchmark.classifier
        if not isinstance(declared, FineTuning):
            raise ValueError(f"{benchmark.name} declares no fine-tuning.")
        backbone = self._model.backbone(benchmark.modality)
        before = backbone.get_weights()
        source = self._source(media)
        media.failures.check()

        def score(
            listing: Listing, train: Sequence[Item], test: Sequence[Item]
        ) -> tuple[np.ndarray, dict[str, Any]]:
            backbone.set_weights(before)
            name = f"fine-tune on {listing.name}"
            classes = len(listing.classes)
            scores = fine_tune(backbone, source, train, test, classes, declared, options.seed, name)
            return scores, {}

        return score

    def _source(self, media: ListedMedia) -> Source:
        items = list({item.item_id: item for item in media.readable()}.values())
        seed = self.options.seed
        match self.benchmark.train_views, self.benchmark.test_views:
            case AudioViews() as train, AudioViews() as test:
                return AudioSource(
                    self._model, items, media.paths, train, test, seed, media.failures
                )
            case VideoViews() as train, VideoViews() as test:
                check_ends(items, test, media.paths, media.failures)
                return VideoSource(media.paths, train, test, seed)
        raise ValueError(
            f"{self.benchmark.name}: fine-tuning needs train_views and test_views of the same "
            "kind, video or audio."
        )


def check_ends(
    items: Sequence[Item],
    views: VideoViews,
    paths: Mapping[str, pathlib.Path],
    failures: Failures,
) -> None:
    """Add videos whose first or last frame can't be read to the failures.

    Decoding whole videos before training would take too long. A video that fails in the middle
    stops the training with an error that names it.
    """
    ends = dataclasses.replace(views, windows=2, num_frames=1)
    read = read_all(items, paths, ends)
    for item, found in progress(read, "check the videos", "videos", len(items)):
        if isinstance(found, MediaError):
            failures.unreadable[item.item_id] = str(found)


def fine_tune(
    backbone: keras.layers.Layer,
    source: Source,
    train: Sequence[Item],
    test: Sequence[Item],
    classes: int,
    declared: FineTuning,
    seed: int = 0,
    name: str = "fine-tune",
) -> np.ndarray:
    """Train the backbone in place and score the test items.

    Args:
      backbone: one of the model's backbones; restore its weights before another run.
      source: examples for the items.
      train, test: items; training items have one label each.
      classes: number of classes.
      declared: schedule and augmentation.
      seed: seed for all random choices.
      name: name in progress messages.

    Returns:
      Scores float32 [test items, classes]: probabilities, averaged over each item's windows.

    Raises:
      ValueError: the loss is not finite, usually because the learning rate is too high.
    """
    targets = np.eye(classes, dtype=np.float32)[[item.labels[0] for item in train]]
    model = train_classifier(backbone, source, train, targets, declared, seed=seed, name=name)
    predict = tf.function(
        lambda windows: tf.nn.softmax(model(windows, training=False)),
        autograph=False,
        reduce_retracing=True,
    )
    scores = []
    with Progress(len(test), f"{name}: test", "items") as shown:
        for windows in source.test(test):
            scores.append(predict(tf.constant(windows)).numpy().mean(axis=0))
            shown.update()
    return np.stack(scores)


def train_classifier(
    backbone: keras.layers.Layer,
    source: Source,
    train: Sequence[Item],
    targets: np.ndarray,
    declared: FineTuning,
    *,
    multi_label: bool = False,
    seed: int = 0,
    name: str = "fine-tune",
) -> BackboneClassifier:
    """Train a backbone in place, with a new linear layer.

    Args:
      backbone, source, train, declared, seed, name: see `fine_tune`.
      targets: float32 [items, classes], 1 for the labels of an item.
      multi_label: whether to use a sigmoid for each label instead of a softmax.

    Raises:
      ValueError: the loss is not finite, usually because the learning rate is too high.
    """
    classes = targets.shape[1]
    model = BackboneClassifier(backbone, classes, declared.dropout, seed)
    middle = 0.5 if multi_label else 1 / classes
    size = min(declared.batch_size, len(train))
    # The last, smaller batch is skipped: its batch statistics would be poor. As the order changes
    # in each epoch, all items are used eventually.
    steps = len(train) // size
    step = _make_step(model, declared, steps, multi_label)
    with Progress(declared.epochs, name, "epochs") as shown:
        for epoch in range(declared.epochs):
            generator = np.random.default_rng([seed, epoch, 1])
            order = generator.permutation(len(train))[: steps * size]
            examples = source.train([train[index] for index in order], epoch)
            loss = 0.0
            for first in range(0, len(order), size):
                inputs = np.stack([next(examples) for _ in range(size)])
                wanted = targets[order[first : first + size]]
                wanted = wanted + np.float32(declared.label_smoothing) * (middle - wanted)
                if declared.mixup > 0:
                    share = np.float32(generator.beta(declared.mixup, declared.mixup))
                    other = generator.permutation(size)
                    inputs = share * inputs + (1 - share) * inputs[other]
                    wanted = share * wanted + (1 - share) * wanted[other]
                draw = generator.integers(2**31, size=2)
                loss = float(step(tf.constant(inputs), tf.constant(wanted), tf.constant(draw)))
                if not np.isfinite(loss):
                    raise ValueError(
                        f"The loss is {loss} in epoch {epoch + 1}; lower the learning rate "
                        "(--protocol.classifier.learning_rate of evaluate, "
                        "--fine_tune.learning_rate of classify)."
                    )
            shown.update(1, loss=loss)
    return model


def _make_step(
    model: BackboneClassifier, declared: FineTuning, steps: int, multi_label: bool
) -> Any:
    """Return a function (inputs, targets, seed) -> loss that updates the model."""
    total = declared.epochs * steps
    warmup = min(round(declared.warmup_epochs * steps), total - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else declared.learning_rate,
        total - warmup,
        warmup_target=declared.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=declared.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    weights = model.trainable_variables
    optimizer.build(weights)

    @tf.function(reduce_retracing=True, autograph=False)
    def step(inputs: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if declared.mask_share > 0 and inputs.shape.rank == 4:
            seeds = tf.random.split(seed, tf.shape(inputs)[0])
            inputs = tf.map_fn(
                lambda pair: augmentation.mask_log_mel(pair[0], pair[1], declared.mask_share),
                (inputs, seeds),
                fn_output_signature=tf.float32,
            )
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            if multi_label:
                losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
                loss = tf.reduce_mean(tf.reduce_sum(losses, axis=1))
            else:
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        values = [weight.value for weight in weights]
        optimizer.apply(tape.gradient(loss, values), weights)
        return loss

    return step
