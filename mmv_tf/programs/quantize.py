# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Quantize a model's video backbone to 8-bit integers for OpenVINO.

  mmv quantize --model=RUN --videos=DIR --output=model_int8
  mmv search index --model=RUN --engine=openvino --quantized=model_int8 --videos=DIR --index=INDEX

The value ranges are calibrated on evenly spaced clips of your own videos; a few hundred are enough.
A fifth of the clips is held out: the program prints how closely the quantized model agrees with the
original on them. Needs the extra quantize.
"""

from __future__ import annotations

import pathlib
import tempfile

import numpy as np
from absl import flags

from mmv_tf.data import preparation
from mmv_tf.data.file_types import is_media
from mmv_tf.data.media import MediaError
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.inference.graph_network import GraphNetwork
from mmv_tf.inference.quantization import check_installed, quantize_video
from mmv_tf.inference.reading import span_clips
from mmv_tf.inference.windows import Windows
from mmv_tf.util import command_line
from mmv_tf.util.progress import Progress
from mmv_tf.util.spacing import evenly_spaced
from mmv_tf.util.storage.workspace import storage_flags
from mmv_tf.util.text_files import printable_name

define_network_flags(engine=False)
_VIDEOS = flags.DEFINE_string(
    "videos", None, "A video, or a folder of videos, to calibrate on.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", required=True)
_CLIPS = flags.DEFINE_integer(
    "num_clips", 300, "Number of clips, a fifth of which is held out.", lower_bound=10
)

storage_flags(media=["videos"], is_media=is_media, updated=["output"], last=["quantized.json"])


def main(argv: list[str]) -> None:
    """Quantize the model, write it and print the agreement."""
    del argv
    output = pathlib.Path(_OUTPUT.value)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise command_line.UsageError(f"--output={output} already exists; choose another folder.")
    chosen = network_flags()
    if chosen.options.get("dtype", "float32") != "float32":
        raise command_line.UsageError(
            "--dtype can't be used here: weights are quantized from float32."
        )
    check_installed()
    # As `load_encoder` opens the model again with the result.
    chosen.options["dtype"] = "float32"
    encoder = chosen.load_encoder()
    network = encoder.network
    if not isinstance(network, GraphNetwork) or network.model is None:
        raise ValueError(
            "Only a model of mmv_tf can be quantized, not a SavedModel or an image model."
        )
    network.check_modality("video")
    paths = [str(source.path) for source in preparation.find(_VIDEOS.value).sources]
    with tempfile.TemporaryDirectory() as folder:
        chosen_paths = [paths[index] for index in evenly_spaced(len(paths), _CLIPS.value)]
        clips = _clips(chosen_paths, encoder.windows(), pathlib.Path(folder))
        print(f"Calibrating on {len(clips)} clips, a fifth of them held out.", flush=True)
        quantized = quantize_video(network, clips, output)
    for name, cosine in quantized.cosines.items():
        print(f"{name}: cosine {cosine['mean']:.4f} on average, {cosine['lowest']:.4f} at worst")
    print(f"The quantized model is in {printable_name(str(output))}.")


def _clips(paths: list[str], windows: Windows, folder: pathlib.Path) -> np.ndarray:
    """Return evenly spaced clips of the videos, uint8 [N, T, size, size, 3], stored in a file."""
    each = -(-_CLIPS.value // len(paths))
    shape = (_CLIPS.value, windows.num_frames, windows.size, windows.size, 3)
    clips = np.lib.format.open_memmap(folder / "clips.npy", "w+", np.uint8, shape)
    count = unreadable = 0
    with Progress(len(paths), "reading", "videos") as shown:
        for path in paths:
            if count == len(clips):
                break
            try:
                found, _ = span_clips(path, windows, most=min(each, len(clips) - count))
            except MediaError as error:
                unreadable += 1
                print(f"note: {printable_name(str(error))}")
                continue
            finally:
                shown.update()
            clips[count : count + len(found)] = found
            count += len(found)
    if unreadable == len(paths):
        raise ValueError(f"None of the {len(paths)} videos can be read; see the notes above.")
    if unreadable:
        print(f"note: {unreadable} of {len(paths)} videos can't be read and were left out.")
    return clips[:count]


if __name__ == "__main__":
    command_line.run(main)
