# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Keras' settings of a user's other work: they change nothing, or are told in a line."""

import json
import os
import re
import subprocess
import sys
import types

import keras
import pytest

from mmv_tf import keras_backend
from tests import computed, running


def run(folder, *arguments, settings=None, **environment):
    """A new Python whose keras.json holds `settings`."""
    if settings is not None:
        (folder / "keras.json").write_text(settings)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**clean, "KERAS_HOME": str(folder), **environment},
        cwd=running.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def expected():
    return computed.digests()


@pytest.mark.slow
def test_settings_change_no_number(expected, tmp_path):
    settings = {
        "floatx": "float16",
        "epsilon": 0.01,
        "image_data_format": "channels_first",
        "backend": "torch",
    }
    done = run(tmp_path, "-m", "tests.computed", settings=json.dumps(settings))
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == expected


@pytest.fixture
def foreign():
    """Settings made in Python before a network is."""
    policy = keras.config.dtype_policy()
    before = keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # what Keras makes of floatx
    keras.config.set_epsilon(0.01)
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(policy)
    keras.config.set_epsilon(before[1])
    keras.config.set_image_data_format(before[2])


@pytest.mark.slow
def test_settings_made_in_python_change_no_number(expected, foreign):
    assert computed.digests() == expected


@pytest.mark.parametrize(
    "settings",
    ['{"backend": "jax", "floatx": "bfloat16"}', pytest.param("[1]", marks=pytest.mark.slow)],
)
def test_programs_read_no_settings(settings, tmp_path):
    done = run(
        *(tmp_path, "-m", "mmv_tf", "verify_data", f"--data={tmp_path / 'nothing'}"),
        settings=settings,
        KERAS_BACKEND="torch",
        KERAS_MAX_EPOCHS="many",
        TF_USE_LEGACY_KERAS="1",
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ") and "no such file" in done.stderr
    assert (tmp_path / "keras.json").read_text() == settings


def test_every_subpackage_takes_tensorflow_first():
    for folder in sorted((running.ROOT / "mmv_tf").glob("*/__init__.py")):
        modules = [path.read_text(encoding="utf-8") for path in folder.parent.rglob("*.py")]
        if any(re.search(r"^ *(import|from) keras\b", text, re.M) for text in modules):
            name = folder.parent.name
            first = re.search(r"^from mmv_tf.*", folder.read_text(encoding="utf-8"), re.M)
            if name not in ("util", "programs"):
                assert first and first[0].startswith("from mmv_tf import keras_backend"), name


def test_importing_the_package_loads_neither_tensorflow_nor_keras(tmp_path):
    program = "import mmv_tf, sys; print({'tensorflow', 'keras', 'numpy'} & set(sys.modules))"
    done = run(tmp_path, "-c", program)
    assert done.stdout.strip() == "set()", done.stderr[-3000:]


@pytest.mark.slow
def test_keras_that_is_imported_first_knows_the_layers(tmp_path):
    names = "['FineAndCoarse', 'S3D', 'BatchNorm', 'ImageEncoder']"
    program = (
        "import keras, mmv_tf; find = keras.saving.get_registered_object;"
        f"print([name for name in {names} if find(f'mmv_tf>{{name}}')])"
    )
    done = run(tmp_path, "-c", program)
    assert len(done.stdout.split()) == 4, done.stderr[-3000:]


@pytest.mark.slow
def test_a_library_takes_tensorflow_and_leaves_the_environment(tmp_path):
    shown = "keras.config.backend(), os.environ['KERAS_BACKEND']"
    program = f"import mmv_tf.layers, keras, os; print({shown})"
    done = run(tmp_path, "-c", program, settings='{"backend": "numpy"}', KERAS_BACKEND="jax")
    assert done.stdout.split() == ["tensorflow", "jax"], done.stderr[-3000:]


def test_settings_that_keras_refuses_are_told(tmp_path):
    done = run(tmp_path, "-c", "import mmv_tf.layers", settings='{"floatx": "bfloat16"}')
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: Keras can't be imported: Invalid `floatx`")
    assert "remove keras.json" in last


def test_another_backend_is_told(monkeypatch):
    other = types.SimpleNamespace(config=types.SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", other)
    with pytest.raises(ImportError, match="on TensorFlow, but Keras runs on 'jax'"):
        keras_backend.import_keras()
