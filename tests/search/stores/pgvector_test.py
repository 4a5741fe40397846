# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""With a PostgreSQL server: that of MMV_TEST_POSTGRES, or one that pgserver starts."""

import json
import os

import pytest

from mmv_tf.search.stores import pgvector
from mmv_tf.search.stores.pgvector import export_pgvector
from tests.search import export_test
from tests.search.export_test import make

psycopg = pytest.importorskip("psycopg", reason="the extra 'pgvector' is not installed")


def expected(index):
    windows = export_test.expected(index).items()
    return {(name, round(start, 4), space): value for (name, start, space), value in windows}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    given = os.environ.get("MMV_TEST_POSTGRES")
    if given:
        yield given
        return
    pgserver = pytest.importorskip("pgserver", reason="there is no PostgreSQL with pgvector")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def table(url):
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS films")
    return "films"


def read(url, table="films"):
    found = {}
    with psycopg.connect(url) as connection:
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY id")
        columns = [column.name for column in cursor.description]
        for values in cursor.fetchall():
            row = dict(zip(columns, values, strict=True))
            data = row["file_bytes"]
            name = row["file"] if data is None else os.fsdecode(data)
            for space in ("video.va", "audio.va"):
                if row[space] is not None:
                    key = name, round(row["start"], 4), space
                    found[key] = (row["hash"], row["end"], json.loads(row[space]))
    return found


def test_every_window_is_a_row(url, table, tmp_path):
    index = make(tmp_path / "index")
    assert export_pgvector(index, url, table) == index.manifest.rows
    found, right = read(url), expected(index)
    assert found.keys() == right.keys()
    for key, (sha256, end, vector) in right.items():
        assert found[key][:2] == (sha256, pytest.approx(end, abs=1e-6))
        assert found[key][2] == pytest.approx(vector, abs=1e-7)


def test_a_query_finds_its_window(url, table, tmp_path):
    index = make(tmp_path / "index")
    export_pgvector(index, url, table)
    (name, start, _), (_, _, vector) = list(expected(index).items())[2]
    with psycopg.connect(url) as connection:
        row = connection.execute(
            'SELECT file, start FROM films ORDER BY "video.va" <=> %s::vector LIMIT 1',
            [str(vector)],
        ).fetchone()
    assert row == (name, pytest.approx(start, abs=1e-4))


def test_another_export_replaces_the_former_at_once(url, table, tmp_path, monkeypatch):
    export_pgvector(make(tmp_path / "one", ["x.mp4"]), url, table)
    before = read(url)
    index = make(tmp_path / "two")

    def broken(batch, spaces):
        assert read(url) == before, "queries go on while it is written"
        raise KeyboardInterrupt

    monkeypatch.setattr(pgvector, "_rows", broken)
    with pytest.raises(KeyboardInterrupt):
        export_pgvector(index, url, table)
    assert read(url) == before
    monkeypatch.undo()
    for _ in range(2):
        export_pgvector(index, url, table)
        assert read(url).keys() == expected(index).keys()


def test_killed_the_table_is_as_before(url, table, tmp_path, monkeypatch):
    export_pgvector(make(tmp_path / "one", ["x.mp4"]), url, table)
    before = read(url)
    index = make(tmp_path / "two")
    monkeypatch.setattr(pgvector, "_rows", lambda *arguments: os.kill(os.getpid(), 9))
    child = os.fork()
    if child == 0:
        export_pgvector(index, url, table)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    assert read(url) == before
    monkeypatch.undo()
    export_pgvector(index, url, table)
    assert read(url).keys() == expected(index).keys()


def test_a_table_of_others_stays(url, table, tmp_path):
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE films (title text)")
    with pytest.raises(ValueError, match="not an export"):
        export_pgvector(make(tmp_path / "index", ["a"]), url, table)


def test_messages(tmp_path):
    index = make(tmp_path / "index", ["a"])
    with pytest.raises(ValueError, match=r"PostgreSQL reports: .*refused") as error:
        export_pgvector(index, "postgresql://me:secret@127.0.0.1:9/films", "films")
    assert "secret" not in str(error.value)
    for name in ("a b", "x" * 60, 'a"; DROP TABLE b; --', ""):
        with pytest.raises(ValueError, match="expected at most 50"):
            export_pgvector(index, "postgresql://127.0.0.1:9/films", name)
