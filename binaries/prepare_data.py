# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Makes training data from videos: TFRecord shards and a manifest.json.

  python -m binaries.prepare_data --videos=film.mp4 --captions=film.vtt --output=data \\
    --split_pattern=train,train,test,train,validation

cuts a film into clips with their frames, sound and captions. The film is split by blocks of time:
no caption or clip is in two splits. Interrupted, the same command goes on from where it was.
"""

from __future__ import annotations

import os

from absl import flags

from mmv_tf import command_line
from mmv_tf.data import preparation

_DEFAULTS = preparation.Settings()

_VIDEOS = flags.DEFINE_string(
    "videos", None, "A video, or a folder of videos with captions of the same name beside each."
)
_CAPTIONS = flags.DEFINE_string(
    "captions", None, "Captions of a single video: .vtt, .srt, .json3, .tsv or .csv."
)
_LABELS = flags.DEFINE_string(
    "labels", None, "A .tsv with start, end, label (or subject), caption: gives captions labels."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.")
_FRAME_RATE = flags.DEFINE_float("frame_rate", _DEFAULTS.frame_rate, "Stored frames a second.")
_SHORT_SIDE = flags.DEFINE_integer(
    "short_side", _DEFAULTS.short_side, "Pixels of a stored frame's shorter side."
)
_JPEG_QUALITY = flags.DEFINE_integer("jpeg_quality", _DEFAULTS.jpeg_quality, "1 to 95.")
_SAMPLE_RATE = flags.DEFINE_integer(
    "sample_rate", _DEFAULTS.sample_rate, "Of the stored sound, in Hz."
)
_CUT = flags.DEFINE_enum(
    "cut", _DEFAULTS.cut, preparation.CUTS, "A clip for each caption, or for each window of time."
)
_CONTEXT_SECONDS = flags.DEFINE_float(
    "context_seconds", _DEFAULTS.context_seconds, "Added to both ends of a caption's clip."
)
_MIN_CLIP_SECONDS = flags.DEFINE_float(
    "min_clip_seconds", _DEFAULTS.min_clip_seconds, "Shorter clips of captions are widened to it."
)
_WINDOW_SECONDS = flags.DEFINE_float(
    "window_seconds", _DEFAULTS.window_seconds, "Length of a window."
)
_STRIDE_SECONDS = flags.DEFINE_float(
    "stride_seconds", _DEFAULTS.stride_seconds, "From one window's start to the next one's."
)
_BLOCK_SECONDS = flags.DEFINE_float(
    "block_seconds", _DEFAULTS.block_seconds, "About how long the blocks are that are split."
)
_SPLIT_PATTERN = flags.DEFINE_list(
    "split_pattern", list(_DEFAULTS.split_pattern), "Splits, dealt out to the blocks in turn."
)
_CAPTION_WINDOW_SECONDS = flags.DEFINE_float(
    "caption_window_seconds",
    _DEFAULTS.caption_window_seconds,
    "Captions of the same block within this of a clip are stored with it.",
)
_NUM_SHARDS = flags.DEFINE_integer("num_shards", _DEFAULTS.num_shards, "Files of each split.")
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "How many videos or blocks are decoded at once; by default one a core."
)
_DEADLINE_SECONDS = flags.DEFINE_float(
    "deadline_seconds", 300.0, "A block that takes longer to decode is given up and reported."
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace data of other settings that the output folder holds."
)


def main(argv: list[str]) -> None:
    """See the module."""
    del argv
    for flag in (_VIDEOS, _OUTPUT):
        if not flag.value:
            raise command_line.UsageError(f"--{flag.name} is missing; see --help.")
    try:
        settings = preparation.Settings(
            frame_rate=_FRAME_RATE.value,
            short_side=_SHORT_SIDE.value,
            jpeg_quality=_JPEG_QUALITY.value,
            sample_rate=_SAMPLE_RATE.value,
            cut=_CUT.value,
            context_seconds=_CONTEXT_SECONDS.value,
            min_clip_seconds=_MIN_CLIP_SECONDS.value,
            window_seconds=_WINDOW_SECONDS.value,
            stride_seconds=_STRIDE_SECONDS.value,
            block_seconds=_BLOCK_SECONDS.value,
            split_pattern=tuple(_SPLIT_PATTERN.value),
            caption_window_seconds=_CAPTION_WINDOW_SECONDS.value,
            num_shards=_NUM_SHARDS.value,
        )
    except ValueError as error:
        raise command_line.UsageError(str(error)) from error
    processes = _PROCESSES.value
    if processes is None:
        processes = len(os.sched_getaffinity(0))
    if processes < 1 or not _DEADLINE_SECONDS.value > 0:
        raise command_line.UsageError("--processes and --deadline_seconds must be above 0.")
    sources = preparation.find_sources(_VIDEOS.value, _CAPTIONS.value)
    manifest, was_there = preparation.prepare(
        sources,
        _OUTPUT.value,
        settings,
        labels=_LABELS.value,
        processes=processes,
        deadline_seconds=_DEADLINE_SECONDS.value,
        overwrite=_OVERWRITE.value,
    )
    print(preparation.format_report(manifest))
    state = "already prepared, nothing to do" if was_there else "done"
    print(f"{state}: {os.path.join(_OUTPUT.value, 'manifest.json')}")


if __name__ == "__main__":
    command_line.run(main)
