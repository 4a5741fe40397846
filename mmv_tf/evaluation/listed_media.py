# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Lists, media, failures and cached features for a benchmark run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from mmv_tf.data.datasets.published import TEST, TRAIN
from mmv_tf.evaluation import features as features_lib
from mmv_tf.evaluation.declaration import Benchmark
from mmv_tf.evaluation.listing import Item, Listing, MediaIndex

PUBLISHED, CHOSEN = "published", "chosen"


@dataclasses.dataclass(frozen=True)
class Options:
    """Run settings that are not part of the protocol.

    Attributes:
      lists: file or folder of the published lists; by default, the data folder.
      features: folder of cached features.
      allow_missing: number of missing or unreadable items to tolerate.
      C: "chosen" to select it on held-out training groups, "published", or a number.
      batch_size: windows per batch; does not affect the results.
      seed: seed for random views, order and weights.
      changed: changed protocol settings (see `declaration.changed`), for the results.
    """

    features: pathlib.Path
    lists: pathlib.Path | None = None
    allow_missing: int = 0
    C: str | float = CHOSEN
    batch_size: int = 8
    seed: int = 0
    changed: tuple[str, ...] = ()


class ListedMedia:
    """A benchmark's listings and their items' media.

    Args:
      benchmark: the protocol.
      data: the media folder.
      options: run settings.
      fingerprint: the model's fingerprint, for the cache.

    Attributes:
      listings: each split's listing.
      tested: (split, item) of all test items.
      trained: number of training items.
      paths: path for each item id.
      failures: items with missing or unreadable media.
      cache: feature cache.

    Raises:
      ValueError: a list is invalid, or more items than allowed have no media.
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
        # Without training views, the training media are not needed.
        use = TEST if benchmark.train_views is None else None
        everything = [item for one in self.listings.values() for item in _items(one, use)]
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
        """Return the items of all listings, except failures, for TRAIN, TEST or, if None, both."""
        return self.failures.without(
            [item for listing in self.listings.values() for item in _items(listing, use)]
        )


def _items(listing: Listing, use: str | None) -> Sequence[Item]:
    return listing.items if use is None else listing.of(use)
