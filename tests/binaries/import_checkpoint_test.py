# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import json
import os

import keras
import numpy as np
import pytest

from tests import programs
from tests.pretrained import checkpoints, mil_nce_checkpoints


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "tiny.pkl"
    path.write_bytes(gzip.decompress(checkpoints.COMMITTED.read_bytes()))
    return path


def test_writes_a_keras_file_and_says_what_it_is(checkpoint, tmp_path):
    output = tmp_path / "new" / "tiny.keras"
    done = programs.run("import_checkpoint", f"--checkpoint={checkpoint}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["video"] == "S3D"
    assert summary["licence"] == "CC BY-NC 4.0"
    assert os.listdir(output.parent) == ["tiny.keras"]
    assert keras.saving.load_model(output).metadata["sha256"] == summary["sha256"]


def test_finds_mil_nce_s_network_from_the_file(tmp_path):
    checkpoint = mil_nce_checkpoints.write(tmp_path / "s3d.pth", mil_nce_checkpoints.small_state())
    words = tmp_path / "words.npy"
    np.save(words, np.array(mil_nce_checkpoints.WORDS))
    output = tmp_path / "s3d.keras"
    done = programs.run_forked(
        "import_checkpoint",
        f"--checkpoint={checkpoint}",
        f"--dictionary={words}",
        f"--output={output}",
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["sentences"] is True
    model = keras.saving.load_model(output)
    assert model.spaces("video") == ("vt",)
    assert model.tokenizer(["Open the door"]).numpy()[0, :4].tolist() == [1, 5, 3, 0]


def test_a_dictionary_is_for_mil_nce_s_only(checkpoint, tmp_path):
    arguments = [f"--checkpoint={checkpoint}", f"--output={tmp_path / 'a.keras'}"]
    done = programs.run_forked("import_checkpoint", *arguments, "--dictionary=words.txt")
    assert done.returncode == 1
    assert "--dictionary is for those of MIL-NCE; leave it out" in done.stderr


def test_a_refused_file_is_one_line_and_writes_nothing(tmp_path):
    path, output = tmp_path / "bad.pkl", tmp_path / "out.keras"
    path.write_bytes(b"cposix\nsystem\n(S'ls'\ntR.")
    done = programs.run_forked("import_checkpoint", f"--checkpoint={path}", f"--output={output}")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "bad.pkl" in errors[0]
    assert "posix.system" in errors[0]
    assert os.listdir(tmp_path) == ["bad.pkl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint=a.pkl", "--output=a.h5"], "must end in .keras"),
        (["--checkpoint=a.pkl"], "--output is missing"),
        (["--checkpiont=a.pkl", "--output=a.keras"], "did you mean --checkpoint?"),
    ],
)
def test_wrong_usage_is_status_2(arguments, message):
    done = programs.run_forked("import_checkpoint", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
