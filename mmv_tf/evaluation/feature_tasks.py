# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Computes features in tasks on many machines, each with a share of the items, and merges them.

Items pass through the model in batches, and the last bits of a feature depend on its batch. So the
list of items is divided into groups, no batch spans two groups, and each task gets complete groups.
The merged parts then have the same bytes as if one machine had written them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmv_tf.evaluation.feature_store import DESCRIPTION, FeatureStore
from mmv_tf.evaluation.features import Failures
from mmv_tf.evaluation.listing import shown
from mmv_tf.util import locks
from mmv_tf.util.configuration import read_checked_json, write_checked_json
from mmv_tf.util.progress import Progress
from mmv_tf.util.shares import Share

FOLDER = ".tasks"
_DONE = "done.json"
_NAME = re.compile(r"(\d{6})-of-(\d{6})")
# Ours: approximate items per group; few enough for even shares, yet many batches.
_GROUP_ITEMS = 64

# Embeds items (by id) and adds them to a store; unreadable items are added to the failures.
Embed = Callable[[Sequence[str], FeatureStore, Failures], None]


def group_size(batch_size: int, windows: int) -> int:
    """Return the number of items per group, a multiple of those in a batch.

    Args:
      batch_size: windows in a full batch, or a few more.
      windows: windows per item.
    """
    batch = -(-batch_size // windows)
    return batch * max(1, _GROUP_ITEMS // batch)


def is_of_task(name: str, share: Share) -> bool:
    """Return whether a task needs a file in the output: it needs all except other tasks' files."""
    parts = pathlib.PurePath(name).parts
    return parts[0] != FOLDER or parts[1] == _name(share)


@dataclasses.dataclass(frozen=True)
class FeatureTasks:
    """Tasks of one feature folder.

    Attributes:
      output: the folder.
      description, part_items, file_format: see `FeatureStore`.
      versions: version of each item by id, in order.
      group: number of items per group.
    """

    output: pathlib.Path
    description: Mapping[str, Any]
    part_items: int
    file_format: str
    versions: Mapping[str, str]
    group: int

    def store(self, folder: pathlib.Path | None = None) -> FeatureStore:
        """Open the store of a folder, by default the store of all features."""
        return FeatureStore(
            self.output if folder is None else folder,
            self.description,
            self.part_items,
            self.file_format,
        )

    def do(self, share: Share, embed: Embed) -> Failures:
        """Embed a share of the items into a separate store inside the output folder.

        Returns:
          The items that can't be read.

        Raises:
          ValueError: another program is doing this task, or the output has other features.
        """
        folder = self._folder(share)
        failures = Failures()
        lock = folder.with_suffix(".lock")
        with locks.held(lock, self.output, f"doing the task {share}"):
            (folder / _DONE).unlink(missing_ok=True)
            stores = [self.store(folder)]
            if (self.output / DESCRIPTION).exists():
                stores.append(self.store())
            embed(self._todo(share, stores), stores[0], failures)
            stores[0].flush()
            done = {"listing": self._listing(), "unreadable": failures.unreadable}
            write_checked_json(done, folder / _DONE)
        return failures

    def finish(self, failures: Failures) -> FeatureStore:
        """Merge the stores of all tasks into one, and delete them.

        Args:
          failures: receives the items that tasks could not read.

        Raises:
          ValueError: a task is missing; the message names it.
        """
        count = self._finished()
        shares = [Share(number, count) for number in range(1, count + 1)]
        stores = {share: self.store(self._folder(share)) for share in shares}
        for share in shares:
            failures.unreadable.update(read_checked_json(self._folder(share) / _DONE)["unreadable"])
        merged = self.store()
        with Progress(len(self.versions), "merge", "items") as progress:
            for index, (name, version) in enumerate(self.versions.items()):
                progress.update()
                if name in failures.unreadable or merged.has(name, version):
                    continue
                store = stores[shares[index // self.group % count]]
                merged.add(name, version, store.features(name))
        merged.flush()
        shutil.rmtree(self.output / FOLDER)
        return merged

    def _todo(self, share: Share, stores: Sequence[FeatureStore]) -> list[str]:
        """Return the items in the share's groups that are not complete in any of the stores."""
        names, todo = list(self.versions), []
        for start in range(0, len(names), self.group):
            group = names[start : start + self.group]
            if share.holds_index(start // self.group) and not all(
                any(store.has(name, self.versions[name]) for store in stores) for name in group
            ):
                todo += group
        return todo

    def _finished(self) -> int:
        """Return the task count of a complete set of finished tasks."""
        done: dict[int, set[int]] = {}
        other = []
        for path in sorted((self.output / FOLDER).glob(f"*/{_DONE}")):
            match = _NAME.fullmatch(path.parent.name)
            if match is None:
                continue
            number, count = map(int, match.groups())
            if read_checked_json(path)["listing"] == self._listing():
                done.setdefault(count, set()).add(number)
            else:
                other.append(f"{number}/{count}")
        for count, numbers in done.items():
            if len(numbers) == count:
                return count
        if done:
            count = max(done, key=lambda count: len(done[count]))
            lacking = [f"{i}/{count}" for i in range(1, count + 1) if i not in done[count]]
            raise ValueError(
                f"{self.output}: tasks not done yet: {shown(lacking)}; run --task={lacking[0]} "
                "and so on, then --finish again."
            )
        why = f" (found tasks for other items or settings: {shown(other)})" if other else ""
        raise ValueError(
            f"{self.output}: no task for these items is done{why}; first run the same command with "
            "--task=1/n to --task=n/n instead of --finish."
        )

    def _folder(self, share: Share) -> pathlib.Path:
        return self.output / FOLDER / _name(share)

    def _listing(self) -> str:
        """Return a hash of the items and of everything that their features depend on."""
        text = json.dumps([dict(self.description), dict(self.versions), self.group], default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _name(share: Share) -> str:
    return f"{share.number:06d}-of-{share.count:06d}"
