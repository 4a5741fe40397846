# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
r"""Prepare training data from videos: TFRecord shards and a manifest.json.

  mmv prepare_data --videos=film.mp4 --captions=film.vtt --output=data \
    --split_pattern=train,train,test,train,validation

cuts a film into clips with frames, audio and captions. The film is split by blocks of time, so that
no caption or clip is in two splits. The sources are one of

  --videos    a video, or a folder of videos with captions (.vtt, .srt, .json3) beside them
  --list      a table (.csv, .tsv, .jsonl) with the column path and the optional columns start, end,
              label, split, captions, example_id, text
  --dataset   the name of a published data set, laid out in --data as published

Repeat the command to resume after an interruption. To share the work between machines, run the
same command with --task=1/n to --task=n/n on them, and then once with --finish. See docs/data.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from absl import flags

from mmv_tf.data import preparation
from mmv_tf.data.datasets import DATA_SETS, WITHOUT_HELD_OUT, read_data_set
from mmv_tf.data.preparation.sources import IMAGE, SOUND, VIDEO
from mmv_tf.data.preparation.transcribing import transcribed
from mmv_tf.data.transcription.flags import define_transcription_flags, transcripts_of_flags
from mmv_tf.util import command_line
from mmv_tf.util.shares import Share
from mmv_tf.util.storage.media import outline
from mmv_tf.util.storage.urls import is_remote, local_path
from mmv_tf.util.text_files import printable_name
from mmv_tf.util.worker_pool import Failure

_DEFAULTS = preparation.Settings()
_MEDIA_KINDS = {"video": VIDEO, "audio": SOUND, "image": IMAGE}

_VIDEOS = flags.DEFINE_string(
    "videos",
    None,
    "A video, or a folder of videos, each with a caption file of the same name beside it.",
)
_MEDIA = flags.DEFINE_enum("media", "video", _MEDIA_KINDS, "Kind of files to read from --videos.")
_CAPTIONS = flags.DEFINE_string(
    "captions", None, "Captions of a single video: .vtt, .srt, .json3, .tsv or .csv."
)
_LIST = flags.DEFINE_string(
    "list", None, "Instead of --videos: a .csv, .tsv or .jsonl file with one row per clip or file."
)
_DATASET = flags.DEFINE_enum(
    "dataset", None, list(DATA_SETS.names()), "Instead of --videos: a published data set."
)
_DIRECTORY = flags.DEFINE_string("data", None, "Folder with the lists and media of --dataset.")
_VALIDATION_ONE_IN = flags.DEFINE_integer(
    "validation_one_in",
    None,
    "With --dataset=howto100m, put one in N videos into the validation split; default: 1000; 0: "
    "none.",
    lower_bound=0,
)
_LABELS = flags.DEFINE_string(
    "labels",
    None,
    "A .tsv file with the columns start, end, label (or subject) and caption, to label "
    "captions with.",
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)
_FRAME_RATE = flags.DEFINE_float("frame_rate", _DEFAULTS.frame_rate, "Stored frames per second.")
_SHORT_SIDE = flags.DEFINE_integer(
    "short_side", _DEFAULTS.short_side, "Shorter side of stored frames in pixels."
)
_JPEG_QUALITY = flags.DEFINE_integer(
    "jpeg_quality", _DEFAULTS.jpeg_quality, "JPEG quality, 1 to 95."
)
_STORE = flags.DEFINE_enum(
    "store",
    _DEFAULTS.store,
    preparation.STORES,
    "Store frames as JPEGs and audio as floats, or each clip as a video (H.264 with Opus or AAC).",
)
_VIDEO_CRF = flags.DEFINE_integer(
    "video_crf",
    _DEFAULTS.video_crf,
    "With --store=video, x264's constant rate factor, 1 to 51; adding 6 roughly halves the bytes.",
)
_SAMPLE_RATE = flags.DEFINE_integer(
    "sample_rate", _DEFAULTS.sample_rate, "Sample rate of stored audio in Hz."
)
_AUDIO_FORMAT = flags.DEFINE_enum(
    "audio_format",
    _DEFAULTS.sound,
    preparation.SOUNDS,
    "Form of stored audio: samples, a log-mel spectrogram with MMV's settings, or none.",
)
_CUT = flags.DEFINE_enum(
    "cut",
    None,
    preparation.CUTS,
    "Cut one clip per caption, one per time window, or clips as listed (whole files where no times "
    "are listed); default: caption for --videos, list for --list and most data sets.",
)
_CONTEXT_SECONDS = flags.DEFINE_float(
    "context_seconds", _DEFAULTS.context_seconds, "Seconds added to both ends of a caption's clip."
)
_MIN_CLIP_SECONDS = flags.DEFINE_float(
    "min_clip_seconds", _DEFAULTS.min_clip_seconds, "Minimum length of a caption's clip."
)
_WINDOW_SECONDS = flags.DEFINE_float(
    "window_seconds", _DEFAULTS.window_seconds, "Length of a window."
)
_STRIDE_SECONDS = flags.DEFINE_float(
    "stride_seconds", _DEFAULTS.stride_seconds, "Seconds between the starts of windows."
)
_BLOCK_SECONDS = flags.DEFINE_float(
    "block_seconds",
    _DEFAULTS.block_seconds,
    "Approximate length of the blocks that are assigned to splits.",
)
_SPLIT_PATTERN = flags.DEFINE_list(
    "split_pattern", list(_DEFAULTS.split_pattern), "Splits to assign to the blocks in turn."
)
_CAPTION_WINDOW_SECONDS = flags.DEFINE_float(
    "caption_window_seconds",
    _DEFAULTS.caption_window_seconds,
    "With each clip, also store captions from its block that lie within this many seconds of the "
    "clip.",
)
_NUM_SHARDS = flags.DEFINE_integer("num_shards", _DEFAULTS.num_shards, "Shards per split.")
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "Number of decoding processes; default: one per core."
)
_DEADLINE_SECONDS = flags.DEFINE_float(
    "deadline_seconds", 300.0, "Maximum seconds to decode one piece; slower pieces are skipped."
)
_RUNNER = flags.DEFINE_enum(
    "runner",
    "local",
    ("local", "beam"),
    "Run in local processes, or on Apache Beam (an extra), whose workers must all see the same "
    "paths.",
)
_BEAM_OPTION = flags.DEFINE_multi_string(
    "beam_option",
    [],
    "With --runner=beam, a pipeline option such as --beam_option=--runner=FlinkRunner; repeatable. "
    "Default: the DirectRunner on --processes threads.",
)
_TASK = flags.DEFINE_string(
    "task",
    None,
    "Decode only this machine's share of the sources, given as i/n, such as 2/4; afterwards, see "
    "--finish.",
)
_FINISH = flags.DEFINE_bool(
    "finish",
    False,
    "Combine the results of tasks 1/n to n/n, found in --output, into the final shards.",
)
define_transcription_flags()
_ALL_ROWS = flags.DEFINE_bool(
    "all_rows", False, "Print every row, not only failures, even for more than 50 sources."
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace existing data made with other settings."
)


def main(argv: list[str]) -> None:
    """Prepare the data and print a report."""
    del argv
    _check_flags()
    share = _share()
    sources, cut, facts, passed_over = _sources()
    settings = _settings(cut)
    transcripts = transcripts_of_flags(_OUTPUT.value)
    if transcripts is not None:
        sources, notes = transcribed(sources, transcripts)
        for note in notes:
            print(f"note: {printable_name(note)}")
    log_mel = None
    if settings.sound == "log_mel":
        # Imported here because it takes seconds.
        from mmv_tf.layers import LogMel

        log_mel = (LogMel, (("sample_rate", settings.sample_rate),))
    processes = _PROCESSES.value
    if processes is None:
        processes = len(os.sched_getaffinity(0))
    if processes < 1 or not _DEADLINE_SECONDS.value > 0:
        raise command_line.UsageError("--processes and --deadline_seconds must be above 0.")
    execution = preparation.Execution(
        processes=processes,
        deadline_seconds=_DEADLINE_SECONDS.value,
        beam=_RUNNER.value == "beam",
        beam_options=tuple(_BEAM_OPTION.value),
    )
    output = local_path(_OUTPUT.value)
    labels = _LABELS.value and str(outline(_LABELS.value, lambda name: True))
    if share is not None:
        job = preparation.Job(sources, settings, labels, facts, log_mel, execution)
        _do_task(job, output, share)
        return
    manifest, was_there = preparation.prepare(
        sources,
        output,
        settings,
        labels=labels,
        overwrite=_OVERWRITE.value,
        facts=facts,
        log_mel=log_mel,
        passed_over=passed_over,
        execution=execution,
        finish=_FINISH.value,
    )
    print(preparation.format_report(manifest, _ALL_ROWS.value))
    state = "already prepared, nothing to do" if was_there else "done"
    dropped = preparation.format_dropped(manifest["dropped"])
    path = printable_name(os.path.join(output, "manifest.json"))
    print(f"{state}: {path}{dropped and f'; dropped: {dropped}'}")


def _do_task(job: preparation.Job, output: str, share: Share) -> None:
    """Do a share of the work, and print a summary."""
    results = preparation.prepare_task(job, output, share, _OVERWRITE.value)
    path = printable_name(output)
    if results is None:
        print(f"already prepared, nothing to do: {path}")
        return
    failed = [
        sum(isinstance(one, Failure) for one in outcomes.values())
        for outcomes in (results.probes, results.outcomes)
    ]
    print(
        f"task {share} done: {len(results.probes)} of {len(job.sources)} sources "
        f"({failed[0]} can't be used) in {len(results.outcomes)} blocks ({failed[1]} lost); "
        f"after all tasks, run the command with --finish instead of --task: {path}"
    )


def _share() -> Share | None:
    """Return the share that --task asks for."""
    if _TASK.value is None:
        return None
    try:
        return Share.parse(_TASK.value)
    except ValueError as error:
        raise command_line.UsageError(f"--task: {error}") from error


def _check_flags() -> None:
    """Check flags that need or exclude each other."""
    given = [flag.name for flag in (_VIDEOS, _LIST, _DATASET) if flag.value]
    if not given:
        raise command_line.UsageError(
            "one of --videos, --list and --dataset is required; see --help."
        )
    if len(given) > 1:
        raise command_line.UsageError(f"--{given[0]} and --{given[1]} can't be used together.")
    if bool(_DATASET.value) != bool(_DIRECTORY.value):
        raise command_line.UsageError("--dataset and --data must be given together.")
    if _VALIDATION_ONE_IN.value is not None and _DATASET.value not in WITHOUT_HELD_OUT:
        raise command_line.UsageError(
            f"--validation_one_in is for --dataset={' or '.join(WITHOUT_HELD_OUT)}; other data "
            "sets have published splits, and your own films are split by --split_pattern."
        )
    if _CAPTIONS.value and not _VIDEOS.value:
        raise command_line.UsageError(
            "--captions applies only to --videos; a list has its own captions column."
        )
    if _TASK.value is not None and _FINISH.value:
        raise command_line.UsageError("--task and --finish can't be used together.")
    if (_TASK.value is not None or _FINISH.value) and flags.FLAGS.transcribe is not None:
        raise command_line.UsageError(
            "--transcribe can't be shared between tasks: each task would need all transcripts; "
            "leave --task and --finish out, or put caption files beside the videos."
        )
    own_transcripts = flags.FLAGS.transcripts is None
    if flags.FLAGS.transcribe is not None and is_remote(_OUTPUT.value) and own_transcripts:
        raise command_line.UsageError(
            "--transcribe with an --output in a store needs --transcripts, a local folder."
        )
    if _BEAM_OPTION.value and _RUNNER.value != "beam":
        raise command_line.UsageError("--beam_option needs --runner=beam.")


def _sources() -> tuple[
    Sequence[preparation.Source], str, preparation.DataSetFacts, Mapping[str, int]
]:
    """Return the sources, their default cut, facts on the data set, and skipped files."""
    if _LIST.value:
        return preparation.read_listing(_LIST.value), "list", preparation.DataSetFacts(), {}
    if _DATASET.value:
        collection = read_data_set(_DATASET.value, _DIRECTORY.value, _VALIDATION_ONE_IN.value)
        facts = preparation.DataSetFacts(collection.name, collection.labels, collection.folds)
        return collection.sources, collection.cut, facts, {}
    found = preparation.find(_VIDEOS.value, _CAPTIONS.value, _MEDIA_KINDS[_MEDIA.value])
    cut = "caption" if _MEDIA.value == "video" else "list"
    return found.sources, cut, preparation.DataSetFacts(), found.passed_over


def _settings(cut: str) -> preparation.Settings:
    """Return the settings given by the flags; an invalid one is a `UsageError`."""
    try:
        return preparation.Settings(
            frame_rate=_FRAME_RATE.value,
            short_side=_SHORT_SIDE.value,
            jpeg_quality=_JPEG_QUALITY.value,
            sample_rate=_SAMPLE_RATE.value,
            sound=_AUDIO_FORMAT.value,
            cut=cut if _CUT.value is None else _CUT.value,
            context_seconds=_CONTEXT_SECONDS.value,
            min_clip_seconds=_MIN_CLIP_SECONDS.value,
            window_seconds=_WINDOW_SECONDS.value,
            stride_seconds=_STRIDE_SECONDS.value,
            block_seconds=_BLOCK_SECONDS.value,
            split_pattern=tuple(_SPLIT_PATTERN.value),
            caption_window_seconds=_CAPTION_WINDOW_SECONDS.value,
            num_shards=_NUM_SHARDS.value,
            store=_STORE.value,
            video_crf=_VIDEO_CRF.value,
        )
    except ValueError as error:
        raise command_line.UsageError(str(error)) from error


if __name__ == "__main__":
    command_line.run(main)
