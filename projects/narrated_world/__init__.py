# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The narrated world: unlimited generated clips with known facts, and a study that uses them."""

from projects.narrated_world.narration import vocabulary as vocabulary
from projects.narrated_world.narration import word_vectors as word_vectors
from projects.narrated_world.pool import Pool as Pool
from projects.narrated_world.pool import make_pool as make_pool
from projects.narrated_world.scenes import CHANCE as CHANCE
from projects.narrated_world.scenes import COARSE as COARSE
from projects.narrated_world.scenes import COLOURS as COLOURS
from projects.narrated_world.scenes import FINE as FINE
from projects.narrated_world.scenes import MOTIONS as MOTIONS
from projects.narrated_world.scenes import SHAPES as SHAPES
from projects.narrated_world.scenes import Scenes as Scenes
from projects.narrated_world.world import Clips as Clips
from projects.narrated_world.world import NarratedWorld as NarratedWorld
from projects.narrated_world.world import all_combinations as all_combinations
from projects.narrated_world.world import default_config as default_config
