# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import numpy as np
import pytest

from mmv_tf import deflation
from tests.deflation.networks import images, network

LOADER = """
import sys
import keras, numpy as np
import mmv_tf
folder = sys.argv[1]
batch = np.load(folder + "/images.npy")
for name in ("image", "folded"):
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    np.savez(f"{folder}/{name}.npz", **{k: np.asarray(v) for k, v in model(batch).items()})
"""


@pytest.mark.slow
def test_saved_it_loads_in_a_fresh_process(tmp_path):
    model = network("s3d")
    model.metadata["licence"] = "CC0"
    image_model = deflation.deflate_naively(model)
    folded = image_model.folded()
    batch = images(2)
    np.save(tmp_path / "images.npy", batch)
    for name, encoder in (("image", image_model), ("folded", folded)):
        encoder.save(tmp_path / f"{name}.keras")
    subprocess.run([sys.executable, "-c", LOADER, str(tmp_path)], check=True)
    for name, encoder in (("image", image_model), ("folded", folded)):
        with np.load(tmp_path / f"{name}.npz") as outputs:
            for key, value in encoder(batch).items():
                np.testing.assert_allclose(outputs[key], value, rtol=1e-5, atol=1e-6)
    loaded = deflation.load_image_model(tmp_path / "folded.keras")
    assert loaded.metadata["folded"] and loaded.metadata["licence"] == "CC0"
    assert loaded(images(1, size=48))["vat"].shape == (1, 8)


@pytest.mark.parametrize(
    "name", [pytest.param("s3d_space_to_depth", marks=pytest.mark.slow), "tsm_18"]
)
def test_folding_changes_no_output(name):
    image_model = deflation.deflate_naively(network(name))
    folded = image_model.folded()
    batch = images(3)
    for key, expected in image_model(batch).items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(folded(batch)[key], expected, atol=1e-5 * scale)
    norms = [type(layer).__name__ for layer in folded.network.layers].count("BatchNorm")
    # Those that follow the sum of a residual block stay: the first of each block, and the last.
    assert norms == (0 if name != "tsm_18" else 9)


def test_wrong_inputs_say_what_is_expected():
    image_model = deflation.deflate_naively(network("tsm_18"))
    for wrong in (images(2)[0], images(2)[..., :1], (255 * images(2)).astype(np.uint8)):
        with pytest.raises(ValueError, match=r"expected float \[B, H, W, 3\]"):
            image_model(wrong)


def test_a_missing_or_other_file_is_refused(tmp_path, tiny_model):
    with pytest.raises(ValueError, match="no deflated network"):
        deflation.load_image_model(tmp_path / "nothing.keras")
    tiny_model.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="not a deflated network"):
        deflation.load_image_model(tmp_path / "other.keras")
