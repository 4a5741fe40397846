# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes video, audio and image files in one sequential pass and bounded memory.

All times are seconds on one clock. 0 is the first frame of a video or the first sample of an audio
file; `timeline` measures it.
Frames and samples are positioned by their own timestamps, so a stream that starts late, has gaps or
has a variable frame rate stays aligned with the other stream.
"""

from mmv_tf.data.file_types import MediaError as MediaError
from mmv_tf.data.images import encode_image as encode_image
from mmv_tf.data.images import image_pixels as image_pixels
from mmv_tf.data.media.film import frame_times as frame_times
from mmv_tf.data.media.film import iter_frames as iter_frames
from mmv_tf.data.media.film import iter_frames_at as iter_frames_at
from mmv_tf.data.media.film import iter_pixels_at as iter_pixels_at
from mmv_tf.data.media.packets import Tally as Tally
from mmv_tf.data.media.probing import MediaInfo as MediaInfo
from mmv_tf.data.media.probing import probe as probe
from mmv_tf.data.media.timeline import Timeline as Timeline
from mmv_tf.data.media.timeline import timeline_of as timeline_of
from mmv_tf.data.media.waveform import read_waveform as read_waveform
