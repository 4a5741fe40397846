# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One real server for all tests of serving."""

import pytest

from benchmarks.server_process import ServerProcess
from mmv_tf.serving.servable import Servable


@pytest.fixture(scope="session")
def servable(published):
    return Servable(published)


@pytest.fixture(scope="session")
def server(published):
    with ServerProcess(published, "--body_timeout=2", "--max_rows=64") as process:
        yield process
