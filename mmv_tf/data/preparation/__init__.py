# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.data.preparation.listing import read_listing as read_listing
from mmv_tf.data.preparation.pipeline import DataSetFacts as DataSetFacts
from mmv_tf.data.preparation.pipeline import Execution as Execution
from mmv_tf.data.preparation.pipeline import prepare as prepare
from mmv_tf.data.preparation.report import format_dropped as format_dropped
from mmv_tf.data.preparation.report import format_report as format_report
from mmv_tf.data.preparation.settings import CUTS as CUTS
from mmv_tf.data.preparation.settings import SOUNDS as SOUNDS
from mmv_tf.data.preparation.settings import Settings as Settings
from mmv_tf.data.preparation.sources import Collection as Collection
from mmv_tf.data.preparation.sources import Found as Found
from mmv_tf.data.preparation.sources import ListedClip as ListedClip
from mmv_tf.data.preparation.sources import Source as Source
from mmv_tf.data.preparation.sources import find as find
from mmv_tf.data.preparation.sources import find_sources as find_sources
