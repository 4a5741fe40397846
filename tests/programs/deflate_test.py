# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from PIL import Image

from mmv_tf.deflation import load_image_model
from tests import running
from tests.deflation.networks import images


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, image in enumerate(images(14, size=40)):
        Image.fromarray((255 * image).astype(np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.mark.slow
def test_a_folder_of_pictures_gives_an_encoder_and_its_report(tiny_model, pictures, tmp_path):
    tiny_model.save(tmp_path / "model.keras")
    output = tmp_path / "image.keras"
    done = running.run(
        "deflate",
        f"--model={tmp_path / 'model.keras'}",
        f"--images={pictures}",
        f"--output={output}",
        "--num_images=20",
        "--epochs=2",
        "--fold_batch_norms",
    )
    assert done.returncode == 0, done.stderr
    assert "Using all 14 images; --num_images is 20" in done.stdout
    report = json.loads(output.with_suffix(".json").read_text())
    assert (report["images"], report["held_out"]) == (12, 2)
    assert report["speed"]["num_frames"] == report["num_frames"] == 4
    assert output.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    encoder = load_image_model(output)
    assert encoder.metadata["folded"]
    assert encoder(images(1))["vat"].shape == (1, 8)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--model=m", "--output=o.keras"], 2, "Give either --data or --images"),
        (["--model=m", "--output=o.h5", "--images=i"], 2, "does not end in .keras"),
        (["--model=nothing", "--output=o.keras", "--images=i"], 1, "nothing"),
    ],
)
def test_mistakes_are_one_line(arguments, status, message):
    done = running.run_forked("deflate", *arguments)
    assert done.returncode == status
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1
