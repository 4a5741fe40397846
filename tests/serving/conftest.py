# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One real server for all tests of serving."""

import pytest

from mmv_tf.serving.servable import Servable
from tests.serving.server_process import ServerProcess


@pytest.fixture(scope="session")
def servable(published):
    return Servable(published)


@pytest.fixture(scope="session")
def server(published):
    with ServerProcess(published, "--body_timeout=2", "--max_rows=64") as process:
        yield process
