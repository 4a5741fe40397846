# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Makes an image encoder of a trained video network and fits its batch norms.

  python -m binaries.deflate --model=RUN --data=DIR --output=image_encoder.keras

The images are single frames of the data's training clips; the agreement with the video network on
static clips is measured on frames of other blocks of time. Writes the encoder and, beside it, a
report as JSON.
"""

from __future__ import annotations

import pathlib
from typing import Any

from absl import flags

from mmv_tf import command_line
from mmv_tf.configuration import write_json
from mmv_tf.deflation import deflate, fit_deflated, measure_speed
from mmv_tf.deflation.frames import sample_frames
from mmv_tf.training import load_model, save_model

_MODEL = flags.DEFINE_string("model", None, "A .keras file or the folder of a training run.")
_DATA = flags.DEFINE_string("data", None, "Folder of the shards whose frames are the images.")
_OUTPUT = flags.DEFINE_string("output", None, "The image encoder, a .keras file.")
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Frames to fit on.")
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Frames to measure the agreement on.")
_FRAMES_PER_CLIP = flags.DEFINE_integer("frames_per_clip", 4, "Images of a clip.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Passes over the images.", lower_bound=0)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Of Adam.", lower_bound=0.0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the order of images.")
flags.mark_flags_as_required(["model", "data", "output"])


def main(argv: list[str]) -> None:
    """Reads the flags, deflates, fits, writes."""
    del argv
    output = pathlib.Path(_OUTPUT.value)
    if output.suffix != ".keras":
        raise command_line.UsageError(f"--output={output} does not end in .keras.")
    model = load_model(_MODEL.value)
    image_model = deflate(model)
    train = sample_frames(model, _DATA.value, _TRAIN_SPLIT.value, _FRAMES_PER_CLIP.value)
    test = sample_frames(model, _DATA.value, _TEST_SPLIT.value, _FRAMES_PER_CLIP.value)
    num_frames = model.metadata["num_frames"]
    report = fit_deflated(
        model,
        image_model,
        train,
        test,
        num_frames=num_frames,
        epochs=_EPOCHS.value,
        learning_rate=_LEARNING_RATE.value,
        seed=_SEED.value,
    )
    report["speed"] = measure_speed(model, image_model, test[:1], num_frames)
    print(format_report(report))
    save_model(image_model, output)
    write_json(report, output.with_suffix(".json"))
    print(f"The image encoder is {output}, the report {output.with_suffix('.json')}.")


def format_report(report: dict[str, Any]) -> str:
    """The table, as text."""
    lines = [f"{'agreement on static clips':<28}{'L1':>10}{'cosine':>10}{'rel. error':>12}"]
    for stage in ("naive", "closed_form", "fitted"):
        values = report[stage]
        lines.append(
            f"{stage:<28}{values['l1']:10.5f}{values['cosine']:10.5f}"
            f"{values['relative_error']:12.5f}"
        )
    speed = report["speed"]
    lines.append(
        f"An image takes {1e3 * speed['image_seconds']:.1f} ms, the static clip of "
        f"{speed['num_frames']} frames {1e3 * speed['clip_seconds']:.1f} ms: "
        f"{speed['ratio']:.1f} times faster."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main)
