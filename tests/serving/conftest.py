# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One exported network and one real server for all tests of serving."""

import keras
import pytest

from mmv_tf import deflation, publishing
from mmv_tf.serving.servable import Servable
from tests import small_world
from tests.serving.server_process import ServerProcess


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    folder = tmp_path_factory.mktemp("served")
    publishing.export(
        model,
        folder,
        deflation.deflate(model),
        options=publishing.ExportOptions(video_jpeg=True, fold_batch_norms=True, checked=True),
        version=2,
        model_name="tiny",
    )
    return folder


@pytest.fixture(scope="session")
def servable(served_folder):
    return Servable(served_folder)


@pytest.fixture(scope="session")
def server(served_folder):
    with ServerProcess(served_folder, "--body_timeout=2", "--max_rows=64") as process:
        yield process
