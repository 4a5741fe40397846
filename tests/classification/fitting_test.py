# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import keras
import numpy as np
import pytest

from mmv_tf.classification import FitOptions, fit, load_classifier, read_labels
from mmv_tf.classification.fitting import evaluate
from mmv_tf.evaluation.features import Failures
from mmv_tf.inference import as_encoder, load_encoder
from tests import small_world
from tests.classification import samples


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return small_world.tiny_model()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return samples.write_sounds(tmp_path_factory.mktemp("sounds") / "data")


def options(tmp_path, **changes):
    return FitOptions(tmp_path / "features", windows=3, **changes)


@pytest.mark.parametrize(
    "feature", ["before_head", pytest.param("last_conv", marks=pytest.mark.slow)]
)
def test_sounds(model, sounds, tmp_path, feature):
    before = [weight.copy() for weight in model.get_weights()]
    labeled = read_labels(sounds)
    fitted = fit(labeled, as_encoder(model), options(tmp_path, feature=feature))
    assert fitted.held_out == "cross-validation"
    assert len(fitted.scored.clips) == fitted.trained == 18
    right = fitted.scored.scores.argmax(axis=1) == fitted.scored.targets.argmax(axis=1)
    assert right.mean() > 0.8
    fitted.classifier.save(tmp_path / "c.keras")
    loaded = load_classifier(tmp_path / "c.keras")
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(
        loaded.network.tower.get_weights(), model.audio.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert loaded.network.metadata["source_sha256"] == as_encoder(model).fingerprint
    # The file answers as the fit did, and as the model's own features say.
    files = sorted(sounds.rglob("*.wav"))
    found = loaded.predict(files, per_window=True)
    assert np.bincount(found["item"]).tolist() == [3] * 18
    network = fitted.classifier.network
    wave = np.random.default_rng(0).uniform(-1, 1, [2, 38_400]).astype(np.float32)
    features = as_encoder(model).network.run("audio", wave)[feature]
    np.testing.assert_allclose(
        loaded.predict(wave)["scores"], network.scores(features).numpy(), atol=1e-5
    )
    again = evaluate(loaded, labeled, labeled.clips, Failures())
    np.testing.assert_allclose(
        again.scores, loaded.predict([clip.path for clip in again.clips])["scores"], atol=1e-5
    )
    assert (again.scores.argmax(axis=1) == again.targets.argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize("kind", ["films", "images"])
def test_pictures(model, tmp_path, kind):
    write = {"films": samples.write_films, "images": samples.write_images}[kind]
    labeled = read_labels(write(tmp_path / "data"))
    fitted = fit(labeled, as_encoder(model), options(tmp_path))
    assert (fitted.scored.scores.argmax(axis=1) == fitted.scored.targets.argmax(axis=1)).all()
    found = fitted.classifier.predict([clip.path for clip in labeled.clips])["scores"]
    again = evaluate(fitted.classifier, labeled, labeled.clips, Failures())
    np.testing.assert_allclose(again.scores, found, atol=1e-5)
    assert (found.argmax(axis=1) == labeled.targets(labeled.clips).argmax(axis=1)).all()


def test_features_are_computed_once(model, sounds, tmp_path, monkeypatch):
    labeled = read_labels(sounds)
    first = fit(labeled, as_encoder(model), options(tmp_path))
    from mmv_tf.classification import features

    monkeypatch.setattr(features.ClipReader, "read", lambda *_: pytest.fail("read again"))
    again = fit(labeled, as_encoder(model), options(tmp_path))
    np.testing.assert_array_equal(first.scored.scores, again.scored.scores)
    assert first.classifier.fingerprint == again.classifier.fingerprint


def table(tmp_path, sounds, rows, header="path,start,end,label,split"):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read_labels(path, data=sounds)


def test_splits_and_parts(model, sounds, tmp_path):
    split = ["train", "train", "train", "validation", "test", "test"]
    rows = [
        f"{label}/{n}.wav,{start},{start + 1},{label},{split[n]}"
        for label in samples.NOTES for n in range(6) for start in (0, 1)
    ]  # fmt: skip
    labeled = table(tmp_path, sounds, rows)
    fitted = fit(labeled, as_encoder(model), options(tmp_path))
    assert fitted.held_out == "test"
    assert fitted.selection["held_out"] == "validation"
    assert fitted.selection["folds"] == 1
    assert len(fitted.scored.clips) == 12
    assert fitted.trained == 24
    found = evaluate(fitted.classifier, labeled, labeled.of("test"), Failures())
    np.testing.assert_allclose(found.scores, fitted.scored.scores, atol=1e-5)
    spans = [clip.span for clip in found.clips]
    assert spans == ["0-1", "1-2"] * 6


def test_several_labels(model, sounds, tmp_path):
    rows = [f"{label}/{n}.wav,{label};{'sine' if label != 'noise' else 'other'}"
            for label in samples.NOTES for n in range(6)]  # fmt: skip
    labeled = table(tmp_path, sounds, rows, "path,label")
    assert labeled.multi_label
    fitted = fit(labeled, as_encoder(model), options(tmp_path))
    scores = fitted.scored.scores
    assert ((scores > 0.5) == fitted.scored.targets).mean() > 0.85
    assert scores.sum(axis=1).max() > 1.3


def test_unreadable_files_are_counted(model, tmp_path):
    sounds = samples.write_sounds(tmp_path / "data", 3)
    (sounds / "low" / "x.wav").write_bytes(b"RIFF")
    labeled = read_labels(sounds)
    with pytest.raises(ValueError, match=r"1 can't be read.*--allow_missing=1"):
        fit(labeled, as_encoder(model), options(tmp_path))
    fitted = fit(labeled, as_encoder(model), options(tmp_path, allow_missing=1))
    assert fitted.trained == 9
    assert len(fitted.failures.unreadable) == 1
    for number in (1, 2):
        (sounds / "low" / f"{number}.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="'low' has only one example"):
        fit(read_labels(sounds), as_encoder(model), options(tmp_path, allow_missing=9))


@pytest.mark.slow
def test_models_that_do_not_fit(model, sounds, tmp_path, published):
    labeled = read_labels(sounds)
    with pytest.raises(ValueError, match="is a SavedModel, whose weights can't be copied"):
        fit(labeled, load_encoder(published), options(tmp_path))
    with pytest.raises(ValueError, match="The feature is 'va'; for audio, use before_head or"):
        fit(labeled, as_encoder(model), options(tmp_path, feature="va"))
    config = small_world.model_config()
    del config.audio
    silent = small_world.create_model(
        config, small_world.WORDS, np.zeros([len(small_world.WORDS), 6], np.float32)
    )
    with pytest.raises(ValueError, match="The model accepts video, text, not audio"):
        fit(labeled, as_encoder(silent), options(tmp_path))


def test_a_model_without_settings(model, sounds, tmp_path):
    bare = type(model).from_config({**model.get_config(), "metadata": {}})
    with pytest.raises(ValueError, match=r"does not specify num_frames, frame_rate.*--settings"):
        fit(read_labels(sounds), as_encoder(bare), options(tmp_path))


@pytest.mark.slow
def test_another_precision(model, sounds, tmp_path):
    model.save(tmp_path / "m.keras")
    encoder = load_encoder(tmp_path / "m.keras", dtype="mixed_bfloat16")
    fitted = fit(read_labels(sounds), encoder, options(tmp_path))
    fitted.classifier.save(tmp_path / "c.keras")
    loaded = load_classifier(tmp_path / "c.keras")
    wave = np.random.default_rng(0).uniform(-1, 1, [2, 38_400]).astype(np.float32)
    found = loaded.predict(wave)["scores"]
    np.testing.assert_array_equal(found, fitted.classifier.predict(wave)["scores"])
    for one, other in zip(
        loaded.network.tower.get_weights(), model.audio.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_labels_that_a_classifier_does_not_know(model, sounds, tmp_path):
    fitted = fit(read_labels(sounds), as_encoder(model), options(tmp_path))
    other = table(tmp_path, sounds, ["low/0.wav,low", "low/1.wav,bass"], "path,label")
    with pytest.raises(ValueError, match="the classifier does not know 'bass'; it knows 'high'"):
        evaluate(fitted.classifier, other, other.clips, Failures())
    known = dataclasses.replace(other, clips=other.clips[:1], labels=("low",))
    found = evaluate(fitted.classifier, known, known.clips, Failures())
    np.testing.assert_array_equal(found.targets, [[0, 1, 0]])
