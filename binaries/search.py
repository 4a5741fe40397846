# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Find moments in your own videos.

  python -m binaries.search index --videos=DIR --model=RUN --index=INDEX
  python -m binaries.search query --index=INDEX --text="a rabbit smells flowers"
  python -m binaries.search query --index=INDEX --video=FILE@2-5 --text="night" --query_weights=1,2
  python -m binaries.search query --index=INDEX --text="a dog" --label="barking:0.7"
  python -m binaries.search cut --index=INDEX --moment=FILE@2-5 --output=CLIP.mp4
  python -m binaries.search serve --index=INDEX
  python -m binaries.search merge --index=INDEX SHARD SHARD ...

See docs/search.md.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from absl import flags

from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.util import command_line
from mmv_tf.util.text_files import printable_name

FLAGS = flags.FLAGS
_ORDER = ("text", "audio", "image", "video")


def define_index() -> None:
    """Index the videos of folders, or update the index of folders that changed."""
    flags.DEFINE_multi_string(
        "videos", None, "A folder of videos, or one file; repeat for more.", required=True
    )
    define_network_flags(image_model=True)
    flags.DEFINE_string("index", None, "Folder of the index.", required=True)
    flags.DEFINE_string(
        "classifier",
        None,
        "The .keras file of `binaries.classify fit`, whose labels queries may filter by.",
    )
    flags.DEFINE_string("captions", None, "Captions of a single video; default: beside it.")
    flags.DEFINE_float("step_seconds", None, "Seconds between windows; default: half a window.")
    flags.DEFINE_integer(
        "processes", None, "Number of decoding processes; 0: none; default: half of the cores."
    )
    flags.DEFINE_float("deadline_seconds", 120.0, "Most seconds for decoding a block of windows.")
    flags.DEFINE_integer("faiss_above", 300_000, "Least windows for using FAISS; -1: never.")
    flags.DEFINE_float(
        "frames_per_second",
        4.0,
        "Least frames of a second that images find, in a new index; 0: none.",
    )
    flags.DEFINE_bool("overwrite", False, "Replace an index of another model or folder.")
    flags.DEFINE_string(
        "shard", None, "This machine's share of the files, i/n, such as 2/4; see `merge`."
    )
    flags.DEFINE_bool("retry", False, "Retry files that could not be read before.")
    flags.DEFINE_bool("json", False, "Print the report as JSON.")


def index(argv: list[str]) -> int | None:
    """Update the index."""
    del argv
    from mmv_tf.search.embedder import Embedder
    from mmv_tf.search.files import Shard
    from mmv_tf.search.folders import find_all
    from mmv_tf.search.indexing import Options, update_index
    from mmv_tf.search.labels import WindowLabels

    terminated = _stop_on_sigterm()
    shard = None if FLAGS.shard is None else Shard.parse(FLAGS.shard)
    find_all(FLAGS.videos, FLAGS.captions)  # Before the model is loaded, which takes long.
    network = network_flags()
    embedder = Embedder.load(network.model, **network.options)
    if "text" not in embedder.accepts:
        # Report this before hours of indexing, not at the first query.
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
        "frames_per_second": FLAGS.frames_per_second,
    }
    if FLAGS.processes is not None:
        values["processes"] = FLAGS.processes
    try:
        report = update_index(
            FLAGS.videos, FLAGS.index, embedder, FLAGS.captions, Options(**values), labels
        )
    except KeyboardInterrupt:
        print("Stopped; repeat the command to resume.", file=sys.stderr)
        return command_line.PREEMPTED if terminated else command_line.INTERRUPTED
    if FLAGS.json:
        print(json.dumps(vars(report), indent=1))
        return None
    print(
        f"{report.windows} windows; videos: {len(report.added)} new, {len(report.changed)} "
        f"changed, {len(report.renamed)} renamed, {len(report.removed)} removed, "
        f"{len(report.unchanged)} unchanged, {len(report.skipped)} skipped."
    )
    for note in report.notes:
        print(f"note: {printable_name(note)}")
    for name, reason in sorted(report.skipped.items()):
        print(f"skipped {printable_name(name)}: {printable_name(reason)}")
    for name, made in report.faiss.items():
        print(
            f"FAISS for {name}: recall {made['recall']:.3f} of the {made['neighbours']} best "
            f"({made['queries']} queries), {made['faiss_ms']:.1f} ms a query, exact "
            f"{made['exact_ms']:.1f} ms; made in {made['seconds']:.0f} s"
        )
    print(f"Search: python -m binaries.search serve --index={printable_name(FLAGS.index)}")
    return None


def define_query() -> None:
    """Print the best moments for one or more sentences, audio files, images and clips."""
    flags.DEFINE_string("index", None, "Folder of the index.", required=True)
    flags.DEFINE_multi_string("text", [], "A sentence to search for.")
    flags.DEFINE_multi_string("audio", [], "Audio to search for, FILE or FILE@start-end.")
    flags.DEFINE_multi_string("image", [], "An image to search for.")
    flags.DEFINE_multi_string("video", [], "A clip to search for, FILE or FILE@start-end.")
    flags.DEFINE_list(
        "query_weights",
        [],
        "Weights of the queries in the order --text, --audio, --image, --video; a negative weight "
        "avoids a query; default: all 1.",
    )
    flags.DEFINE_multi_string(
        "label",
        [],
        "Only moments with this label of the index's classifier, NAME or NAME:THRESHOLD (default "
        "0.5); repeat for more, which must all be there.",
    )
    flags.DEFINE_enum("within", "video", ["video", "audio"], "Modality of the videos to search.")
    flags.DEFINE_integer("limit", 10, "Most moments to print.", lower_bound=1)
    flags.DEFINE_bool("exact", False, "Never use FAISS.")
    flags.DEFINE_bool("json", False, "Print JSON.")
    flags.DEFINE_string("model", None, "The model; default: that of the index.")


def query(argv: list[str]) -> None:
    """Search and print the results."""
    del argv
    from mmv_tf.search.embedder import SOUND, VISION
    from mmv_tf.search.labels import parse_label
    from mmv_tf.search.queries import Query
    from mmv_tf.search.searcher import Searcher

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
            f"--query_weights has {len(weights)} numbers for {len(given)} queries; give one for "
            "each."
        )
    within = SOUND if FLAGS.within == "audio" else VISION
    queries = [
        Query(kind, value, weight, within)
        for (kind, value), weight in zip(given, weights, strict=True)
    ]
    searcher = Searcher(FLAGS.index, FLAGS.model, FLAGS.exact)
    opened = searcher.open()
    for warning in opened.warnings:
        print(f"note: {warning}", file=sys.stderr)
    there = opened.manifest.labels
    names = () if there is None else there.names
    labels = [parse_label(text, names) for text in FLAGS.label]
    answer = searcher.search(queries, FLAGS.limit, labels=labels)
    if FLAGS.json:
        moments = [
            {
                "file": moment.video,
                "start": round(moment.start, 3),
                "end": round(moment.end, 3),
                "score": round(moment.score, 5),
                "also": [
                    {"file": o.video, "start": round(o.start, 3), "end": round(o.end, 3)}
                    for o in moment.also
                ],
            }
            for moment in answer.moments
        ]
        print(json.dumps({"approximate": answer.approximate, "moments": moments}, indent=1))
        return
    print(f"{'start':>9}{'end':>9}{'score':>8}  file")
    for moment in answer.moments:
        name = printable_name(moment.video)
        alike = f"  (+{len(moment.also)} alike)" if moment.also else ""
        print(f"{moment.start:9.2f}{moment.end:9.2f}{moment.score:8.3f}  {name}{alike}")


def define_serve() -> None:
    """Serve the search page, by default on this machine only."""
    flags.DEFINE_string("index", None, "Folder of the index.", required=True)
    flags.DEFINE_string("model", None, "The model; default: that of the index.")
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
    flags.DEFINE_integer("http_port", 8600, "HTTP port; 0: any free one.")
    flags.DEFINE_integer("max_upload_mb", 64, "Largest upload to search for, in MiB.")
    flags.DEFINE_integer("limit", 12, "Most moments to show.", lower_bound=1)
    flags.DEFINE_integer("max_connections", 512, "Most connections; a playing video uses one.")
    flags.DEFINE_float("deadline_seconds", 30.0, "Most seconds for decoding an image or upload.")
    flags.DEFINE_float("body_timeout", 120.0, "Most seconds for receiving an upload.")
    flags.DEFINE_float("cut_seconds", 300.0, "Most seconds for cutting a clip.")
    flags.DEFINE_string(
        "token_file",
        None,
        "A file with the token that requests must bring; default: that in MMV_SEARCH_TOKEN.",
    )
    flags.DEFINE_bool("static_page", False, "Serve the new page, with the JSON API.")
    flags.DEFINE_bool("everybody", False, "Allow a --host that others can reach and see videos on.")


def serve(argv: list[str]) -> None:
    """Serve the page."""
    del argv
    from mmv_tf.search.page_settings import MEBIBYTE, PageSettings
    from mmv_tf.search.searcher import Searcher
    from mmv_tf.search.tokens import read_token

    token = read_token(FLAGS.token_file)
    if token is not None and not FLAGS.static_page:
        raise command_line.UsageError("a token needs --static_page.")
    settings = PageSettings(
        host=FLAGS.host,
        port=FLAGS.http_port,
        max_upload_bytes=FLAGS.max_upload_mb * MEBIBYTE,
        results=FLAGS.limit,
        everybody=FLAGS.everybody,
        max_connections=FLAGS.max_connections,
        body_timeout=FLAGS.body_timeout,
        deadline_seconds=FLAGS.deadline_seconds,
        cut_seconds=FLAGS.cut_seconds,
        token=token,
    )
    try:
        if FLAGS.static_page:
            from mmv_tf.search.api.server import run
        else:
            from mmv_tf.search.server import run
    except ImportError as error:
        raise ValueError(f'The page needs {error.name}: pip install "mmv_tf[search]".') from error
    run(Searcher(FLAGS.index, FLAGS.model), settings, lambda line: print(line, flush=True))
    print("Stopped.", flush=True)


def define_cut() -> None:
    """Cut a moment out of its video as an MP4 file."""
    flags.DEFINE_string("index", None, "Folder of the index.", required=True)
    flags.DEFINE_string(
        "moment", None, "The id of a moment (`query --json`), or FILE@start-end.", required=True
    )
    flags.DEFINE_string("output", None, "The MP4 file to write.", required=True)
    flags.DEFINE_enum(
        "mode",
        "exact",
        ["exact", "copy"],
        "exact: encode the moment anew; copy: keep the compressed streams, from the last key frame "
        "before the start on.",
    )
    flags.DEFINE_float("deadline_seconds", 600.0, "Most seconds for cutting.")


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
    _stop_on_sigterm()
    decoder = Decoder(FLAGS.deadline_seconds, processes=1)
    try:
        with replacing(FLAGS.output) as temporary:
            clip = cut_in_child(
                decoder, path, chosen.start, chosen.end, str(temporary.absolute()), FLAGS.mode
            )
    finally:
        decoder.close()
    name = printable_name(chosen.video.name)
    print(f"{printable_name(FLAGS.output)}: {clip.start:.3f} to {clip.end:.3f} s of {name}")


def define_merge() -> None:
    """Merge indexes, such as the shares of several machines, into one: merge --index=OUT IN ..."""
    flags.DEFINE_string("index", None, "Folder of the new index.", required=True)
    flags.DEFINE_integer("faiss_above", 300_000, "Least windows for using FAISS; -1: never.")
    flags.DEFINE_bool("overwrite", False, "Replace an index that is there.")
    flags.DEFINE_bool("json", False, "Print the report as JSON.")


def merge(argv: list[str]) -> None:
    """Merge indexes."""
    from mmv_tf.search.joining import join_indexes

    if len(argv) < 2:
        raise command_line.UsageError("name the indexes to merge: merge --index=OUT IN1 IN2 ...")
    above = None if FLAGS.faiss_above < 0 else FLAGS.faiss_above
    report = join_indexes(argv[1:], FLAGS.index, FLAGS.overwrite, above)
    if FLAGS.json:
        print(json.dumps(vars(report), indent=1))
        return
    print(f"{report.windows} windows of {report.videos} videos from {len(argv) - 1} indexes.")
    for note in report.notes:
        print(f"note: {printable_name(note)}")
    for name, made in report.faiss.items():
        print(f"FAISS for {name}: recall {made['recall']:.3f}; made in {made['seconds']:.0f} s")
    print(f"Search: python -m binaries.search serve --index={printable_name(FLAGS.index)}")


def _stop_on_sigterm() -> list[int]:
    """Make SIGTERM act like Ctrl-C; the returned list holds the signal after SIGTERM."""
    seen: list[int] = []

    def stop(number: int, frame: Any) -> None:
        del frame
        seen.append(number)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGTERM, stop)
    return seen


COMMANDS = {
    "index": (define_index, index),
    "query": (define_query, query),
    "cut": (define_cut, cut),
    "serve": (define_serve, serve),
    "merge": (define_merge, merge),
}

if __name__ == "__main__":
    command_line.run_commands(COMMANDS, with_arguments=("merge",))
