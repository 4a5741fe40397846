# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exports an index to PostgreSQL with pgvector: one row per window, one column per space."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mmv_tf.search.export import Batch, batches, file_names
from mmv_tf.search.store import Index

# The comment that marks a table as an export, which may be replaced.
_COMMENT = "windows of an index of mmv_tf"
# Maximum number of dimensions that pgvector's index supports.
_MOST_INDEXED = 2000


def export_pgvector(index: Index, url: str, table: str) -> int:
    """Write an index's windows into a table, in one transaction.

    A former export's table is replaced. Columns: `id`, `file`, `file_bytes` (null if the name is
    UTF-8), `hash`, `start` and `end` in seconds, and one of type vector for each space
    ("video.vat", ...), null for windows without a vector, such as silent ones. Each vector column
    has an HNSW index for cosine distance if pgvector supports it.

    Args:
      index: the index.
      url: postgresql://USER@HOST/DATABASE; the password is read, as by all clients, from
        PGPASSWORD or ~/.pgpass.
      table: the table's name.

    Returns:
      The number of rows.

    Raises:
      ValueError: the client is not installed, the table is not an export, or the server can't be
        reached or refuses.
    """
    try:
        import psycopg
    except ImportError as error:
        raise ValueError(f'pgvector needs {error.name}: pip install "mmv_tf[pgvector]".') from error
    if not re.fullmatch(r"[A-Za-z_]\w{0,49}", table, re.ASCII):
        raise ValueError(f"Got the table {table!r}; expected at most 50 letters, digits and _.")
    try:
        with psycopg.connect(url) as connection:  # commits at the end, or rolls everything back
            return _export(connection, index, table)
    except psycopg.Error as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"PostgreSQL reports: {reason}") from error


def _export(connection: Any, index: Index, table: str) -> int:
    from psycopg import sql

    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    former = sql.Identifier(table)
    there, comment = connection.execute(
        "SELECT to_regclass(name), obj_description(to_regclass(name), 'pg_class') "
        "FROM (SELECT %s::text AS name) AS asked",
        [f'"{table}"'],
    ).fetchone()
    if there is not None and comment != _COMMENT:
        raise ValueError(f"There is a table {table!r} that is not an export; choose another table.")
    # Queries of the former table keep working until the new one is complete.
    name, spaces = sql.Identifier(f"{table}_new"), sorted(index.manifest.matrices)
    vectors = [
        sql.SQL("{} vector({})").format(
            sql.Identifier(space), sql.Literal(index.manifest.matrices[space])
        )
        for space in spaces
    ]
    connection.execute(
        sql.SQL(
            "CREATE TABLE {} (id bigint PRIMARY KEY, file text NOT NULL, file_bytes bytea, "
            'hash text, start real NOT NULL, "end" real NOT NULL, {})'
        ).format(name, sql.SQL(", ").join(vectors))
    )
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(_COMMENT)))
    count = 0
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN").format(name)) as copy,
    ):
        for batch in batches(index):
            for row in _rows(batch, spaces):
                copy.write_row((count, *row))
                count += 1
    if connection.execute("SELECT 1 FROM pg_am WHERE amname = 'hnsw'").fetchone():
        for space in spaces:
            if index.manifest.matrices[space] <= _MOST_INDEXED:
                connection.execute(
                    sql.SQL("CREATE INDEX ON {} USING hnsw ({} vector_cosine_ops)").format(
                        name, sql.Identifier(space)
                    )
                )
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(former))
    connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(name, former))
    return count


def _rows(batch: Batch, spaces: list[str]) -> Iterator[tuple[Any, ...]]:
    for row, video in enumerate(batch.videos):
        text, data = file_names(video.name)
        start, end = batch.spans[row].tolist()
        vectors = [
            str(batch.vectors[space][row].tolist()) if batch.has[space][row] else None
            for space in spaces
        ]
        yield (text, data, video.sha256, start, end, *vectors)
