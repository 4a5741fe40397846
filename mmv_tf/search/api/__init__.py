# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""JSON API for a search index, over HTTP and as an MCP server."""
