# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records to batches: parse -> sample -> decode -> preprocess -> batch -> postprocess.

What an example shows is drawn from (seed, epoch, example id) alone, and the order from (seed,
epoch), so that a run can be taken up again at any example.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ml_collections
import tensorflow as tf

from mmv_tf.data import augmentation, damage, frames, inspection, parsing, sampling, sound
from mmv_tf.data.key_maps import KeyMap, key_map
from mmv_tf.data.record_checks import Limits
from mmv_tf.data.shards import ShardEntry, expected_of, found_shards, listed_shards
from mmv_tf.data.writer import check_shards, read_manifest

# Records are read in large pieces; ours, far above a record and far below memory.
_READ_BUFFER_BYTES = 4 << 20
# Shards whose records are mixed; ours.
_FILES_AT_ONCE = 8
# Second halves of the random keys, so that order and augmentation draw apart.
_ORDER_KEY, _EXAMPLE_KEY = 1, 2
_INSPECT = ("auto", "always", "never")
# With inspect="auto", shards of up to so much are looked through before they are read: a second or
# two, once. Ours.
_AUTO_INSPECT_BYTES = 1 << 30

Example = dict[str, tf.Tensor]


def default_config() -> ml_collections.ConfigDict:
    """Settings of the reader; the comments say where the defaults come from."""
    return ml_collections.ConfigDict(
        {
            "directory": "",
            "split": "train",
            # Several data sets in one batch, see `make_dataset`; then "directory" is not used.
            "mixture": (),
            # PAPER section 3: 32 frames at 10 a second, 200 x 200 pixels, in training.
            "num_frames": 32,
            "frame_rate": 10.0,
            "size": 200,
            # False: wide frames are squeezed instead of cut at the sides.
            "square_crop": True,
            # PAPER section 2: MIL-NCE draws 5 candidate narrations.
            "candidates": 5,
            "batch_size": 8,
            # Evaluation: windows spread evenly over a clip (PAPER section 5: 4).
            "windows": 1,
            # Training only.
            "scale_jitter": 0.2,
            "flip": True,
            "colour": 1.0,
            # The share of a spectrogram's frames and of its bins that may be masked; ours.
            "audio_mask": 0.0,
            # See `augmentation.jitter_log_mel` and `augmentation.drop_words`; ours.
            "audio_gain": 0.0,
            "audio_noise": 0.0,
            "word_dropout": 0.0,
            # Ours: how many records are held to be shuffled; the shards are shuffled too.
            "shuffle_buffer": 1024,
            # Records of other rates are resampled instead of refused.
            "resample": False,
            # "stop" or "skip": leave damaged records out and count them, see `Reader.damage`.
            "on_bad_record": "stop",
            # Of the records written; with more of them damaged, "skip" stops too. Ours.
            "max_bad_fraction": 0.01,
            # Whether shards are looked through first: "always", "never", or "auto": if they are
            # small, or damaged records shall be skipped.
            "inspect": "auto",
            # Who wrote the records: "mmv", "dmvr" or "mediasequence"; the last two have no
            # manifest, so the files and rates must be told.
            "records": "mmv",
            "files": "*.tfrecord*",
            "stored_frame_rate": 0.0,
            "stored_sample_rate": 0,
            # Address of a tf.data service that reads for this program, such as grpc://host:5000.
            "service": "",
        }
    )


# What a network's metadata keep of these settings, so that it is shown later what it learnt from.
METADATA_KEYS = ("num_frames", "frame_rate", "size", "square_crop")


def config_for_network(
    metadata: Mapping[str, Any], directory: str, split: str, **settings: Any
) -> ml_collections.ConfigDict:
    """Settings that read a split as a network was trained to see it.

    Args:
      metadata: of the network.
      directory, split: what to read.
      settings: other entries of `default_config`; they go before the metadata.

    Raises:
      ValueError: if the metadata don't say all that is needed.
    """
    missing = [key for key in METADATA_KEYS if key not in metadata]
    if missing:
        raise ValueError(
            f"The network's metadata lack {', '.join(missing)}, so it can't be told how to read "
            "videos for it; set them in model.metadata."
        )
    config = default_config()
    config.update({key: metadata[key] for key in METADATA_KEYS})
    config.update({"directory": directory, "split": split, **settings})
    return config.lock()


class LogMel(Protocol):
    """What the reader asks of `mmv_tf.layers.LogMel`; data does not depend on layers."""

    sample_rate: int
    step: int
    mel_bins: int

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        """[N, samples] -> [N, frames, mel_bins, 1]."""

    def get_config(self) -> dict[str, Any]:
        """Settings of the spectrogram."""


Tokenizer = Callable[[tf.Tensor], tf.Tensor]


class Reader:
    """Reads the shards of a directory.

    Args:
      config: as `default_config`.
      tokenizer: turns narrations into word ids; without it there is no "text".
      log_mel: turns waveforms into the audio tower's input; without it there is no "audio". A
        log-mel that is stored is taken as it is, if it was made with the same settings.

    Examples are dicts: "video" float32 [T, size, size, 3] in [0, 1]; "audio" float32 [frames,
    mel_bins, 1] of the same moment; "text" int32 [P, words], the narrations nearest in time;
    "valid/video", "valid/audio" booleans and "valid/text" [P]; "label" int32 (-1 for none);
    "example_id" string; "clip_start" and "clip_end" in seconds of the source; "caption", the
    nearest narration itself.

    Raises:
      ValueError: the directory is not one of records, or their rates are not the network's.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        tokenizer: Tokenizer | None,
        log_mel: LogMel | None,
        limits: Limits | None = None,
    ):
        self.config = config
        self.tokenizer = tokenizer
        self.log_mel = log_mel
        self.limits = Limits() if limits is None else limits
        self.keys: KeyMap = key_map(config.records)
        if config.inspect not in _INSPECT:
            raise ValueError(f"inspect is {config.inspect!r}; expected one of {_INSPECT}.")
        self._check_rates()

    @property
    def directory(self) -> pathlib.Path:
        """Where the shards are."""
        return pathlib.Path(self.config.directory)

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """The data's `manifest.json`; for records of others, what the settings say."""
        if self.config.records == "mmv":
            return read_manifest(self.directory)
        return {
            "frame_rate": self.config.stored_frame_rate or self.config.frame_rate,
            "sample_rate": self.config.stored_sample_rate
            or (self.log_mel.sample_rate if self.log_mel is not None else None),
            "labels": [],
        }

    @property
    def stride(self) -> float:
        """Stored frames from one frame to the next."""
        stride = self.manifest["frame_rate"] / self.config.frame_rate
        return round(stride) if abs(stride - round(stride)) < 1e-6 else stride

    def splits(self) -> list[str]:
        """Splits named by `config.split`, which joins several with "+"."""
        names: list[str] = self.config.split.split("+")
        have = self.manifest["splits"]
        for name in names:
            if name not in have:
                raise ValueError(f"There is no split {name!r} in {self.directory}: {list(have)}.")
        return names

    def num_examples(self) -> int:
        """Examples in the split that are read: damaged ones are not counted."""
        if self._inspections is not None:
            return self.damage().read
        return sum(shard.records or 0 for shard in self.shards())

    def shards(self) -> list[ShardEntry]:
        """The split's shards; for records of others, all that match `config.files`."""
        if self.config.records != "mmv":
            return self._all_shards
        names = self.splits()
        return [shard for name in names for shard in self._all_shards if shard.split == name]

    def files(self) -> list[str]:
        """Paths of the split's shards."""
        return [str(shard.path) for shard in self.shards()]

    def damage(self) -> damage.DamageReport:
        """Which of the split's records are left out and why; all are good if nobody looked.

        Raises:
          DamagedDataError: there is damage, and `config.on_bad_record` is to stop, or there is more
            than `config.max_bad_fraction`.
        """
        if self._inspections is None:
            check_shards(self.directory, self.manifest)
            count = sum(shard.records or 0 for shard in self.shards())
            return damage.DamageReport(count, count)
        found = [self._inspections[str(shard.path)] for shard in self.shards()]
        report = damage.report_of(found)
        damage.enforce(
            report, self.config.on_bad_record, self.config.max_bad_fraction, str(self.directory)
        )
        return report

    def explained(self) -> contextlib.AbstractContextManager[None]:
        """Inside, errors of the datasets are `DamagedDataError`s that name shard and record."""
        return damage.explained(
            lambda: inspection.first_findings(
                self.shards(), self.keys, expected_of(self.manifest), self.limits
            )
        )

    def train(
        self,
        seed: int,
        start: int = 0,
        worker: int = 0,
        workers: int = 1,
        batch_size: int | None = None,
    ) -> tf.data.Dataset:
        """Endless shuffled and augmented batches.

        Args:
          seed: of order and augmentation.
          start: number of examples (of this worker) to leave out first, as a run does that goes on;
            they are read but not decoded.
          worker, workers: this worker's index and their number. Shards are dealt out; if there are
            fewer shards than workers, records are.
          batch_size: of this worker; by default `config.batch_size`.

        Returns:
          A dataset of batched examples with static shapes.
        """
        examples = self.training_examples(seed, start, worker, workers)
        return self.batches(examples, self.config.batch_size if batch_size is None else batch_size)

    def evaluate(
        self, pad: bool = False, worker: int = 0, workers: int = 1, batch_size: int | None = None
    ) -> tf.data.Dataset:
        """Every example once and in order: batches [B, windows, ...], the last one smaller.

        Windows are spread evenly, crops are central and nothing is augmented. "text" is [B, 1,
        words]: the narration nearest the clip's middle, and "caption" is that narration.

        Args:
          pad: fill the last batch, and give all workers as many batches, with rows in which every
            "valid/..." is false and "example_id" is empty; "valid/example" tells them from others.
          worker, workers: this worker's index and their number; records are dealt out in turn.
          batch_size: of this worker; by default `config.batch_size`.
        """
        size = self.config.batch_size if batch_size is None else batch_size
        self.damage()
        records = self._in_order().shard(workers, worker)
        examples = _decoded(
            records, lambda shard, number, record: self._example(shard, number, record, None)
        )
        if pad:
            most = -(-self.num_examples() // workers)
            total = -(-most // size) * size
            examples = examples.map(lambda x: x | {"valid/example": tf.constant(True)})
            examples = examples.concatenate(_blanks(examples.element_spec)).take(total)
        return self.batches(examples, size, drop_remainder=pad)

    def training_examples(
        self, seed: int, start: int = 0, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """Endless examples as they are before they are batched; see `train`."""
        self.damage()
        shards, by_record = self._dealt(worker, workers)
        if by_record:
            count = len(range(worker, self.num_examples(), workers))
        else:
            count = sum(self._count(shard) for shard in shards)
        if count == 0:
            raise ValueError(
                f"Split {self.config.split!r} of {self.directory} has no examples"
                + (f" for worker {worker} of {workers}." if workers > 1 else ".")
            )
        first_epoch = start // count
        read_shard = self._shard_reader(shards)

        def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
            key = tf.random.fold_in(tf.constant([seed, _ORDER_KEY], tf.int32), epoch)
            order = tf.random.experimental.stateless_shuffle(tf.range(len(shards)), seed=key)
            records = tf.data.Dataset.from_tensor_slices(order).interleave(
                read_shard, cycle_length=_FILES_AT_ONCE
            )
            if by_record:
                records = records.shard(workers, worker)
            records = _shuffled(records, self.config.shuffle_buffer, key)
            return records.map(lambda *record: (*record, epoch))

        epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
        records = epochs.flat_map(epoch_records).skip(start - first_epoch * count)
        return _decoded(records, self._training_example(seed))

    def service_examples(self, seed: int) -> tf.data.Dataset:
        """As `training_examples`, in a form that the tf.data service can deal out.

        The service's workers take visits to shards from one endless range, so that together they
        see every record once an epoch, in an order that depends on who is faster.
        """
        self.damage()
        shards = [shard for shard in self.shards() if self._count(shard)]
        if not shards:
            raise ValueError(f"Split {self.config.split!r} of {self.directory} has no examples.")
        read = self._shard_reader(shards)
        order_key = tf.constant([seed, _ORDER_KEY], tf.int32)

        def visit(number: tf.Tensor) -> tf.data.Dataset:
            epoch, place = number // len(shards), number % len(shards)
            key = tf.random.fold_in(order_key, epoch)
            order = tf.random.experimental.stateless_shuffle(tf.range(len(shards)), seed=key)
            return read(order[place]).map(lambda *record: (*record, epoch))

        # No more at once than there are shards, or one record would come several times in a row.
        records = tf.data.Dataset.range(tf.int64.max).interleave(
            visit, cycle_length=min(_FILES_AT_ONCE, len(shards))
        )
        records = _shuffled(records, self.config.shuffle_buffer, order_key)
        return _decoded(records, self._training_example(seed))

    def _training_example(self, seed: int) -> Callable[..., Example]:
        base = tf.constant([seed, _EXAMPLE_KEY], tf.int32)

        def example(
            shard: tf.Tensor, number: tf.Tensor, record: tf.Tensor, epoch: tf.Tensor
        ) -> Example:
            return self._example(shard, number, record, tf.random.fold_in(base, epoch))

        return example

    def batches(
        self, examples: tf.data.Dataset, batch_size: int, drop_remainder: bool = True
    ) -> tf.data.Dataset:
        """Batches examples and does what is best done for a whole batch."""
        dataset = examples.batch(batch_size, drop_remainder)
        return dataset.map(self.postprocess, num_parallel_calls=2, deterministic=True).prefetch(2)

    def postprocess(self, batch: Example) -> Example:
        """The last phase: waveforms to log-mel, its masks, words to ids.

        Args:
          batch: of examples as `training_examples` has them; leading dimensions [B] or
            [B, windows].
        """
        batch = dict(batch)
        seeds = batch.pop("seed", None)
        if "waveform" in batch:
            assert self.log_mel is not None
            waveform = batch.pop("waveform")
            leading = tf.shape(waveform)[:-1]
            flat = self.log_mel(tf.reshape(waveform, [-1, waveform.shape[-1]]))
            audio = tf.reshape(flat, tf.concat([leading, tf.shape(flat)[1:]], axis=0))
            batch["audio"] = tf.ensure_shape(audio, [*waveform.shape[:-1], *flat.shape[1:]])
        if "audio" in batch and seeds is not None:
            batch["audio"] = self._augment_sounds(batch["audio"], seeds[:, 0])
        if "candidates" in batch:
            candidates = batch.pop("candidates")
            batch["caption"] = candidates[..., 0]
            if self.tokenizer is not None:
                batch["text"] = self.tokenizer(candidates)
                # A narration of nothing but unknown or stop words says nothing.
                batch["valid/text"] &= tf.reduce_any(batch["text"] != 0, axis=-1)
                if seeds is not None:
                    batch["text"] = self._augment_words(batch["text"], seeds[:, 1])
        return batch

    def _augment_sounds(self, log_mels: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Each spectrogram of [B, ...] by its own seed of [B, 2]."""
        config = self.config
        jitters = config.audio_gain > 0 or config.audio_noise > 0
        if not (jitters or config.audio_mask > 0):
            return log_mels

        def augment(log_mel: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            mask_seed, jitter_seed = tf.unstack(tf.random.split(seed, 2))
            if config.audio_mask > 0:
                log_mel = augmentation.mask_log_mel(log_mel, mask_seed, config.audio_mask)
            if jitters:
                log_mel = augmentation.jitter_log_mel(
                    log_mel, jitter_seed, config.audio_gain, config.audio_noise
                )
            return log_mel

        spec = tf.TensorSpec(log_mels.shape[1:], tf.float32)
        return tf.map_fn(lambda pair: augment(*pair), (log_mels, seeds), fn_output_signature=spec)

    def _augment_words(self, ids: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Each example's candidates of [B, P, words] by its own seed of [B, 2]."""
        share = self.config.word_dropout
        if not share > 0:
            return ids
        spec = tf.TensorSpec(ids.shape[1:], tf.int32)
        return tf.map_fn(
            lambda pair: augmentation.drop_words(pair[0], pair[1], share),
            (ids, seeds),
            fn_output_signature=spec,
        )

    # ---- Shards ----------------------------------------------------------------------------------

    @functools.cached_property
    def _all_shards(self) -> list[ShardEntry]:
        if self.config.records != "mmv":
            return found_shards(self.directory, self.config.files)
        return listed_shards(self.directory, self.manifest)

    @functools.cached_property
    def _inspections(self) -> dict[str, inspection.ShardInspection] | None:
        """What was found in all of the directory's shards; None if nobody looks."""
        config, shards = self.config, self._all_shards
        skip = config.on_bad_record == "skip"
        if not skip and self.config.records == "mmv":
            total = sum(shard.bytes or 0 for shard in shards)
            if config.inspect == "never":
                return None
            if config.inspect == "auto" and total > _AUTO_INSPECT_BYTES:
                return None
        thorough = skip or config.inspect == "always"
        cache = self.directory / inspection.CACHE_FILE if thorough else None
        return inspection.inspect_cached(
            shards, self.keys, expected_of(self.manifest), self.limits, cache
        )

    def _count(self, shard: ShardEntry) -> int:
        if self._inspections is not None:
            return self._inspections[str(shard.path)].good
        return shard.records or 0

    def _dealt(self, worker: int, workers: int) -> tuple[list[ShardEntry], bool]:
        """A worker's shards, and whether it must pick out its own records in them."""
        if not 0 <= worker < workers:
            raise ValueError(f"This is worker {worker} of {workers}; expected 0 to {workers - 1}.")
        shards = [shard for shard in self.shards() if self._count(shard)]
        if len(shards) < workers:
            return shards, workers > 1
        # The largest first, each to the worker with the least.
        dealt: list[list[ShardEntry]] = [[] for _ in range(workers)]
        loads = [0] * workers
        for shard in sorted(shards, key=self._count, reverse=True) if workers > 1 else shards:
            least = loads.index(min(loads))
            dealt[least].append(shard)
            loads[least] += self._count(shard)
        return dealt[worker], False

    def _in_order(self) -> tf.data.Dataset:
        """The split's records, shard by shard."""
        shards = [shard for shard in self.shards() if self._count(shard)]
        return tf.data.Dataset.range(len(shards), output_type=tf.int32).flat_map(
            self._shard_reader(shards)
        )

    def _shard_reader(self, shards: list[ShardEntry]) -> Callable[[tf.Tensor], tf.data.Dataset]:
        """Index of a shard -> its good records as (shard's name, number, bytes)."""
        names = tf.constant([shard.name for shard in shards], tf.string)
        files = tf.constant([str(shard.path) for shard in shards], tf.string)
        inspected = self._inspections
        segments = [
            ((0, -1),) if inspected is None else inspected[str(shard.path)].segments
            for shard in shards
        ]
        table = tf.ragged.constant(segments, tf.int64, ragged_rank=1, inner_shape=(2,))

        def segment(file: tf.Tensor, bounds: tf.Tensor) -> tf.data.Dataset:
            # `TFRecordDataset` can't start inside a file; the operation below it can.
            variant = tf.raw_ops.TFRecordDatasetV2(
                filenames=[file],
                compression_type="",
                buffer_size=_READ_BUFFER_BYTES,
                byte_offsets=bounds[:1],
            )
            records = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
            return records.take(bounds[1])

        def read(index: tf.Tensor) -> tf.data.Dataset:
            bounds = tf.data.Dataset.from_tensor_slices(table[index])
            records = bounds.flat_map(lambda pair: segment(files[index], pair)).enumerate()
            return records.map(lambda number, record: (names[index], number, record))

        return read

    # ---- One example -----------------------------------------------------------------------------

    def _example(
        self, shard: tf.Tensor, number: tf.Tensor, record: tf.Tensor, epoch_key: tf.Tensor | None
    ) -> Example:
        """Parse, sample, decode and preprocess one record.

        Args:
          shard, number: the shard's name and the record's place among its good ones.
          record: its bytes.
          epoch_key: of the seed and epoch, int [2]; None for evaluation.
        """
        config = self.config
        fallback = tf.strings.join([shard, tf.strings.as_string(number)], separator=":")
        parsed = parsing.parse_record(record, fallback, self.keys, self.manifest["labels"])
        guarded = self._inspections is None
        if guarded:
            parsing.check_parsed(parsed, shard, self.limits, self._pictures)
        seeds: list[tf.Tensor | None] = [None] * 6
        windows = config.windows
        if epoch_key is not None:
            identity = tf.strings.to_hash_bucket_fast(parsed["example_id"], 2**31 - 1)
            seeds = tf.unstack(tf.random.split(tf.random.fold_in(epoch_key, identity), 6))
            windows = 1
        stored = shown = tf.shape(parsed["frames"])[0]
        if not self._pictures:
            # Sound alone has moments all the same.
            moments = tf.round(parsed["duration"] * self.manifest["frame_rate"])
            stored = tf.where(shown > 0, shown, tf.maximum(tf.cast(moments, tf.int32), 1))
        span = int((config.num_frames - 1) * self.stride + 0.5) + 1
        # The one offset in time that video, sound and narrations share.
        starts = sampling.window_starts(stored, span, windows, seeds[0])
        start_seconds = tf.cast(starts, tf.float32) / self.manifest["frame_rate"]
        lasts = tf.cast(stored, tf.float32) / self.manifest["frame_rate"]
        parsed["duration"] = tf.where(parsed["duration"] > 0, parsed["duration"], lasts)

        indices = sampling.frame_indices(starts, config.num_frames, self.stride, stored)
        indices = tf.reshape(indices, [windows * config.num_frames])

        def video() -> tf.Tensor:
            encoded = tf.gather(parsed["frames"], indices)
            if guarded:
                parsing.check_frames(encoded, parsed["example_id"], shard, self.limits)
            return self._video(encoded, windows, seeds[1:4])

        def nothing() -> tf.Tensor:
            return tf.zeros([windows, config.num_frames, config.size, config.size, 3])

        end = parsed["clip_start"] + parsed["duration"]
        example = {
            "video": video() if self._pictures else tf.cond(shown > 0, video, nothing),
            "valid/video": tf.fill([windows], shown > 0),
            "example_id": tf.fill([windows], parsed["example_id"]),
            "label": tf.fill([windows], parsed["label"]),
            "clip_start": tf.fill([windows], parsed["clip_start"]),
            "clip_end": tf.fill([windows], end),
        }
        if self.log_mel is not None:
            example |= self._audio(parsed, start_seconds, shard if guarded else None)
        example |= self._candidates(parsed, start_seconds, training=epoch_key is not None)
        if epoch_key is not None:
            # What is heard and read is augmented when the batch is there.
            example["seed"] = tf.stack(seeds[4:])[tf.newaxis]
            return {name: value[0] for name, value in example.items()}
        return example

    def _video(self, encoded: tf.Tensor, windows: int, seeds: list[tf.Tensor | None]) -> tf.Tensor:
        """Frames [windows * T] of JPEGs -> [windows, T, size, size, 3]."""
        config = self.config
        crop_seed, flip_seed, colour_seed = seeds
        shape = tf.io.extract_jpeg_shape(encoded[0])
        crop = augmentation.crop_window(
            shape[0], shape[1], crop_seed, config.scale_jitter, config.square_crop
        )
        pixels = frames.decode_window(encoded, crop)
        if flip_seed is not None and config.flip:
            pixels = augmentation.flip(pixels, flip_seed)
        video = frames.resize(pixels, config.size)
        if colour_seed is not None and config.colour > 0:
            video = augmentation.jitter_colour(video, colour_seed, config.colour, scale=255.0)
        else:
            video /= 255.0
        return tf.reshape(video, [windows, config.num_frames, config.size, config.size, 3])

    def _audio(
        self, parsed: dict[str, tf.Tensor], start_seconds: tf.Tensor, checked_in: tf.Tensor | None
    ) -> Example:
        """A window's waveform, or its log-mel where that is what is stored."""
        assert self.log_mel is not None
        config, log_mel = self.config, self.log_mel
        seconds = config.num_frames / config.frame_rate
        windows = tf.shape(start_seconds)[0]
        if self._stored_log_mel is not None:
            hop = log_mel.step / log_mel.sample_rate
            length = -(-round(seconds * log_mel.sample_rate) // log_mel.step)
            values = tf.reshape(parsed["log_mel"], [-1, log_mel.mel_bins, 1])
            first = tf.cast(tf.round(start_seconds / hop), tf.int32)
            heard = tf.shape(values)[0] > 0
            return {
                "audio": sound.cut(values, first, length),
                "valid/audio": tf.repeat(heard, windows),
            }
        waveform = sound.cut_waveform(
            parsed["waveform"],
            start_seconds,
            seconds,
            round(self.manifest["sample_rate"]),
            log_mel.sample_rate,
        )
        if checked_in is not None:
            sane = tf.reduce_all(tf.abs(waveform) < 16.0)  # False for NaN, too.
            parsing.require(
                sane, parsed["example_id"], checked_in, "audio not finite or out of range"
            )
        heard = tf.shape(parsed["waveform"])[0] > 0
        return {"waveform": waveform, "valid/audio": tf.repeat(heard, windows)}

    def _candidates(
        self, parsed: dict[str, tf.Tensor], start_seconds: tf.Tensor, training: bool
    ) -> Example:
        """The narrations nearest to the windows; in evaluation, the one nearest to the clip."""
        config = self.config
        windows = tf.shape(start_seconds)[0]
        if training:
            middles = start_seconds + config.num_frames / config.frame_rate / 2
            count = config.candidates
        else:
            # One narration for the clip, whichever window is looked at.
            middles, count = tf.fill([windows], parsed["duration"] / 2), 1
        indices, found = sampling.nearest_candidates(
            middles, parsed["caption_start"], parsed["caption_end"], count
        )
        # One empty narration at the end stands for "none".
        captions = tf.concat([parsed["caption"], [""]], axis=0)
        chosen = tf.gather(captions, tf.where(found, indices, tf.shape(captions)[0] - 1))
        return {
            "candidates": tf.ensure_shape(chosen, [None, count]),
            "valid/text": tf.ensure_shape(found, [None, count]),
        }

    @property
    def _pictures(self) -> bool:
        """Whether every record has frames; otherwise some are of sound alone."""
        return self.config.records != "mmv" or expected_of(self.manifest).pictures

    # ---- Rates -----------------------------------------------------------------------------------

    @property
    def _stored_log_mel(self) -> dict[str, Any] | None:
        """Settings of the log-mel in the records; None if they hold waveforms."""
        return self.manifest.get("log_mel") or None

    def _check_rates(self) -> None:
        config, rate, stored = self.config, self.config.frame_rate, self.manifest["frame_rate"]
        if not (isinstance(self.stride, int) and self.stride >= 1) and not config.resample:
            raise ValueError(
                f"The records have {stored:g} frames a second, {rate:g} are asked for; take "
                f"{stored:g} or a whole part of it (data.frame_rate), prepare the data again, or "
                "set data.resample, which takes the nearest frames."
            )
        if self.log_mel is None:
            return
        settings = self._stored_log_mel
        if settings is not None:
            own = self.log_mel.get_config()
            differing = [
                f"{name} {value!r} instead of {own.get(name)!r}"
                for name, value in settings.items()
                if name in own and own[name] != value
            ]
            if differing:
                raise ValueError(
                    f"{self.directory}: the records' log-mel was made with "
                    f"{', '.join(differing)}; give the network the same settings, or prepare the "
                    "data again."
                )
            return
        sample_rate = self.manifest["sample_rate"]
        if sample_rate != self.log_mel.sample_rate and not config.resample:
            raise ValueError(
                f"The records' sound has {sample_rate} samples a second, the network takes "
                f"{self.log_mel.sample_rate}; prepare the data with --sample_rate="
                f"{self.log_mel.sample_rate}, or set data.resample."
            )


def _decoded(records: tf.data.Dataset, example: Callable[..., Any]) -> tf.data.Dataset:
    """Applies `example` to all records, in order, on all cores."""
    options = tf.data.Options()
    # Its thread sleeps for up to a minute at a time, and an iterator's end waits for it.
    options.autotune.enabled = False
    dataset = records.map(example, num_parallel_calls=os.cpu_count() or 1, deterministic=True)
    return dataset.with_options(options)


def _shuffled(records: tf.data.Dataset, buffer: int, key: tf.Tensor) -> tf.data.Dataset:
    """`Dataset.shuffle` by a key of the graph, not by TensorFlow's global seed."""
    spec = records.element_spec
    flat = tf.nest.flatten(spec)
    seeds = tf.cast(tf.random.stateless_uniform([2], key, 1, 2**31 - 1, tf.int32), tf.int64)
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        buffer_size=buffer,
        seed=seeds[0],
        seed2=seeds[1],
        output_types=[part.dtype for part in flat],
        output_shapes=[part.shape for part in flat],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, spec)


def _blanks(spec: Any) -> tf.data.Dataset:
    """Endless rows of zeros, false and empty strings of a dataset's shapes."""

    def blank(part: tf.TensorSpec) -> tf.Tensor:
        return (
            tf.fill(part.shape, "") if part.dtype == tf.string else tf.zeros(part.shape, part.dtype)
        )

    return tf.data.Dataset.from_tensors(tf.nest.map_structure(blank, spec)).repeat()
