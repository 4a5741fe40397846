# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The lists, media, failures and cached features of a benchmark's run."""

from __future__ import annotations

import dataclasses
import pathlib

from mmv_tf.data.datasets.published import TEST, TRAIN
from mmv_tf.evaluation import features as features_lib
from mmv_tf.evaluation.declaration import Benchmark
from mmv_tf.evaluation.listing import Item, Listing, MediaIndex

PUBLISHED, CHOSEN = "published", "chosen"


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of a run; none of them is part of the protocol's name.

    Attributes:
      lists: the published lists, where they are not in the data's folder.
      features: folder of cached features.
      allow_missing: listed items that may be missing or unreadable.
      C: "chosen" on held-out training groups, "published", or a number.
      batch_size: windows at once; changes no result.
      seed: of random views, order and weights.
      changed: what was changed in the protocol (see `declaration.changed`), for the results.
    """

    features: pathlib.Path
    lists: pathlib.Path | None = None
    allow_missing: int = 0
    C: str | float = CHOSEN
    batch_size: int = 8
    seed: int = 0
    changed: tuple[str, ...] = ()


class ListedMedia:
    """A benchmark's listings and the media of their items.

    Args:
      benchmark: says which lists.
      data: folder of the media.
      options: settings of the run.
      fingerprint: of the network, for the cache.

    Attributes:
      listings: by split.
      tested: (split, item) of all items to test.
      trained: how many items there are to train on.
      paths: by item id.
      failures: items without media, and those that turn out to be unreadable.
      cache: of features.

    Raises:
      ValueError: a list is wrong, or more items than allowed have no media.
    """

    def __init__(
        self, benchmark: Benchmark, data: pathlib.Path, options: Options, fingerprint: str
    ):
        self.listings: dict[str, Listing] = {
            split: benchmark.read_list(data, options.lists, split) for split in benchmark.splits
        }
        self.tested = [
            (split, item) for split, listing in self.listings.items() for item in listing.of(TEST)
        ]
        self.trained = sum(len(listing.of(TRAIN)) for listing in self.listings.values())
        self.failures = features_lib.Failures(options.allow_missing)
        everything = [item for listing in self.listings.values() for item in listing.items]
        self.paths, self.failures.missing = MediaIndex(data).find_all(everything)
        self.failures.check()
        self.cache = features_lib.Cache(
            options.features,
            {
                "protocol": benchmark.name,
                "protocol_version": benchmark.version,
                "model_sha256": fingerprint,
            },
        )

    def readable(self, use: str | None = None) -> list[Item]:
        """Return the items of all listings, of TRAIN or TEST or both, without the failures."""
        return self.failures.without(
            [
                item
                for listing in self.listings.values()
                for item in (listing.items if use is None else listing.of(use))
            ]
        )
