# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""mmv quantize, as a user runs it."""

import importlib.util

import numpy as np
import pytest

from mmv_tf.inference import load_encoder
from mmv_tf.inference.network import VIDEO
from mmv_tf.inference.quantization import read_quantized
from mmv_tf.training import save_model
from tests import media_samples, small_world
from tests.running import run, run_forked


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    save_model(small_world.tiny_model(), path)
    return path


def nearest(found, expected):
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(np.min((found * expected).sum(axis=1) / lengths))


def test_mistakes_are_told_before_anything_is_opened(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = run_forked("quantize", "--model=m", "--videos=v", f"--output={tmp_path / 'full'}")
    assert done.returncode == 2 and "already exists; choose another" in done.stderr
    done = run_forked("quantize", "--model=m", "--output=o")
    assert done.returncode == 2 and "--videos is missing" in done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("nncf") is not None, reason="the quantizer is installed"
)
def test_without_the_quantizer_the_extra_is_named(tmp_path):
    done = run_forked("quantize", "--model=m", "--videos=v", f"--output={tmp_path / 'new'}")
    assert done.returncode == 1 and "pip install 'mmv_tf[quantize]'" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_no_quantized_model(tmp_path):
    with pytest.raises(ValueError, match="is not a quantized model"):
        read_quantized(tmp_path)
    (tmp_path / "quantized.json").write_text('{"format_version": 1, "fingerprint": 3}')
    with pytest.raises(ValueError, match="is not a quantized model"):
        read_quantized(tmp_path)


needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None, reason="NNCF is not installed"
)


@needs_nncf
@pytest.mark.slow
def test_a_quantized_model_is_near_the_first_and_no_other_takes_it(model, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(3):
        media_samples.write_film(videos / f"{number}.mp4", seconds=8)
    output = tmp_path / "int8"
    flags = [f"--model={model}", f"--videos={videos}", f"--output={output}"]
    done = run("quantize", *flags, "--num_clips=20")
    assert done.returncode == 0, done.stderr
    assert "Calibrating on" in done.stdout and "vat: cosine 0.9" in done.stdout
    ours = load_encoder(model).network
    other = load_encoder(model, engine="openvino", quantized=output).network
    assert other.fingerprint != ours.fingerprint
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3)).astype(np.uint8)
    expected, found = ours.run(VIDEO, clips), other.run(VIDEO, clips)
    assert nearest(found["va"], expected["va"]) > 0.95
    assert not np.array_equal(found["va"], expected["va"])
    with pytest.raises(ValueError, match=r"expects clips of 4 x 32 x 32 .*, got 5 x 32 x 32"):
        other.run(VIDEO, np.zeros([1, 5, 32, 32, 3], np.float32))
    again = run("quantize", *flags)
    assert again.returncode == 2 and "already exists; choose another" in again.stderr

    changed = small_world.tiny_model()
    changed.video.set_weights([1.5 * weight for weight in changed.video.get_weights()])
    save_model(changed, tmp_path / "other.keras")
    with pytest.raises(ValueError, match="was made from another model"):
        load_encoder(tmp_path / "other.keras", engine="openvino", quantized=output)
    weights = output / "video.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"not a quantized model \(video.bin is not as written\)"):
        load_encoder(model, engine="openvino", quantized=output)
