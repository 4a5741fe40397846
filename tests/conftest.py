# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What many tests share."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest

from tests import installed, small_world
from tests.storage_servers import (  # noqa: F401
    either_store,
    gcs_server,
    gcs_store,
    s3_server,
    s3_store,
)

# Tracing makes many objects that stay; collecting garbage among them took a tenth of the time.
gc.freeze()
gc.set_threshold(200_000, 20, 100)


def pytest_collection_modifyitems(items):
    """The longest test first: begun last, it would leave the other workers with nothing to do."""
    items.sort(key=lambda item: item.path.name != "job_test.py")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The project's wheel."""
    return installed.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def programs(wheel, tmp_path_factory):
    """The folder of `mmv` and `python` of an environment in which the wheel is installed."""
    return installed.make_environment(wheel, tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder of shards of a generated, narrated film."""
    return small_world.prepare(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A folder with version 2 of a tiny network, all signatures, as for serving."""
    keras.utils.set_random_seed(0)
    return small_world.publish(tmp_path_factory.mktemp("published"))


@pytest.fixture
def tiny_model():
    """A new FAC network with fixed weights."""
    keras.utils.set_random_seed(0)
    return small_world.tiny_model()
