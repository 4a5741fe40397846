# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How a run is logged may change when it resumes, and runs of before there was a choice resume."""

import json

import pytest

from mmv_tf.training import run_folder
from mmv_tf.training.logging import settings_of
from tests import small_run


def config(**logging):
    found = small_run.get_config()
    found.training.logging.update(logging)
    return found.lock()


def saved_as_before(directory):
    """Settings in a folder as an earlier version wrote them."""
    settings = json.loads(config().to_json())
    del settings["training"]["logging"]
    (directory / "config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize("logging", [{}, {"writers": ("mlflow",), "name": "a", "clips": 0}])
def test_a_run_of_an_earlier_version_resumes(tmp_path, logging):
    saved_as_before(tmp_path)
    run_folder.check_config(config(**logging), tmp_path)
    assert settings_of(run_folder.as_begun(config(**logging), tmp_path).training).clips == (
        logging.get("clips", 4)
    )


def test_a_configuration_of_an_earlier_version_resumes_a_run(tmp_path):
    run_folder.save_config(config(writers=("wandb",)), tmp_path)
    old = small_run.get_config()
    del old.training.logging
    run_folder.check_config(old.lock(), tmp_path)
    assert settings_of(old.training).writers == ("tensorboard",)


def test_logging_may_change_but_nothing_beside_it(tmp_path):
    run_folder.save_config(config(), tmp_path)
    run_folder.check_config(config(project="other", writers=()), tmp_path)
    other = small_run.get_config()
    other.training.temperature = 0.5
    with pytest.raises(ValueError, match=r"training\.temperature"):
        run_folder.check_config(other.lock(), tmp_path)
