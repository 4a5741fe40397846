# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Input pipelines from settings to batches for a trainer, for one data set or several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import cast

import ml_collections
import tensorflow as tf

from mmv_tf.data.integrity.damage import DamageReport
from mmv_tf.data.reading import mixing
from mmv_tf.data.reading.mixing import parts_of
from mmv_tf.data.reading.reader import Reader
from mmv_tf.data.reading.settings import OPENCV, Example, LogMel, Tokenizer
from mmv_tf.util.storage.urls import name_of, url_of


class Input:
    """A configuration's input data: one reader, or several whose examples are mixed.

    Args:
      config: see `default_config`, and `parts_of` for `config.mixture`.
      tokenizer, log_mel: see `Reader`.

    Attributes:
      readers: one reader per data set.
      weights: weights of the data sets in the mixture.

    Raises:
      ValueError: settings are invalid, or the records do not fit the model.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        tokenizer: Tokenizer | None = None,
        log_mel: LogMel | None = None,
    ):
        self.config = config
        self.readers: list[Reader] = []
        self.weights: list[float] = []
        for part in parts_of(config):
            self.readers.append(Reader(part.config, tokenizer, log_mel))
            self.weights.append(part.weight)
        self._check_pixels()
        self._check_service()

    def num_examples(self) -> int:
        """Return the number of examples in all data sets."""
        return sum(reader.num_examples() for reader in self.readers)

    def damage(self) -> DamageReport:
        """Return a report on the records left out of all data sets; see `Reader.damage`."""
        reports = [reader.damage() for reader in self.readers]
        return DamageReport(
            sum(report.written for report in reports),
            sum(report.read for report in reports),
            tuple(finding for report in reports for finding in report.findings),
        )

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Explain errors from all readers' datasets; see `Reader.explained`."""
        with contextlib.ExitStack() as stack:
            for reader in self.readers:
                stack.enter_context(reader.explained())
            yield

    def train(
        self,
        seed: int,
        start: int = 0,
        worker: int = 0,
        workers: int = 1,
        batch_size: int | None = None,
    ) -> tf.data.Dataset:
        """Return endless shuffled, augmented batches; see `Reader.train`.

        With several data sets, "source" is the index of each example's data set, int32.
        """
        size = self.config.batch_size if batch_size is None else batch_size
        if self.config.get("service", ""):
            return self._from_service(seed, size)
        first = self.readers[0]
        if len(self.readers) == 1:
            return first.train(seed, start, worker, workers, size)
        counts = mixing.counts_before(start, self.weights)
        parts = [
            reader.training_examples(seed, count, worker, workers)
            for reader, count in zip(self.readers, counts, strict=True)
        ]
        return first.batches(mixing.mix(self._alike(parts), self.weights, start), size)

    def evaluate(
        self, pad: bool = False, worker: int = 0, workers: int = 1, batch_size: int | None = None
    ) -> tf.data.Dataset:
        """Return every example once; see `Reader.evaluate`.

        Raises:
          ValueError: there are several data sets, which must be evaluated one at a time.
        """
        if len(self.readers) != 1:
            raise ValueError(
                f"There are {len(self.readers)} data sets in data.mixture; evaluate them one by "
                "one: leave data.mixture empty and set data.directory."
            )
        return self.readers[0].evaluate(pad, worker, workers, batch_size)

    def _check_pixels(self) -> None:
        """Check that all data sets have the same `pixels`, and that the service supports it."""
        pixels = {reader.config.pixels for reader in self.readers}
        if len(pixels) > 1:
            raise ValueError(
                f"Entries of data.mixture differ in pixels ({', '.join(sorted(pixels))}); set "
                "data.pixels to one value for all of them."
            )
        stores = {reader.is_video for reader in self.readers}
        if pixels == {OPENCV} and len(stores) > 1:
            raise ValueError(
                "Some data sets of data.mixture are stored as JPEGs and some as video; set "
                "data.pixels=tensorflow, or prepare them with the same --store."
            )
        if True in stores and self.config.get("service", ""):
            raise ValueError(
                "Data prepared with --store=video are decoded by Python in this process, which the "
                f"workers of a tf.data service ({self.config.service}) can't call; prepare the "
                "data with --store=jpeg, or leave data.service empty."
            )
        if pixels == {OPENCV} and self.config.get("service", ""):
            raise ValueError(
                "data.pixels=opencv calls Python in this process, which the workers of a tf.data "
                f"service ({self.config.service}) can't; set data.pixels=tensorflow, or leave "
                "data.service empty."
            )

    def _check_service(self) -> None:
        """Check that the service's workers can read the data."""
        service = self.config.get("service", "")
        remote = [reader for reader in self.readers if url_of(reader.directory) is not None]
        if service and remote:
            raise ValueError(
                f"{name_of(remote[0].directory)}: shards in a store are read by Python in this "
                f"process, which the workers of a tf.data service ({service}) can't call; leave "
                "data.service empty, or copy the shards to a disk that the workers share."
            )

    def _alike(self, parts: list[tf.data.Dataset]) -> list[tf.data.Dataset]:
        """Give all data sets the same structure, and each example its source."""
        stored = any("audio" in part.element_spec for part in parts)

        def named(index: int, reader: Reader, part: tf.data.Dataset) -> tf.data.Dataset:
            def name(example: Example) -> Example:
                example = example | {"source": tf.constant(index, tf.int32)}
                if stored and "waveform" in example:
                    log_mel = cast(LogMel, reader.log_mel)
                    example["audio"] = log_mel(example.pop("waveform")[tf.newaxis])[0]
                return example

            return part.map(name)

        return [
            named(index, reader, part)
            for index, (reader, part) in enumerate(zip(self.readers, parts, strict=True))
        ]

    def _from_service(self, seed: int, batch_size: int) -> tf.data.Dataset:
        """Return batches that the workers of a tf.data service read, in any order."""
        parts = [reader.service_examples(seed) for reader in self.readers]
        if len(parts) == 1:
            batches = parts[0].batch(batch_size, drop_remainder=True)
        else:
            batches = mixing.mix_batches(self._alike(parts), self.weights, batch_size)
        # Spectrograms and word ids are computed here: the vocabulary is a resource of this process.
        batches = batches.apply(
            tf.data.experimental.service.distribute(
                processing_mode=tf.data.experimental.service.ShardingPolicy.DYNAMIC,
                service=self.config.service,
            )
        )
        return batches.map(
            self.readers[0].postprocess, num_parallel_calls=2, deterministic=True
        ).prefetch(2)


def make_dataset(
    config: ml_collections.ConfigDict,
    tokenizer: Tokenizer | None = None,
    log_mel: LogMel | None = None,
    *,
    training: bool = True,
    seed: int = 0,
    start: int = 0,
    worker: int = 0,
    workers: int = 1,
    batch_size: int | None = None,
    pad: bool = False,
) -> tf.data.Dataset:
    """Return a configuration's batches.

    Args:
      config: see `default_config` and `Input`.
      tokenizer, log_mel: the model's layers; without them, there is no "text" or no "audio".
      training: endless shuffled and augmented batches; otherwise every example once, in order.
      seed: seed for order and augmentation.
      start: number of this worker's examples to skip.
      worker, workers: this worker's index and the number of workers.
      batch_size: this worker's batch size; by default, `config.batch_size`.
      pad: whether to fill up the last batch, in evaluation only; see `Reader.evaluate`.

    Returns:
      A dataset of dicts, see `Reader`; in evaluation with a dimension for windows. Inside
      `Input.explained` or `Reader.explained`, errors from its iterators name the shard and the
      record. The iterator's state can be saved in a `tf.train.Checkpoint`, but not with the tf.data
      service.

    Raises:
      ValueError: see `Input`.
      DamagedDataError: see `Reader.damage`.
    """
    source = Input(config, tokenizer, log_mel)
    if training:
        return source.train(seed, start, worker, workers, batch_size)
    return source.evaluate(pad, worker, workers, batch_size)
