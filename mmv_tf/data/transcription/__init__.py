# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Transcripts of films without captions, created once and kept."""

from mmv_tf.data.transcription.transcripts import SAMPLE_RATE as SAMPLE_RATE
from mmv_tf.data.transcription.transcripts import Transcriber as Transcriber
from mmv_tf.data.transcription.transcripts import Transcript as Transcript
from mmv_tf.data.transcription.transcripts import Transcripts as Transcripts
from mmv_tf.data.transcription.whisper import FasterWhisper as FasterWhisper
