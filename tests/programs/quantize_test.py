# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""mmv quantize, as a user runs it."""

import importlib.util
import re

import numpy as np
import pytest

from mmv_tf.graphs.precision import in_precision
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
    new = ["--model=m", "--videos=v", f"--output={tmp_path / 'new'}"]
    done = run_forked("quantize", *new, "--dtype=bfloat16")
    assert done.returncode == 2 and "weights are quantized from float32" in done.stderr
    done = run_forked("quantize", *new, "--engine=openvino")
    assert done.returncode == 2 and "unknown flag --engine" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_quantized_backbone_is_not_taken_for_a_model(tmp_path):
    (tmp_path / "quantized.json").touch()
    for name in ("embed", "export"):
        more = ["--sentences=s.txt"] if name == "embed" else []
        done = run_forked(name, f"--model={tmp_path}", f"--output={tmp_path / 'new'}", *more)
        assert done.returncode == 1
        assert f"--engine=openvino --quantized={tmp_path}" in done.stderr, done.stderr


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
    (videos / "broken.mp4").write_bytes(b"not a video")
    output = tmp_path / "int8"
    flags = [f"--model={model}", f"--videos={videos}", f"--output={output}"]
    done = run("quantize", *flags, "--num_clips=20")
    assert done.returncode == 0, done.stderr
    cosine = re.search(r"^vat: cosine (\S+) on average, (\S+) at worst$", done.stdout, re.M)
    assert "Calibrating on" in done.stdout and cosine is not None, done.stdout
    assert 0.99 < float(cosine[2]) <= float(cosine[1]) <= 1.0
    assert "1 of 4 videos can't be read" in done.stdout
    ours = load_encoder(model).network
    other = load_encoder(model, engine="openvino", quantized=output).network
    assert other.fingerprint != ours.fingerprint
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3)).astype(np.uint8)
    expected, found = ours.run(VIDEO, clips), other.run(VIDEO, clips)
    assert nearest(found["va"], expected["va"]) > 0.99
    assert not np.array_equal(found["va"], expected["va"])
    with pytest.raises(ValueError, match=r"expects clips of 4 x 32 x 32 .*, got 5 x 32 x 32"):
        other.run(VIDEO, np.zeros([1, 5, 32, 32, 3], np.float32))
    with pytest.raises(ValueError, match=r"expects clips of 4 x 32 x 32 .*, got 4 x 48 x 48"):
        load_encoder(model, engine="openvino", quantized=output, settings={"size": 48})
    again = run("quantize", *flags)
    assert again.returncode == 2 and "already exists; choose another" in again.stderr

    # A model that was trained in another precision is quantized from, and opened in, float32.
    save_model(in_precision(small_world.tiny_model(), "mixed_bfloat16"), tmp_path / "mixed.keras")
    flags = [f"--model={tmp_path / 'mixed.keras'}", f"--videos={videos}"]
    done = run("quantize", *flags, f"--output={tmp_path / 'mixed8'}", "--num_clips=20")
    assert done.returncode == 0, done.stderr
    quantized = {"engine": "openvino", "quantized": tmp_path / "mixed8"}
    load_encoder(tmp_path / "mixed.keras", dtype="float32", **quantized)

    changed = small_world.tiny_model()
    changed.video.set_weights([1.5 * weight for weight in changed.video.get_weights()])
    save_model(changed, tmp_path / "other.keras")
    with pytest.raises(ValueError, match="was made from another model"):
        load_encoder(tmp_path / "other.keras", engine="openvino", quantized=output)
    weights = output / "video.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"not a quantized model \(video.bin is not as written\)"):
        load_encoder(model, engine="openvino", quantized=output)
