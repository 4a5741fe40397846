# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Moment lists for editing programs and tables: EDL, FCPXML, CSV and JSON."""

from mmv_tf.search.edit_lists.collecting import entries_of as entries_of
from mmv_tf.search.edit_lists.entries import Entry as Entry
from mmv_tf.search.edit_lists.entries import Film as Film
from mmv_tf.search.edit_lists.entries import read_film as read_film
from mmv_tf.search.edit_lists.writing import FORMATS as FORMATS
from mmv_tf.search.edit_lists.writing import MEDIA_TYPES as MEDIA_TYPES
from mmv_tf.search.edit_lists.writing import MOST_ENTRIES as MOST_ENTRIES
from mmv_tf.search.edit_lists.writing import list_bytes as list_bytes
