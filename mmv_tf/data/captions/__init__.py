# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Timed captions in `.vtt`, `.srt`, `.json3`, `.tsv` and `.csv` files.

An ambiguous file is rejected with the line at fault: captions at incorrect times would corrupt
training without being detected later. A single unusable caption is left out and counted.
"""

from mmv_tf.data.captions.caption import MAX_CHARACTERS as MAX_CHARACTERS
from mmv_tf.data.captions.caption import UNREADABLE as UNREADABLE
from mmv_tf.data.captions.caption import Caption as Caption
from mmv_tf.data.captions.caption import LeftOut as LeftOut
from mmv_tf.data.captions.caption import attach_labels as attach_labels
from mmv_tf.data.captions.caption import captions_of as captions_of
from mmv_tf.data.captions.caption import oddity as oddity
from mmv_tf.data.captions.finding import CaptionFiles as CaptionFiles
from mmv_tf.data.captions.finding import sidecar as sidecar
from mmv_tf.data.captions.reading import SUFFIXES as SUFFIXES
from mmv_tf.data.captions.reading import CaptionFile as CaptionFile
from mmv_tf.data.captions.reading import read_caption_file as read_caption_file
from mmv_tf.data.captions.reading import read_captions as read_captions
from mmv_tf.data.captions.table import listed_seconds as listed_seconds
from mmv_tf.data.captions.table import table_seconds as table_seconds
from mmv_tf.util.text_files import read_text as read_text
