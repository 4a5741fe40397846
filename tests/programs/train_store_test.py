# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""`mmv train` with nothing but an object store: data, words, the run, and its model later."""

from __future__ import annotations

import numpy as np
import pytest

from mmv_tf import training
from mmv_tf.training.opening import open_weights
from mmv_tf.training.stored_checkpoints import complete_checkpoints
from mmv_tf.util.storage.store import open_store
from tests import running, small_world
from tests.storage_servers import SECRET

pytestmark = pytest.mark.slow  # three runs of the program; run_places_test has quick ones


def upload(folder, url):
    store = open_store(url)
    for path in folder.iterdir():
        if path.is_file():
            store.upload(path, path.name)
    return url


def test_a_run_in_a_store_is_that_of_a_disk(prepared, s3_store, tmp_path):
    words = small_world.write_word_vectors(tmp_path)
    data = upload(prepared, f"{s3_store.url}/data")
    upload(tmp_path, f"{s3_store.url}/words")

    def train(data, words, output):
        found = running.run(
            "train",
            "--config=tests/small_run.py:silent",
            f"--data={data}",
            f"--word_vectors={words}",
            f"--output={output}",
            timeout=600,
        )
        assert found.returncode == 0, found.stderr
        assert SECRET not in found.stdout + found.stderr
        return found

    train(prepared, words, tmp_path / "run")
    url = f"{s3_store.url}/run"
    found = train(data, f"{s3_store.url}/words/{words.name}", url)
    assert found.stdout.splitlines()[-1] == f"The model is in {url}."
    store = open_store(url)
    names = set(store.list())
    assert {"config.json", "data.json", "initial.keras", "model.keras", "training.json"} <= names
    assert any(name.startswith("tensorboard/") for name in names)
    assert not any(name.startswith("lock/") for name in names)
    local = {path.name for path in (tmp_path / "run" / "checkpoints").glob("step-*")}
    assert complete_checkpoints(store) == local
    for name in names:
        assert SECRET.encode() not in store.read(name)
    assert store.read("data.json") == (tmp_path / "run" / "data.json").read_bytes()

    s3_store.fresh_machine()
    assert "already finished" in train(data, f"{s3_store.url}/words/{words.name}", url).stdout
    whole = training.load_model(tmp_path / "run")
    for model in (open_weights(url), open_weights(f"{url}/model.keras")):
        for one, other in zip(model.variables, whole.variables, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert not (s3_store.cache / "s3" / s3_store.url[5:] / "run" / "checkpoints").exists()
    # An unfinished run has its newest checkpoint.
    store.remove(["model.keras"])
    s3_store.fresh_machine()
    for one, other in zip(open_weights(url).variables, whole.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
