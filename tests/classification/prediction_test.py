# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import csv
import json
import os

import keras
import numpy as np
import pytest

from mmv_tf.classification import Classifier, ClassifierNetwork
from mmv_tf.classification.prediction import (
    PredictOptions,
    check_output,
    find_clips,
    predict_clips,
    write_predictions,
)
from tests import media_samples, small_world
from tests.classification import samples


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    metadata = {"num_frames": 4, "frame_rate": 5.0}
    network = ClassifierNetwork(
        *(model.audio, ["a", "b;c", "d"], "audio"),
        multi_label=True, log_mel=model.log_mel, windows=2, metadata=metadata,
    )  # fmt: skip
    kernel = np.random.default_rng(0).normal(size=network.linear.kernel.shape)
    network.set_linear(kernel, np.zeros(3))
    return Classifier(network)


def test_files_are_found_once(tmp_path):
    samples.write_sounds(tmp_path / "d", 1)
    os.symlink(tmp_path / "d" / "low" / "0.wav", tmp_path / "d" / "link.wav")
    (tmp_path / "d" / "x.txt").write_text("")
    (tmp_path / "d" / ".h.wav").write_text("")
    found = find_clips([tmp_path / "d", tmp_path / "d" / "low" / "0.wav"], "audio")
    assert [clip.name for clip in found] == ["link.wav", "high/0.wav", "noise/0.wav"]
    assert [clip.name for clip in find_clips([tmp_path / "d" / "x.txt"], "audio")] == ["x.txt"]
    with pytest.raises(ValueError, match="no such file or folder"):
        find_clips([tmp_path / "none"], "audio")
    with pytest.raises(ValueError, match="no video files found"):
        find_clips([tmp_path / "d"], "video")


def test_several_labels_by_window(classifier, tmp_path):
    media_samples.write_wav(tmp_path / "a.wav", media_samples.tone(3.0, 16_000, 1.0))
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    clips = find_clips([tmp_path], "audio")
    found = predict_clips(classifier, clips, PredictOptions(per_window=True, threshold=0.3))
    expected = classifier.predict(tmp_path / "a.wav", per_window=True)
    good, bad = found["files"]
    assert set(bad) == {"path", "error"}
    assert found["counts"] == {"read": 1, "unreadable": 1}
    for window, scores, start in zip(
        good["windows"], expected["scores"], expected["start"], strict=True
    ):
        assert window["start"] == pytest.approx(start, abs=1e-3)
        assert window["end"] == pytest.approx(start + 0.8, abs=1e-3)
        np.testing.assert_allclose(window["scores"], scores, atol=2e-5)
        chosen = {label for label, s in zip(classifier.labels, scores, strict=True) if s >= 0.3}
        assert set(window["labels"]) == chosen
    write_predictions(found, tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text()) == found
    write_predictions(found, tmp_path / "p.csv")
    rows = list(csv.DictReader((tmp_path / "p.csv").open(encoding="utf-8")))
    assert [row["path"] for row in rows] == ["a.wav", "a.wav", "b.wav"]
    assert float(rows[1]["start"]) == good["windows"][1]["start"]
    assert float(rows[0]["score b;c"]) == good["windows"][0]["scores"][1]
    assert rows[2]["error"] == bad["error"]


def test_the_output(tmp_path):
    with pytest.raises(ValueError, match=r"ending in \.json or \.csv"):
        check_output(tmp_path / "p.txt")
    os.mkdir(tmp_path / "p.csv")
    with pytest.raises(OSError, match=r"is a folder"):
        check_output(tmp_path / "p.csv")
