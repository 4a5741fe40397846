# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np
import pytest

from mmv_tf.classification import FitOptions, load_classifier, read_labels
from mmv_tf.classification.fine_tuning import fine_tune, recipe
from mmv_tf.inference import as_encoder
from tests import small_world
from tests.classification import samples


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return small_world.tiny_model()


def options(tmp_path, **changes):
    return FitOptions(tmp_path / "features", windows=2, **changes)


@pytest.mark.slow
def test_sounds(model, tmp_path):
    before = [weight.copy() for weight in model.get_weights()]
    labeled = read_labels(samples.write_sounds(tmp_path / "data", 4))
    plain = ["mixup=0.0", "mask_share=0.0", "dropout=0.0", "warmup_epochs=0.0"]
    declared = recipe("audio", ["epochs=45", "batch_size=9", "learning_rate=0.003", *plain])
    fitted = fine_tune(labeled, as_encoder(model), options(tmp_path), declared)
    assert fitted.held_out == "held-out clips"
    assert (fitted.trained, len(fitted.scored.clips)) == (9, 3)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    fitted.classifier.save(tmp_path / "c.keras")
    loaded = load_classifier(tmp_path / "c.keras")
    changed = [
        not np.array_equal(one, other)
        for one, other in zip(
            loaded.network.tower.get_weights(), model.audio.get_weights(), strict=True
        )
    ]
    assert np.mean(changed) > 0.9
    held_out = {clip.path for clip in fitted.scored.clips}
    train = [clip for clip in labeled.clips if clip.path not in held_out]
    found = loaded.predict([clip.path for clip in train])["scores"]
    assert (found.argmax(axis=1) == labeled.targets(train).argmax(axis=1)).mean() > 0.8
    scores = loaded.predict([clip.path for clip in fitted.scored.clips])["scores"]
    np.testing.assert_allclose(scores, fitted.scored.scores, atol=1e-5)


@pytest.mark.slow
def test_films_with_several_labels(model, tmp_path):
    samples.write_films(tmp_path / "data", 3, 1.0)
    rows = [f"{c}/{n}.mp4,{c};film,{'test' if n == 2 else 'train'}" for c in ("red", "blue")
            for n in range(3)]  # fmt: skip
    path = tmp_path / "labels.csv"
    path.write_text("path,label,split\n" + "\n".join(rows) + "\n")
    labeled = read_labels(path, data=tmp_path / "data")
    declared = recipe("video", ["epochs=2", "batch_size=4"])
    fitted = fine_tune(labeled, as_encoder(model), options(tmp_path), declared)
    assert (fitted.held_out, fitted.trained, len(fitted.scored.clips)) == ("test", 4, 2)
    assert fitted.selection["fine_tune"]["epochs"] == 2
    assert fitted.classifier.multi_label


def test_recipes(model, tmp_path):
    assert recipe("audio").epochs == 60
    with pytest.raises(ValueError, match="Fine-tuning supports video and audio, not image"):
        recipe("image")
    with pytest.raises(ValueError, match=r"no --fine_tune\.epoch; nearest: --fine_tune\.epochs"):
        recipe("video", ["epoch=3"])
    labeled = read_labels(samples.write_sounds(tmp_path / "data", 2))
    with pytest.raises(ValueError, match="fine-tuning supports only before_head"):
        fine_tune(
            labeled, as_encoder(model), options(tmp_path, feature="last_conv"), recipe("audio")
        )
