# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What tests of the readers of checkpoints share."""

import pytest


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and gives its path."""

    def write(data):
        path = tmp_path / "checkpoint.pkl"
        path.write_bytes(data)
        return path

    return write
