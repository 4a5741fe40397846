# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses

import pytest

from mmv_tf.data import preparation
from mmv_tf.util.worker_pool import WorkerPool
from tests import media_samples

SETTINGS = preparation.Settings(
    cut="window", window_seconds=4.0, frame_rate=4.0, short_side=48, num_shards=1
)


@dataclasses.dataclass(frozen=True)
class InPool(preparation.Execution):
    """Runner of tasks in a pool that stays, so that its child can be inspected."""

    pool: WorkerPool | None = None

    def runner(self, results):
        return contextlib.nullcontext(self.pool)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_film(tmp_path):
    """A child needs no more memory for a film five times as long."""
    sizes, peaks = [], []
    with WorkerPool(1, 120.0) as pool:
        for name, seconds in (("short", 40.0), ("long", 200.0)):
            film = media_samples.write_film(
                tmp_path / f"{name}.mp4", seconds, frame_rate=4, audio_rate=48_000, channels=1
            )
            manifest, _ = preparation.prepare(
                preparation.find_sources(film),
                tmp_path / name,
                SETTINGS,
                execution=InPool(pool=pool),
            )
            (shard,) = manifest["splits"]["train"]["shards"]
            sizes.append(shard["bytes"])
            peaks.append(pool.peak_bytes())
    assert sizes[1] > 4 * sizes[0]
    # Holding all frames, in any form, would take at least that much more. 1 MB was measured.
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 3
    assert 0 < peaks[1] < 1 << 30
