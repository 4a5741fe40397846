# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exports an index to Qdrant: one point per window, with a named vector for each space."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from typing import Any

from mmv_tf.search.export import Batch, batches, file_names
from mmv_tf.search.store import Index

# Ours: points per request, about a megabyte.
_POINTS = 256


def export_qdrant(index: Index, url: str, collection: str) -> int:
    """Write an index's windows into a new collection, then point the alias at it.

    The vectors go into a new collection; then the alias, the name that queries use, changes from
    the former export to it in one step, and the former collection is deleted. A point's payload:
    `file`, `file_bytes` (hexadecimal, only if the name is not UTF-8), `hash`, `start` and `end`.

    Args:
      index: the index.
      url: URL of a server, http://... or https://..., whose key is in QDRANT_API_KEY; or a
        folder for the client's embedded mode.
      collection: the alias.

    Returns:
      The number of points.

    Raises:
      ValueError: the client is not installed, the name is taken by a foreign collection, or the
        server can't be reached or refuses.
    """
    try:
        import qdrant_client
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ApiException
    except ImportError as error:
        raise ValueError(f'Qdrant needs {error.name}: pip install "mmv_tf[qdrant]".') from error
    if not re.fullmatch(r"[\w.-]{1,200}", collection):
        raise ValueError(f"Got the collection {collection!r}; expected letters, digits, - and _.")
    remote = url.startswith(("http://", "https://"))
    where: dict[str, Any] = (
        # The check only adds a three-line warning to an error.
        {"url": url, "api_key": os.environ.get("QDRANT_API_KEY"), "check_compatibility": False}
        if remote
        else {"path": url}
    )
    try:
        client = qdrant_client.QdrantClient(**where)
        try:
            return _export(client, index, collection)
        finally:
            client.close()
    except (ApiException, QdrantException, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{url}: Qdrant reports: {reason}") from error


def _export(client: Any, index: Index, collection: str) -> int:
    from qdrant_client import models

    former = {
        alias.collection_name
        for alias in client.get_aliases().aliases
        if alias.alias_name == collection
    }
    names = {one.name for one in client.get_collections().collections}
    if collection in names:
        raise ValueError(
            f"There is a collection {collection!r} that is not an alias of an export; choose "
            "another --collection."
        )
    # Left by killed exports.
    for name in names - former:
        if re.fullmatch(re.escape(collection) + r"\.export-[0-9a-f]{8}", name):
            client.delete_collection(name)
    new = f"{collection}.export-{os.urandom(4).hex()}"
    client.create_collection(
        new,
        vectors_config={
            name: models.VectorParams(size=dim, distance=models.Distance.COSINE)
            for name, dim in index.manifest.matrices.items()
        },
    )
    count = 0
    for batch in batches(index, _POINTS):
        points = list(_points(batch))
        client.upsert(new, points, wait=True)
        count += len(points)
    changes: list[Any] = [
        models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=collection))
        for _ in former
    ]
    changes.append(
        models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=new, alias_name=collection)
        )
    )
    client.update_collection_aliases(changes)
    for name in former:
        client.delete_collection(name)
    return count


def _points(batch: Batch) -> Iterator[Any]:
    from qdrant_client import models

    for row, video in enumerate(batch.videos):
        vectors = {
            name: values[row].tolist()
            for name, values in batch.vectors.items()
            if batch.has[name][row]
        }
        start, end = batch.spans[row].tolist()
        text, data = file_names(video.name)
        payload = {"file": text, "hash": video.sha256, "start": start, "end": end}
        if data is not None:
            payload["file_bytes"] = data.hex()
        # The same window has the same id in every export.
        name = f"{os.fsencode(video.name).hex()} {start}"
        yield models.PointStruct(
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, name)), vector=vectors, payload=payload
        )
