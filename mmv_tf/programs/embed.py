# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compute a model's features of videos, audio, images or sentences.

  mmv embed --model=RUN --videos=DIR --output=FEATURES
  mmv embed --model=RUN --audio=DIR --names=va,vat --output=FEATURES
  mmv embed --model=ENCODER.keras --images=DIR --format=parquet --output=FEATURES
  mmv embed --model=RUN --sentences=FILE.txt --names=vat --output=FEATURES

The output is a folder of parts with up to --part_items items each: part-00000.npz with "id" (the
path inside the folder, or the sentence), "windows" (rows of each item) and each feature as float32
[rows, dim]. Parquet has one row per window. Repeat the command to resume after an interruption, or
to add new and changed items. To share the work between machines, run the same command with
--task=1/n to --task=n/n on them, and then once with --finish. The exit status is 1 if an item can't
be read or a sentence has no word that the model knows (see --allow_missing); such sentences are
left out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from mmv_tf.data import file_types as suffixes_lib
from mmv_tf.evaluation.declaration import AudioViews, ImageViews, VideoViews, Views
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.evaluation.feature_store import FORMATS, FeatureStore, media_version
from mmv_tf.evaluation.feature_tasks import FeatureTasks, group_size, is_of_task
from mmv_tf.evaluation.features import Failures, embedded
from mmv_tf.evaluation.listing import Item
from mmv_tf.evaluation.views import read_all
from mmv_tf.inference import Settings
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.util import command_line
from mmv_tf.util.files import check_regular
from mmv_tf.util.progress import Progress
from mmv_tf.util.shares import Share
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags
from mmv_tf.util.text_files import printable_name

define_network_flags(image_model=True)
_VIDEOS = flags.DEFINE_string("videos", None, "A folder of videos, or one video.")
_AUDIO = flags.DEFINE_string(
    "audio", None, "A folder of audio files (or videos with audio), or one such file."
)
_IMAGES = flags.DEFINE_string("images", None, "A folder of images, or one image.")
_SENTENCES = flags.DEFINE_string("sentences", None, "A UTF-8 text file with one sentence per line.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the features.", required=True)
_FORMAT = flags.DEFINE_enum("format", "npz", FORMATS, "File format; parquet needs pyarrow.")
_NAMES = flags.DEFINE_list(
    "names", ["before_head"], "Features: before_head, va, vat, or (audio only) last_conv."
)
_WINDOWS = flags.DEFINE_integer("windows", 1, "Windows per video or audio file.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("num_frames", None, "Frames per window; default: as in training.")
_FRAME_RATE = flags.DEFINE_float("frame_rate", None, "Frames per second; default: as in training.")
_SIZE = flags.DEFINE_integer("size", None, "Crop size in pixels; default: as in training.")
_SECONDS = flags.DEFINE_float(
    "window_seconds", None, "Length of an audio window; default: that of a video window."
)
_PART_ITEMS = flags.DEFINE_integer("part_items", 1024, "Items per output file.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Windows per batch.", lower_bound=1)
_TASK = flags.DEFINE_string(
    "task",
    None,
    "Embed only this machine's share of the items, given as i/n, such as 2/4; afterwards, see "
    "--finish.",
)
_FINISH = flags.DEFINE_bool(
    "finish",
    False,
    "Combine the results of tasks 1/n to n/n, found in --output, into the final features.",
)
_ALLOW_MISSING = flags.DEFINE_integer(
    "allow_missing",
    0,
    "Number of unreadable files, or of sentences without a known word, to tolerate.",
    lower_bound=0,
)


def _is_needed(name: str) -> bool:
    share = _share()
    return share is None or is_of_task(name, share)


storage_flags(
    media=["videos", "audio", "images"],
    is_media=suffixes_lib.is_media,
    inputs=["sentences"],
    updated=["output"],
    last=["sums.json", "done.json"],
    only=_is_needed,
)

# Crop for an image model without metadata; MMV (Alayrac et al., 2020) is trained at 200 pixels.
_IMAGE_SIZE = 200
# Ours: the ratio of the short side to the crop, as in the data reader's 200 pixels out of 224.
_MARGIN = 224 / 200


def main(argv: list[str]) -> None:
    """Compute and write the features that are missing."""
    del argv
    given = {
        modality: flag.value
        for modality, flag in (
            ("video", _VIDEOS),
            ("audio", _AUDIO),
            ("image", _IMAGES),
            ("text", _SENTENCES),
        )
        if flag.value is not None
    }
    if len(given) != 1:
        raise command_line.UsageError(
            f"Give exactly one of --videos, --audio, --images and --sentences; got {len(given)}."
        )
    ((modality, source),) = given.items()
    share = _share()
    encoder = network_flags().load_encoder()
    extractor = Extractor(encoder, modality, _NAMES.value, _BATCH_SIZE.value, static_clips=True)
    if modality == "image":
        print(f"Images are embedded by: {encoder.image_by}.")
    description: dict[str, Any] = {
        "model_sha256": encoder.fingerprint,
        "modality": modality,
        "features": list(extractor.names),
    }
    output = pathlib.Path(_OUTPUT.value)
    shown = printable_name(name_of(output))
    # Failures are counted at the end, after everything readable has been embedded.
    failures = Failures(allowed=sys.maxsize)
    if modality == "text":
        versions = _known(extractor, _sentences(pathlib.Path(source)), failures)
        group = _PART_ITEMS.value

        def embed(todo: Sequence[str], store: FeatureStore, failures: Failures) -> None:
            _embed_sentences(extractor, todo, store)

    else:
        views = _views(modality, encoder.settings)
        description["views"] = dataclasses.asdict(views)
        # Fails before the output folder is created.
        paths = _find(pathlib.Path(source), modality)
        versions = {name: media_version(path) for name, path in paths.items()}
        group = group_size(_BATCH_SIZE.value, getattr(views, "windows", 1))
        media = _Media(extractor, paths, versions, views, group)
        embed = media.embed
    tasks = FeatureTasks(output, description, _PART_ITEMS.value, _FORMAT.value, versions, group)
    if share is not None:
        found = tasks.do(share, embed)
        count = sum(share.holds_index(index // group) for index in range(len(versions)))
        print(
            f"task {share} done: {count - len(found.unreadable)} of {len(versions)} items; after "
            f"all tasks, run the command with --finish instead of --task: {shown}"
        )
        return
    if _FINISH.value:
        tasks.finish(failures)
    else:
        store = tasks.store()
        todo = [name for name, version in versions.items() if not store.has(name, version)]
        embed(todo, store, failures)
        store.flush()
    count = len(set(versions) - set(failures.unreadable))
    print(f"{shown} has the {', '.join(extractor.names)} features of {count} items.")
    for reason in failures.unreadable.values():
        print(f"can't be read: {printable_name(reason)}")
    dataclasses.replace(failures, allowed=_ALLOW_MISSING.value).check()


def _share() -> Share | None:
    """Return the share that --task asks for."""
    if _TASK.value is None:
        return None
    if _FINISH.value:
        raise command_line.UsageError("--task and --finish can't be used together.")
    try:
        return Share.parse(_TASK.value)
    except ValueError as error:
        raise command_line.UsageError(f"--task: {error}") from error


def _views(modality: str, settings: Settings) -> Views:
    """Return the views that the flags describe; by default, those of the model's training."""
    size = _SIZE.value or settings.size or _IMAGE_SIZE
    short_side = round(size * _MARGIN)
    if modality == "image":
        return ImageViews(short_side, size)
    frames, rate = _FRAMES.value, _FRAME_RATE.value
    frames = settings.num_frames if frames is None else frames
    rate = settings.frame_rate if rate is None else rate
    seconds = _SECONDS.value
    if modality == "audio" and seconds is not None:
        if not seconds > 0:
            raise command_line.UsageError(f"--window_seconds is {seconds}; it must be above 0.")
        return AudioViews(_WINDOWS.value, seconds)
    if not frames or not rate or frames < 1 or not rate > 0:
        raise command_line.UsageError(
            "The model does not say how long its clips are; give --num_frames and --frame_rate."
        )
    if modality == "audio":
        return AudioViews(_WINDOWS.value, frames / rate)
    return VideoViews(_WINDOWS.value, int(frames), float(rate), short_side, size)


def _find(source: pathlib.Path, modality: str) -> dict[str, pathlib.Path]:
    """Return the paths of the media by id."""
    known = suffixes_lib.SUFFIXES
    suffixes = {
        "video": known[suffixes_lib.VIDEO],
        "audio": (*known[suffixes_lib.SOUND], *known[suffixes_lib.VIDEO]),
        "image": known[suffixes_lib.IMAGE],
    }[modality]
    if source.is_file():
        return {printable_name(source.name): source}
    if not source.is_dir():
        raise ValueError(f"{source}: no such file or folder.")
    paths = {
        printable_name(path.relative_to(source).as_posix()): path
        for path in sorted(source.rglob("*"))
        if path.is_file() and path.suffix.lower() in suffixes
    }
    if not paths:
        raise ValueError(f"{source} has no file ending in {', '.join(suffixes)}.")
    return paths


@dataclasses.dataclass(frozen=True)
class _Media:
    """Media files to embed.

    Attributes:
      extractor: the model's extractor.
      paths, versions: of all files by id, in order.
      views: views for each file.
      group: items of a group, see `feature_tasks`.
    """

    extractor: Extractor
    paths: dict[str, pathlib.Path]
    versions: dict[str, str]
    views: Views
    group: int

    def embed(self, todo: Sequence[str], store: FeatureStore, failures: Failures) -> None:
        """Embed some of the files."""
        groups = {name: index // self.group for index, name in enumerate(self.paths)}
        items = [Item(name, name) for name in todo]
        label = f"embed {self.extractor.modality}"
        done = len(self.paths) - len(todo)
        with Progress(len(self.paths), label, "items", done) as progress:
            read = read_all(items, self.paths, self.views, self.extractor.sample_rate)
            for item, found in embedded(self.extractor, read, failures, progress, groups):
                store.add(item.item_id, self.versions[item.item_id], found)


def _sentences(path: pathlib.Path) -> list[str]:
    """Return the distinct non-empty lines, in order."""
    try:
        # str.splitlines would also split at U+2028 and others, which sentences may contain.
        check_regular(path)
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason}).") from error
    found = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not found:
        raise ValueError(f"{path} has no sentences.")
    return found


def _known(extractor: Extractor, sentences: Sequence[str], failures: Failures) -> dict[str, str]:
    """Return the versions of sentences with a known word; all others would be embedded alike."""
    versions = {}
    for text, is_known in zip(sentences, extractor.known(sentences), strict=True):
        if is_known:
            versions[text] = _version(text)
        else:
            failures.unreadable[text] = f"{text!r} has no word that the model knows"
    return versions


def _embed_sentences(extractor: Extractor, todo: Sequence[str], store: FeatureStore) -> None:
    with Progress(len(todo), "embed text", "sentences") as progress:
        for start in range(0, len(todo), _PART_ITEMS.value):
            some = todo[start : start + _PART_ITEMS.value]
            found = extractor(np.array(some))
            for row, text in enumerate(some):
                features = {name: values[row : row + 1] for name, values in found.items()}
                store.add(text, _version(text), features)
            progress.update(len(some))


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    command_line.run(main)
