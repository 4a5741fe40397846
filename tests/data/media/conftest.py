# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from tests import media_samples


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """60 frames in 2.5 s, and a path with a space and an accent."""
    return media_samples.write_film(tmp_path_factory.mktemp("media") / "film é.mp4", 2.5)
