# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The command `cut`, and the lists of `query`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from mmv_tf.util import command_line
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags
from mmv_tf.util.text_files import printable_name

if TYPE_CHECKING:
    from mmv_tf.search.moments import Moment
    from mmv_tf.search.searcher import Searcher

flags.disclaim_key_flags()
FLAGS = flags.FLAGS


def define_list() -> None:
    """Define the flags of `write_list`."""
    flags.DEFINE_enum(
        "format",
        None,
        ["edl", "fcpxml", "csv", "json"],
        "Write a list of the moments; see --output.",
    )
    flags.DEFINE_string("output", None, "File for the list; default: print it.")
    flags.DEFINE_string(
        "frame_rate", None, "Frame rate of the list, such as 25; default: that of most films."
    )


def check_list_flags() -> None:
    """Check the flags of `write_list` before a search.

    Raises:
      ValueError: the flags contradict each other.
    """
    from mmv_tf.search.edit_lists.timecode import Rate

    if FLAGS.format is None and (FLAGS.output, FLAGS.frame_rate) != (None, None):
        raise command_line.UsageError("--output and --frame_rate need --format.")
    if FLAGS.format is not None and FLAGS.json:
        raise command_line.UsageError("--json and --format can't be used together.")
    if FLAGS.frame_rate is not None:
        Rate.parse(FLAGS.frame_rate)


def write_list(searcher: Searcher, moments: Sequence[Moment]) -> None:
    """Write the list that --format requests."""
    from mmv_tf.search.api.library import Library
    from mmv_tf.search.chosen import Chosen
    from mmv_tf.search.edit_lists import entries_of, list_bytes
    from mmv_tf.util.files import replacing

    manifest = searcher.open().manifest
    videos = {video.name: video for video in manifest.videos}
    chosen = [
        Chosen(videos[moment.video], moment.start, moment.end, moment.score) for moment in moments
    ]
    entries = entries_of(chosen, manifest.folders, captions=Library(searcher).captions)
    data = list_bytes(FLAGS.format, "Moments", entries, FLAGS.frame_rate)
    if FLAGS.output is None:
        sys.stdout.write(data.decode())
        return
    with replacing(FLAGS.output) as temporary:
        temporary.write_bytes(data)
    print(f"{printable_name(name_of(FLAGS.output))}: {len(entries)} moments")


def define_cut() -> None:
    """Cut a moment out of its video as an MP4 file."""
    flags.DEFINE_string("index", None, "Index folder.", required=True)
    flags.DEFINE_string(
        "moment", None, "Id of a moment (`query --json`), or FILE@start-end.", required=True
    )
    flags.DEFINE_string("output", None, "The MP4 file to write.", required=True)
    flags.DEFINE_enum(
        "mode",
        "exact",
        ["exact", "copy"],
        "exact: re-encode the moment; copy: keep the compressed streams, starting at the last key "
        "frame before the moment.",
    )
    flags.DEFINE_float("deadline_seconds", 600.0, "Maximum seconds to cut the clip.")
    storage_flags(inputs=["index"], outputs=["output"])


def cut(argv: list[str]) -> None:
    """Cut a moment."""
    del argv
    from mmv_tf.search.chosen import choose
    from mmv_tf.search.cutting import check_span, cut_in_child
    from mmv_tf.search.decoder import Decoder
    from mmv_tf.search.store import open_index
    from mmv_tf.util.files import check_writable, replacing

    if not FLAGS.output.lower().endswith(".mp4"):
        raise command_line.UsageError(f"--output={FLAGS.output}; expected FILE.mp4.")
    manifest = open_index(FLAGS.index).manifest
    chosen = choose(manifest, FLAGS.moment)
    check_span(chosen.start, chosen.end)
    path = str(manifest.folders.inside(chosen.video.name))
    check_writable(FLAGS.output)
    command_line.stop_on_sigterm()
    decoder = Decoder(FLAGS.deadline_seconds, processes=1)
    try:
        with replacing(FLAGS.output) as temporary:
            clip = cut_in_child(
                decoder, path, chosen.start, chosen.end, str(temporary.absolute()), FLAGS.mode
            )
    finally:
        decoder.close()
    name = printable_name(chosen.video.name)
    print(
        f"{printable_name(name_of(FLAGS.output))}: {clip.start:.3f} to {clip.end:.3f} s of {name}"
    )
