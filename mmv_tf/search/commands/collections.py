# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The commands `merge` and `export`, for whole indexes."""

from __future__ import annotations

import json
import sys
from typing import Any

from absl import flags

from mmv_tf.util import command_line
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags
from mmv_tf.util.text_files import printable_name

flags.disclaim_key_flags()
FLAGS = flags.FLAGS


def define_merge() -> None:
    """Merge indexes, such as the shares of several machines, into one: merge --index=OUT IN ..."""
    flags.DEFINE_string("index", None, "Folder of the new index.", required=True)
    flags.DEFINE_integer(
        "faiss_above", 300_000, "Minimum number of windows for FAISS to be used; -1: never."
    )
    flags.DEFINE_bool("overwrite", False, "Replace an existing index.")
    flags.DEFINE_bool("json", False, "Print the report as JSON.")
    storage_flags(
        updated=["index"], last=["manifest-*.json"], doing="writing this index", arguments=True
    )


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
    print_merged(report)


def define_export() -> None:
    """Write the vectors of an index to a Parquet file or a vector database."""
    flags.DEFINE_string("index", None, "Index folder.", required=True)
    flags.DEFINE_string("output", None, "The Parquet file to write.")
    flags.DEFINE_enum("store", None, ["qdrant", "pgvector"], "The database to write to.")
    flags.DEFINE_string(
        "url",
        None,
        "Database URL: http://HOST:6333, or a folder for Qdrant's embedded mode; "
        "postgresql://USER@HOST/DATABASE. Keys are read from QDRANT_API_KEY and PGPASSWORD.",
    )
    flags.DEFINE_string("collection", "mmv_windows", "The collection or table to write.")
    storage_flags(inputs=["index"], outputs=["output"])


def export(argv: list[str]) -> None:
    """Export an index."""
    del argv
    from mmv_tf.search.export import export_parquet
    from mmv_tf.search.store import open_index
    from mmv_tf.search.stores.pgvector import export_pgvector
    from mmv_tf.search.stores.qdrant import export_qdrant
    from mmv_tf.util.files import check_writable

    if (FLAGS.output is None) == (FLAGS.store is None):
        raise command_line.UsageError("give either --output=FILE.parquet or --store and --url.")
    if FLAGS.store is not None and FLAGS.url is None:
        raise command_line.UsageError(f"--store={FLAGS.store} needs --url.")
    opened = open_index(FLAGS.index)
    for warning in opened.warnings:
        print(f"note: {warning}", file=sys.stderr)
    if FLAGS.output is not None:
        check_writable(FLAGS.output)
        rows = export_parquet(opened, FLAGS.output)
        print(f"{printable_name(name_of(FLAGS.output))}: {rows} vectors.")
        return
    export_to = {"qdrant": export_qdrant, "pgvector": export_pgvector}[FLAGS.store]
    windows = export_to(opened, FLAGS.url, FLAGS.collection)
    print(f"{FLAGS.collection}: {windows} windows.")


def print_merged(report: Any) -> None:
    """Print the notes of a report, and the FAISS files that were built."""
    for note in report.notes:
        print(f"note: {printable_name(note)}")
    for name, made in report.faiss.items():
        print(
            f"FAISS for {name}: recall {made['recall']:.3f} of the top {made['neighbours']} "
            f"({made['queries']} queries), {made['faiss_ms']:.1f} ms per query, exact "
            f"{made['exact_ms']:.1f} ms; built in {made['seconds']:.0f} s"
        )
    print(f"Search: mmv search serve --index={printable_name(name_of(FLAGS.index))}")
