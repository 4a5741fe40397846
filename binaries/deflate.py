# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Makes an image encoder of a trained video network and fits its batch norms.

  python -m binaries.deflate --model=RUN --data=DIR --output=image_encoder.keras
  python -m binaries.deflate --model=RUN --images=DIR --output=image_encoder.keras

The images are single frames of the data's training clips and altered copies of them, with the
agreement measured on frames of its test clips; or those of a folder of pictures or TFRecords, a
fifth of which is held out. Writes the encoder and, beside it, a report as JSON and PNG.
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import flags

from mmv_tf.deflation import (
    altered,
    deflate,
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

define_network_flags(settings=False)
_DATA = flags.DEFINE_string("data", None, "Folder of prepare_data's shards, whose frames to take.")
_IMAGES = flags.DEFINE_string("images", None, "Instead: a folder of pictures, or of TFRecords.")
_OUTPUT = flags.DEFINE_string("output", None, "The image encoder, a .keras file.", required=True)
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Of --data: frames to fit on.")
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Of --data: frames to measure on.")
_FRAMES_PER_CLIP = flags.DEFINE_integer("frames_per_clip", 4, "Images of a clip.", lower_bound=1)
_ALTERED = flags.DEFINE_bool(
    "altered",
    True,
    "Of --data: fit on a strongly altered copy of each frame too, so that the encoder holds for "
    "other pictures.",
)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 256, "Images of --images, at most; all if there are fewer.", lower_bound=10
)
_SIZE = flags.DEFINE_integer(
    "size", None, "Of --images, in pixels; by default the network's training size.", lower_bound=32
)
_NUM_FRAMES = flags.DEFINE_integer(
    "num_frames", None, "Of the static clips; by default as in training.", lower_bound=1
)
_CLIP_ENDS = flags.DEFINE_bool(
    "clip_ends",
    False,
    "Count the padding at a clip's ends when filters are summed over time, instead of leaving it "
    "to the fit alone, as the paper does.",
)
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Passes over the images.", lower_bound=0)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-2, "Of Adam.", lower_bound=0.0)
_POINTWISE_EPOCHS = flags.DEFINE_integer(
    "pointwise_epochs",
    0,
    "Then as many passes that train the kernels of 1x1 convolutions too, which the paper does not.",
    lower_bound=0,
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the choice and order of images.")
_FOLD = flags.DEFINE_bool(
    "fold_batch_norms", False, "Write the encoder with its batch norms folded, for inference."
)


def main(argv: list[str]) -> None:
    """Reads the flags, deflates, fits, writes."""
    del argv
    output = pathlib.Path(_OUTPUT.value)
    if output.suffix != ".keras":
        raise command_line.UsageError(f"--output={output} does not end in .keras.")
    if (_DATA.value is None) == (_IMAGES.value is None):
        raise command_line.UsageError("Give either --data or --images.")
    model = network_flags().open_model()
    files.check_writable(output)
    num_frames = _NUM_FRAMES.value or _metadata(model, "num_frames")
    image_model = deflate(model, num_frames if _CLIP_ENDS.value else None)
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
    beside = ", ".join(str(output.with_suffix(suffix)) for suffix in (".json", ".png"))
    print(f"The image encoder is {output}, the report {beside}.")


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
        print(f"{len(images)} images are there, {_NUM_IMAGES.value} were asked for; taking these.")
    return images, None


def _metadata(model: EmbeddingGraph, name: str) -> int:
    if name not in model.metadata:
        raise command_line.UsageError(f"The network's metadata lack its {name}; give --{name}.")
    return model.metadata[name]


if __name__ == "__main__":
    command_line.run(main)
