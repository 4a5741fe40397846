# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Make an image encoder from a trained video model and fit its batch norms.

  mmv deflate --model=RUN --data=DIR --output=image_encoder.keras
  mmv deflate --model=RUN --images=DIR --output=image_encoder.keras

With --data, the encoder is fitted on single frames of training clips and altered copies of them,
and its agreement is measured on frames of test clips. With --images, it is fitted on images or
TFRecords, of which a fifth is held out. Writes the encoder, and a report as JSON and PNG beside it.
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import flags

from mmv_tf.data.file_types import is_media
from mmv_tf.deflation import (
    altered,
    deflate_naively,
    fit_deflated,
    format_report,
    load_images,
    measure_speed,
    plot_report,
    sample_frames,
)
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.training import save_model
from mmv_tf.util import command_line, files
from mmv_tf.util.configuration import write_json
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags

define_network_flags(settings=False, engine=False)
_DATA = flags.DEFINE_string("data", None, "Folder with shards to take frames from.")
_IMAGES = flags.DEFINE_string("images", None, "Instead of --data: a folder of images or TFRecords.")
_OUTPUT = flags.DEFINE_string("output", None, "The .keras file to write.", required=True)
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Split of --data to fit on.")
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Split of --data to evaluate on.")
_FRAMES_PER_CLIP = flags.DEFINE_integer("frames_per_clip", 4, "Frames per clip.", lower_bound=1)
_ALTERED = flags.DEFINE_bool(
    "altered",
    True,
    "With --data, also fit on a strongly altered copy of each frame, to prepare for images unlike "
    "the frames.",
)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 256, "Maximum number of images from --images.", lower_bound=10
)
_SIZE = flags.DEFINE_integer(
    "size", None, "Size of --images in pixels; default: the training size.", lower_bound=32
)
_NUM_FRAMES = flags.DEFINE_integer(
    "num_frames", None, "Frames per static clip; default: as in training.", lower_bound=1
)
_CLIP_ENDS = flags.DEFINE_bool(
    "clip_ends",
    False,
    "Account for the padding at a clip's ends when summing filters over time; the paper does not.",
)
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Epochs over the images.", lower_bound=0)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-2, "Adam's learning rate.", lower_bound=0.0)
_POINTWISE_EPOCHS = flags.DEFINE_integer(
    "pointwise_epochs",
    0,
    "Additional epochs that also train the kernels of 1x1 convolutions; the paper has none.",
    lower_bound=0,
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed for the choice and order of images.")
_FOLD = flags.DEFINE_bool(
    "fold_batch_norms", False, "Fold batch norms into the convolutions, for inference."
)

storage_flags(media=["images"], is_media=is_media, outputs=["output"])


def main(argv: list[str]) -> None:
    """Deflate the model, fit the encoder, and write it with its report."""
    del argv
    output = pathlib.Path(_OUTPUT.value)
    if output.suffix != ".keras":
        raise command_line.UsageError(f"--output={output} does not end in .keras.")
    if (_DATA.value is None) == (_IMAGES.value is None):
        raise command_line.UsageError("Give either --data or --images.")
    model = network_flags().open_model()
    files.check_writable(output)
    num_frames = _NUM_FRAMES.value or _metadata(model, "num_frames")
    image_model = deflate_naively(model, num_frames if _CLIP_ENDS.value else None)
    train, test = _read_images(model)
    report = fit_deflated(
        model,
        image_model,
        train,
        test,
        num_frames=num_frames,
        epochs=_EPOCHS.value,
        learning_rate=_LEARNING_RATE.value,
        seed=_SEED.value,
        pointwise_epochs=_POINTWISE_EPOCHS.value,
    )
    folded = image_model.folded()
    report["speed"] = measure_speed(model, folded, train[:1], num_frames)
    print(format_report(report))
    save_model(folded if _FOLD.value else image_model, output)
    write_json(report, output.with_suffix(".json"))
    plot_report(report, output.with_suffix(".png"))
    beside = ", ".join(name_of(output.with_suffix(suffix)) for suffix in (".json", ".png"))
    print(f"Wrote the image encoder {name_of(output)} and its report, {beside}.")


def _read_images(model: EmbeddingGraph) -> tuple[np.ndarray, np.ndarray | None]:
    if _DATA.value is not None:
        frames = _FRAMES_PER_CLIP.value
        train = sample_frames(model, _DATA.value, _TRAIN_SPLIT.value, frames)
        if _ALTERED.value:
            train = np.concatenate([train, altered(train, _SEED.value)])
        return train, sample_frames(model, _DATA.value, _TEST_SPLIT.value, frames)
    size = _SIZE.value or _metadata(model, "size")
    images = load_images(_IMAGES.value, size, _NUM_IMAGES.value, _SEED.value)
    if len(images) < _NUM_IMAGES.value:
        print(f"Using all {len(images)} images; --num_images is {_NUM_IMAGES.value}.")
    return images, None


def _metadata(model: EmbeddingGraph, name: str) -> int:
    if name not in model.metadata:
        raise command_line.UsageError(f"The model's metadata lacks the {name}; give --{name}.")
    return model.metadata[name]


if __name__ == "__main__":
    command_line.run(main)
