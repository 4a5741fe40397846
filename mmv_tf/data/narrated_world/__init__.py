# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.data.narrated_world.narration import vocabulary as vocabulary
from mmv_tf.data.narrated_world.narration import word_vectors as word_vectors
from mmv_tf.data.narrated_world.pool import Pool as Pool
from mmv_tf.data.narrated_world.pool import make_pool as make_pool
from mmv_tf.data.narrated_world.scenes import CHANCE as CHANCE
from mmv_tf.data.narrated_world.scenes import COARSE as COARSE
from mmv_tf.data.narrated_world.scenes import COLOURS as COLOURS
from mmv_tf.data.narrated_world.scenes import FINE as FINE
from mmv_tf.data.narrated_world.scenes import MOTIONS as MOTIONS
from mmv_tf.data.narrated_world.scenes import SHAPES as SHAPES
from mmv_tf.data.narrated_world.scenes import Scenes as Scenes
from mmv_tf.data.narrated_world.world import Clips as Clips
from mmv_tf.data.narrated_world.world import NarratedWorld as NarratedWorld
from mmv_tf.data.narrated_world.world import all_combinations as all_combinations
from mmv_tf.data.narrated_world.world import default_config as default_config
