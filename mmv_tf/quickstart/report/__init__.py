# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The quickstart's report: its results as JSON, and an HTML page with charts and clips."""

from mmv_tf.quickstart.report.page import SEARCH_PAGE as SEARCH_PAGE
from mmv_tf.quickstart.report.page import search_command as search_command
from mmv_tf.quickstart.report.page import write as write
from mmv_tf.quickstart.report.results import SEARCH_INDEX as SEARCH_INDEX
from mmv_tf.quickstart.report.statements import summary as summary
