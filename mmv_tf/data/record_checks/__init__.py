# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a record whose bytes are whole.

Everything is judged before anything is decoded: a JPEG by its header and its end, sound by its
numbers, captions by their times. Each part names its reasons; `jpeg_header` and `tfrecord_framing`
have more.
"""

from mmv_tf.data.record_checks.features import packed_floats as packed_floats
from mmv_tf.data.record_checks.record import check_record as check_record
from mmv_tf.data.record_checks.rules import Checked as Checked
from mmv_tf.data.record_checks.rules import Expected as Expected
from mmv_tf.data.record_checks.rules import Limits as Limits
from mmv_tf.data.record_checks.rules import Problem as Problem
from mmv_tf.data.record_checks.sound import DMVR_AUDIO as DMVR_AUDIO
