# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Find moments in your own videos.

  mmv search index --videos=DIR --model=RUN --index=INDEX
  mmv search query --index=INDEX --text="a rabbit smells flowers"
  mmv search query --index=INDEX --video=FILE@2-5 --text="night" --query_weights=1,2
  mmv search query --index=INDEX --text="a dog" --label="barking:0.7"
  mmv search query --index=INDEX --text="chop the onions" --within=speech
  mmv search cut --index=INDEX --moment=FILE@2-5 --output=CLIP.mp4
  mmv search serve --index=INDEX
  mmv search merge --index=INDEX SHARD1 SHARD2 ...
  mmv search export --index=INDEX --output=FILE.parquet

See docs/search.md.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from absl import flags

from mmv_tf.data.file_types import is_media
from mmv_tf.data.transcription.flags import define_transcription_flags, transcripts_of_flags
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.search.commands.collections import (
    define_export,
    define_merge,
    export,
    merge,
    print_merged,
)
from mmv_tf.search.commands.serving import define_mcp, define_serve, mcp, serve
from mmv_tf.search.commands.taking import check_list_flags, cut, define_cut, define_list, write_list
from mmv_tf.util import command_line
from mmv_tf.util.storage.workspace import storage_flags
from mmv_tf.util.text_files import printable_name

FLAGS = flags.FLAGS
_ORDER = ("text", "audio", "image", "video")


def define_index() -> None:
    """Index the videos in folders, or update the index of folders that changed."""
    flags.DEFINE_multi_string(
        "videos", None, "A folder of videos, or one file; repeatable.", required=True
    )
    define_network_flags(image_model=True)
    flags.DEFINE_string("index", None, "Index folder.", required=True)
    flags.DEFINE_string(
        "classifier",
        None,
        "A .keras file from `mmv classify fit`, whose labels queries may filter by.",
    )
    flags.DEFINE_string("captions", None, "Captions of a single video; default: those beside it.")
    flags.DEFINE_float("step_seconds", None, "Seconds between windows; default: half a window.")
    flags.DEFINE_integer(
        "processes", None, "Number of decoding processes; 0: none; default: half the cores."
    )
    flags.DEFINE_float("deadline_seconds", 120.0, "Maximum seconds to decode a block of windows.")
    flags.DEFINE_integer(
        "faiss_above", 300_000, "Minimum number of windows for FAISS to be used; -1: never."
    )
    flags.DEFINE_float(
        "frames_per_second",
        4.0,
        "In a new index, minimum number of frames per second that image queries can find; 0: none.",
    )
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Replace an existing index made with another model or from another folder.",
    )
    flags.DEFINE_string(
        "shard",
        None,
        "Index only this machine's share of the files, given as i/n, such as 2/4; see `merge`.",
    )
    flags.DEFINE_bool("moved", False, "--videos is the new location of an index's missing folder.")
    flags.DEFINE_multi_string(
        "forget", [], "A folder to remove from the index, with its videos; repeatable."
    )
    flags.DEFINE_bool("retry", False, "Retry files that could not be read before.")
    define_transcription_flags()
    flags.DEFINE_bool("json", False, "Print the report as JSON.")
    storage_flags(
        media=["videos"],
        is_media=is_media,
        inputs=["classifier", "captions"],
        updated=["index"],
        last=["manifest-*.json"],
        places=["forget"],
        doing="writing this index",
    )


def index(argv: list[str]) -> int | None:
    """Update the index."""
    del argv
    from mmv_tf.search.embedder import Embedder
    from mmv_tf.search.files import Shard
    from mmv_tf.search.folders import find_all
    from mmv_tf.search.indexing import Options, update_index
    from mmv_tf.search.labels import WindowLabels

    terminated = command_line.stop_on_sigterm()
    shard = None if FLAGS.shard is None else Shard.parse(FLAGS.shard)
    find_all(FLAGS.videos, FLAGS.captions)  # Before the models, which load slowly.
    transcripts = transcripts_of_flags(FLAGS.index)
    network = network_flags()
    embedder = Embedder.load(network.model, **network.options)
    if "text" not in embedder.accepts:
        # Reported before hours of indexing, not at the first query.
        print(f"note: {embedder.encoder.refusal('text')}", file=sys.stderr)
    if FLAGS.step_seconds is not None:
        embedder = embedder.with_step(FLAGS.step_seconds)
    labels = None
    if FLAGS.classifier is not None:
        labels = WindowLabels.load(FLAGS.classifier, embedder.windows)
    values: dict[str, Any] = {
        "deadline_seconds": FLAGS.deadline_seconds,
        "faiss_above": None if FLAGS.faiss_above < 0 else FLAGS.faiss_above,
        "retry": FLAGS.retry,
        "overwrite": FLAGS.overwrite,
        "shard": shard,
        "moved": FLAGS.moved,
        "forget": FLAGS.forget,
        "frames_per_second": FLAGS.frames_per_second,
        "transcripts": transcripts,
    }
    if FLAGS.processes is not None:
        values["processes"] = FLAGS.processes
    try:
        report = update_index(
            FLAGS.videos, FLAGS.index, embedder, FLAGS.captions, Options(**values), labels
        )
    except KeyboardInterrupt:
        print("Stopped; rerun the command to resume.", file=sys.stderr)
        return command_line.PREEMPTED if terminated else command_line.INTERRUPTED
    if FLAGS.json:
        print(json.dumps(vars(report), indent=1))
        return None
    print(
        f"{report.windows} windows; videos: {len(report.added)} new, {len(report.changed)} "
        f"changed, {len(report.renamed)} renamed, {len(report.removed)} removed, "
        f"{len(report.unchanged)} unchanged, {len(report.skipped)} skipped."
    )
    if report.cues:
        print(
            f"{report.cues} speech cues; captions of {len(report.captioned)} videos "
            f"indexed, {len(report.transcribed)} videos transcribed."
        )
    for name, reason in sorted(report.skipped.items()):
        print(f"skipped {printable_name(name)}: {printable_name(reason)}")
    print_merged(report)
    return None


def define_query() -> None:
    """Print the best moments for one or more sentences, audio files, images and clips."""
    flags.DEFINE_string("index", None, "Index folder.", required=True)
    flags.DEFINE_multi_string("text", [], "A sentence to search for.")
    flags.DEFINE_multi_string("audio", [], "Audio to search for, given as FILE or FILE@start-end.")
    flags.DEFINE_multi_string("image", [], "An image to search for.")
    flags.DEFINE_multi_string("video", [], "A clip to search for, given as FILE or FILE@start-end.")
    flags.DEFINE_list(
        "query_weights",
        [],
        "Weights of the queries, in the order --text, --audio, --image, --video; a negative weight "
        "avoids a query; default: all 1.",
    )
    flags.DEFINE_multi_string(
        "label",
        [],
        "Return only moments with this label from the index's classifier, given as NAME or "
        "NAME:THRESHOLD (default 0.5); repeatable, in which case all labels are required.",
    )
    flags.DEFINE_enum(
        "within",
        None,
        ["video", "audio", "speech", "all"],
        "What to search: what is seen, heard or said, or seen and said; default: all for sentences "
        "if the index has speech, else video.",
    )
    flags.DEFINE_string(
        "fusion_weights",
        "video=1,speech=1",
        "With --within=all, the weights of what is seen and what is said.",
    )
    flags.DEFINE_integer("limit", 10, "Maximum number of moments to print.", lower_bound=1)
    flags.DEFINE_float(
        "min_score",
        None,
        "Minimum confidence, 0 to 1: the fraction of unrelated queries whose best answer is worse.",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    flags.DEFINE_bool("exact", False, "Never use FAISS.")
    flags.DEFINE_bool("json", False, "Print JSON.")
    define_list()
    flags.DEFINE_string("model", None, "The model; default: the index's model.")
    storage_flags(inputs=["index"], models=["model"], outputs=["output"])


def query(argv: list[str]) -> None:
    """Search and print the results."""
    del argv
    from mmv_tf.search.fusion import FusionWeights
    from mmv_tf.search.labels import parse_label
    from mmv_tf.search.mixing import evidence_line
    from mmv_tf.search.moment_ids import MomentId
    from mmv_tf.search.queries import Query
    from mmv_tf.search.searcher import Searcher

    check_list_flags()
    given = [(kind, value) for kind in _ORDER for value in getattr(FLAGS, kind)]
    if not given and not FLAGS.label:
        raise command_line.UsageError(
            "give at least one of --text, --audio, --image, --video and --label."
        )
    try:
        weights = [float(weight) for weight in FLAGS.query_weights] or [1.0] * len(given)
    except ValueError:
        raise command_line.UsageError(
            f"--query_weights={FLAGS.query_weights}; expected numbers."
        ) from None
    if len(weights) != len(given):
        raise command_line.UsageError(
            f"--query_weights has {len(weights)} numbers for {len(given)} queries; give one per "
            "query."
        )
    try:
        fusion = FusionWeights.parse(FLAGS.fusion_weights)
    except ValueError as error:
        raise command_line.UsageError(f"--fusion_weights: {error}") from None
    queries = [
        Query(kind, value, weight, FLAGS.within)
        for (kind, value), weight in zip(given, weights, strict=True)
    ]
    searcher = Searcher(FLAGS.index, FLAGS.model, FLAGS.exact)
    opened = searcher.open()
    for warning in opened.warnings:
        print(f"note: {warning}", file=sys.stderr)
    there = opened.manifest.labels
    names = () if there is None else there.names
    labels = [parse_label(text, names) for text in FLAGS.label]
    answer = searcher.search(queries, FLAGS.limit, labels=labels, weights=fusion)
    nothing = answer.nothing
    if FLAGS.min_score is not None:
        answer = answer.at_least(FLAGS.min_score)
    if nothing:
        print("note: nothing here matches well.", file=sys.stderr)
    if answer.unknown_words:
        words = printable_name(", ".join(answer.unknown_words))
        print(f"note: the model does not know: {words}", file=sys.stderr)
    if FLAGS.format is not None:
        write_list(searcher, answer.moments)
        return
    if FLAGS.json:
        moments = [
            {
                "id": str(MomentId.of(moment.video, moment.start, moment.end)),
                "file": moment.video,
                "start": round(moment.start, 3),
                "end": round(moment.end, 3),
                "score": round(moment.score, 5),
                "confidence": moment.confidence,
                "found": [dataclasses.asdict(evidence) for evidence in moment.found],
                "also": [
                    {"file": o.video, "start": round(o.start, 3), "end": round(o.end, 3)}
                    for o in moment.also
                ],
            }
            for moment in answer.moments
        ]
        result = {
            "approximate": answer.approximate,
            "nothing": nothing,
            "unknown_words": answer.unknown_words,
            "moments": moments,
        }
        print(json.dumps(result, indent=1))
        return
    print(f"{'start':>9}{'end':>9}{'score':>8}{'confidence':>12}  file")
    for moment in answer.moments:
        name = printable_name(moment.video)
        alike = f"  (+{len(moment.also)} alike)" if moment.also else ""
        sure = "" if moment.confidence is None else f"{moment.confidence:.2f}"
        print(f"{moment.start:9.2f}{moment.end:9.2f}{moment.score:8.3f}{sure:>12}  {name}{alike}")
        for line in map(evidence_line, moment.found):
            print(f"{'':28}{line}")


COMMANDS = {
    "index": (define_index, index),
    "query": (define_query, query),
    "cut": (define_cut, cut),
    "serve": (define_serve, serve),
    "mcp": (define_mcp, mcp),
    "merge": (define_merge, merge),
    "export": (define_export, export),
}

if __name__ == "__main__":
    command_line.run_commands(COMMANDS, with_arguments=("merge",))
