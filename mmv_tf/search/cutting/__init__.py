# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Cuts a moment out of a video as an MP4 file."""

from mmv_tf.search.cutting.clip import COPY as COPY
from mmv_tf.search.cutting.clip import EXACT as EXACT
from mmv_tf.search.cutting.clip import MODES as MODES
from mmv_tf.search.cutting.clip import MOST_SECONDS as MOST_SECONDS
from mmv_tf.search.cutting.clip import Clip as Clip
from mmv_tf.search.cutting.clip import check_span as check_span
from mmv_tf.search.cutting.clip import clip_name as clip_name
from mmv_tf.search.cutting.clip import cut as cut
from mmv_tf.search.cutting.clip import cut_in_child as cut_in_child
