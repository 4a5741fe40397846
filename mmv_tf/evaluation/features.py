# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Features of listed items: reads, embeds and caches them, and counts failures."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.data import media
from mmv_tf.evaluation.declaration import Views
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.evaluation.feature_store import FeatureStore, media_version
from mmv_tf.evaluation.listing import Item, shown
from mmv_tf.evaluation.views import read_all
from mmv_tf.util.progress import Progress


@dataclasses.dataclass
class Failures:
    """Listed items that can't be scored.

    Attributes:
      allowed: number of missing or unreadable items to tolerate.
      missing: ids without media.
      unreadable: id -> reason.
    """

    allowed: int = 0
    missing: list[str] = dataclasses.field(default_factory=list)
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)

    def too_many(self) -> bool:
        """Return whether there are more failures than allowed."""
        return len(self._gone()) > self.allowed

    def _gone(self) -> set[str]:
        return set(self.missing) | set(self.unreadable)

    def check(self) -> None:
        """Check the number of failures.

        Raises:
          ValueError: there are more than allowed.
        """
        if not self.too_many():
            return
        count = len(self._gone())
        reasons = []
        if self.missing:
            names = shown(sorted(set(self.missing)))
            reasons.append(f"{len(set(self.missing))} have no media: {names}")
        if self.unreadable:
            reasons.append(
                f"{len(self.unreadable)} can't be read: {shown(list(self.unreadable.values()))}"
            )
        raise ValueError(
            f"{count} of the listed items can't be scored, more than the {self.allowed} allowed; "
            f"{'; '.join(reasons)}. Add the media, or pass --allow_missing={count}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the result file."""
        return {
            "allowed": self.allowed,
            "missing": sorted(set(self.missing)),
            "unreadable": dict(sorted(self.unreadable.items())),
        }

    def without(self, items: Sequence[Item]) -> list[Item]:
        """Return the items that are not among the failures."""
        gone = self._gone()
        return [item for item in items if item.item_id not in gone]


@dataclasses.dataclass(frozen=True)
class Cache:
    """Feature cache on disk.

    Attributes:
      directory: a folder for all evaluations, with a subfolder for each model and set of views.
      key: what the features depend on besides the views: the model's hash, and the protocol's name
        and version.
    """

    directory: pathlib.Path
    key: Mapping[str, Any]

    def store(self, **others: Any) -> FeatureStore:
        """Return the store for one set of views."""
        description = {**self.key, **others}
        text = json.dumps(description, sort_keys=True)
        name = f"{self.key['protocol']}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        return FeatureStore(self.directory / name, description)


def extract(
    extractor: Extractor,
    items: Sequence[Item],
    paths: Mapping[str, pathlib.Path],
    views: Views,
    failures: Failures,
    cache: Cache,
    seed: int = 0,
) -> FeatureStore:
    """Add the features of all readable items to the cache.

    Args:
      extractor: the model's extractor.
      items: items with a path; items with equal ids count as one.
      paths: path for each item id.
      views: views for each item.
      failures: receives the items that can't be read.
      cache: see `Cache`.
      seed: seed for random views.

    Returns:
      The store, with all items except those in `failures`.

    Raises:
      ValueError: more items fail than allowed.
    """
    store = cache.store(
        modality=extractor.modality,
        features=list(extractor.names),
        views=dataclasses.asdict(views),
        kind=type(views).__name__,
        seed=seed,
    )
    versions = {item.item_id: media_version(paths[item.item_id]) for item in items}
    # A dict, because an item may be in several splits.
    todo = list(
        {
            item.item_id: item
            for item in items
            if not store.has(item.item_id, versions[item.item_id])
        }.values()
    )
    done = len(versions) - len(todo)
    with Progress(len(versions), f"embed {extractor.modality}", "items", done) as progress:
        read = read_all(todo, paths, views, extractor.sample_rate, seed)
        for item, found in embedded(extractor, read, failures, progress):
            store.add(item.item_id, versions[item.item_id], found)
    store.flush()
    failures.check()
    return store


def embedded(
    extractor: Extractor,
    read: Iterable[tuple[Item, np.ndarray | media.MediaError]],
    failures: Failures,
    progress: Progress,
    groups: Mapping[str, int] | None = None,
) -> Iterator[tuple[Item, dict[str, np.ndarray]]]:
    """Yield the features of items in the order read, computed in full batches.

    Unreadable items are added to `failures`. Once there are more than allowed, the remaining items
    are still read, so that all failures are reported, but not embedded.

    Args:
      extractor: the model's extractor.
      read: items with their windows, or why they can't be read.
      failures: receives the items that can't be read.
      progress: counts the items.
      groups: each item id's group; a batch never mixes groups. None treats all as one group.
    """
    waiting: list[tuple[Item, np.ndarray]] = []

    def flush() -> Iterator[tuple[Item, dict[str, np.ndarray]]]:
        if waiting:
            found = extractor.of_items([windows for _, windows in waiting])
            yield from zip([item for item, _ in waiting], found, strict=True)
            progress.update(len(waiting))
            waiting.clear()

    for item, windows in read:
        if isinstance(windows, media.MediaError):
            failures.unreadable[item.item_id] = str(windows)
            progress.write(f"can't be read: {windows}")
            progress.update()
        elif failures.too_many():
            progress.update()
        else:
            if groups and waiting and groups[waiting[0][0].item_id] != groups[item.item_id]:
                yield from flush()
            waiting.append((item, windows))
            if sum(len(some) for _, some in waiting) >= extractor.batch_size:
                yield from flush()
    yield from flush()


def pooled(store: FeatureStore, items: Sequence[Item], name: str) -> np.ndarray:
    """Return each item's mean over its windows, float32 [N, dim]."""
    parts = store.load([item.item_id for item in items], name)
    return np.stack([part.mean(axis=0) for part in parts])


def stacked(store: FeatureStore, items: Sequence[Item], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return all windows of all items, float32 [rows, dim], and the item index of each row."""
    parts = store.load([item.item_id for item in items], name)
    rows = np.concatenate(parts)
    if len(rows) > 1 and (rows == rows[0]).all():
        raise ValueError(
            f"The model's {name!r} is equal for all {len(rows)} windows of {len(items)} "
            "items; nothing can be learned from it. Check the model."
        )
    return rows, np.repeat(np.arange(len(items)), [len(part) for part in parts])
