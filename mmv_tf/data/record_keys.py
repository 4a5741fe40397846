# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Names of the features in our TFRecords of `tf.train.SequenceExample`.

They are those of MediaSequence and DMVR wherever these have one, so that records can be exchanged.
Times are int64 microseconds from the start of the source video, as in MediaSequence.
"""

MICROSECONDS = 1e6  # In a second.

# Context (one value, or one list, for the whole clip).
MEDIA_ID = "clip/media_id"  # bytes: which source video
EXAMPLE_ID = "clip/example_id"  # bytes: unique over the data set
CLIP_START = "clip/start/timestamp"  # int64
CLIP_END = "clip/end/timestamp"  # int64
LABEL_INDEX = "clip/label/index"  # int64 list
LABEL_STRING = "clip/label/string"  # bytes list (MediaSequence)
LABEL_TEXT = "clip/label/text"  # bytes list: DMVR's name for the same; read only
FRAME_RATE = "image/frame_rate"  # float
HEIGHT = "image/height"  # int64
WIDTH = "image/width"  # int64
SAMPLE_RATE = "WAVEFORM/feature/sample_rate"  # float
CAPTION = "caption/string"  # bytes list: the narrations in and around the clip, by start time
CAPTION_START = "caption/start/timestamp"  # int64 list, as long as CAPTION
CAPTION_END = "caption/end/timestamp"  # int64 list, as long as CAPTION
CAPTION_OWN = "caption/own"  # int64 list, as long as CAPTION: 1 if it is about this very clip
LOG_MEL_RATE = "MELSPEC/feature/rate"  # float: spectrogram frames a second

# Feature lists (one entry a step).
FRAMES = "image/encoded"  # bytes: a JPEG a frame
FRAME_TIMES = "image/timestamp"  # int64
WAVEFORM = "WAVEFORM/feature/floats"  # one entry holding all samples, floats in [-1, 1]
LOG_MEL = "MELSPEC/feature/floats"  # one entry a spectrogram frame
