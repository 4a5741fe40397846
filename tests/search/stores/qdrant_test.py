# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""In the client's embedded mode."""

import os

import numpy as np
import pytest

from mmv_tf.search import export
from mmv_tf.search.stores import qdrant
from mmv_tf.search.stores.qdrant import export_qdrant
from tests.search.export_test import expected, make

qdrant_client = pytest.importorskip("qdrant_client", reason="the extra 'qdrant' is not installed")


def read(path, collection="films"):
    client = qdrant_client.QdrantClient(path=str(path))
    (alias,) = client.get_aliases().aliases
    assert alias.alias_name == collection
    points, _ = client.scroll(alias.collection_name, limit=10_000, with_vectors=True)
    count = len(client.get_collections().collections)
    client.close()
    return points, count


def found(points):
    result = {}
    for point in points:
        payload = point.payload
        name = payload["file"]
        if "file_bytes" in payload:
            name = os.fsdecode(bytes.fromhex(payload["file_bytes"]))
        for space, vector in point.vector.items():
            result[name, payload["start"], space] = (payload["hash"], payload["end"], vector)
    return result


def test_every_window_is_a_point(tmp_path, monkeypatch):
    index = make(tmp_path / "index")
    monkeypatch.setattr(qdrant, "_POINTS", 7)
    count = export_qdrant(index, str(tmp_path / "db"), "films")
    points, _ = read(tmp_path / "db")
    assert count == len(points) == index.manifest.rows
    mine, theirs = found(points), expected(index)
    assert mine.keys() == theirs.keys()
    for key, (sha256, end, vector) in theirs.items():
        assert mine[key][:2] == (sha256, end)
        # A server makes them of unit length again, which float16 is not exactly.
        np.testing.assert_allclose(mine[key][2], vector, atol=3e-4)


def test_a_query_finds_its_window(tmp_path):
    index = make(tmp_path / "index")
    export_qdrant(index, str(tmp_path / "db"), "films")
    (name, start, space), (_, _, vector) = list(expected(index).items())[5]
    client = qdrant_client.QdrantClient(path=str(tmp_path / "db"))
    (alias,) = client.get_aliases().aliases
    answer = client.query_points(alias.collection_name, query=vector, using=space, limit=1)
    (point,) = answer.points
    client.close()
    assert (point.payload["file"], point.payload["start"]) == (name, start)


def test_another_export_replaces_the_former_at_once(tmp_path, monkeypatch):
    export_qdrant(make(tmp_path / "one", ["x.mp4"]), str(tmp_path / "db"), "films")
    first, _ = read(tmp_path / "db")
    index = make(tmp_path / "two")
    whole = export.batches

    def breaks(*arguments):
        yield next(whole(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(qdrant, "batches", breaks)
    with pytest.raises(KeyboardInterrupt):
        export_qdrant(index, str(tmp_path / "db"), "films")
    assert read(tmp_path / "db")[0] == first, "half an export is not seen"
    monkeypatch.undo()
    export_qdrant(index, str(tmp_path / "db"), "films")
    points, collections = read(tmp_path / "db")
    assert found(points).keys() == expected(index).keys()
    assert collections == 1, "the former one and the half one are gone"


def test_a_collection_of_others_stays(tmp_path):
    client = qdrant_client.QdrantClient(path=str(tmp_path / "db"))
    size = qdrant_client.models.VectorParams(size=4, distance="Cosine")
    client.create_collection("films", vectors_config=size)
    client.close()
    with pytest.raises(ValueError, match="not an alias of an export"):
        export_qdrant(make(tmp_path / "index", ["a"]), str(tmp_path / "db"), "films")


def test_messages(tmp_path):
    index = make(tmp_path / "index", ["a"])
    with pytest.raises(ValueError, match=r"^http://127\.0\.0\.1:9: Qdrant reports: .*refused"):
        export_qdrant(index, "http://127.0.0.1:9", "films")
    with pytest.raises(ValueError, match="expected letters"):
        export_qdrant(index, str(tmp_path / "db"), "a/b")
