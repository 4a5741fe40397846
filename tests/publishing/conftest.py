# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""An export that many tests look at; none changes it."""

import keras
import pytest

from mmv_tf import deflation, publishing
from tests import small_world


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """(network, its image network, the folder that they were exported to)."""
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    image_model = deflation.deflate_naively(model)
    folder = tmp_path_factory.mktemp("exported") / "saved"
    names = publishing.export(model, folder, image_model)
    assert names == ["video", "audio", "text", "image"]
    return model, image_model, folder
