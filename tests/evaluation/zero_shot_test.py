# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import keras
import numpy as np
import pytest

from mmv_tf.deflation import deflate_naively
from mmv_tf.evaluation import BENCHMARKS, Options, changed, run_benchmark, write_results
from mmv_tf.evaluation.listing import read_listing
from mmv_tf.evaluation.report import format_benchmark
from mmv_tf.evaluation.views import read_views
from mmv_tf.evaluation.zero_shot import class_embeddings, class_text
from mmv_tf.inference import Encoder, GraphNetwork, as_encoder
from tests import small_world
from tests.evaluation import small_benchmarks

CLASSES = ("GreyCircle", "red_square", "singsDown", "falls", "moves Left", "UPRight")
TEXTS = ("grey circle", "red square", "sings down", "falls", "moves left", "up right")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return small_world.tiny_model()


def cosines(first, second):
    """Naively, by pairs."""
    return np.array(
        [[np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)) for b in second] for a in first]
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("brush_hair", "brush hair"),
        ("TVMonitor", "tv monitor"),
        ("YoYo", "yo yo"),
        ("playing guitar", "playing guitar"),
        ("001 - Dog bark", "001 - dog bark"),
        ("  Male speech,  man speaking ", "male speech, man speaking"),
        ("Punch2Head", "punch2 head"),
    ],
)
def test_class_names_as_words(name, text):
    assert class_text(name) == text


def test_templates_are_averaged(model):
    encoder = as_encoder(model)
    templates = ("{}", "the red {} falls", "{} stands")
    found = class_embeddings(encoder, ["square", "circle"], "vat", templates)
    for row, word in zip(found, ("square", "circle"), strict=True):
        mean = np.zeros(8)
        for template in templates:
            vector = encoder.embed_text(template.replace("{}", word))["vat"][0].astype(np.float64)
            mean += vector / np.sqrt((vector**2).sum()) / 3
        np.testing.assert_allclose(row, mean / np.sqrt((mean**2).sum()), atol=1e-6)


def test_mistakes(model):
    encoder = as_encoder(model)
    with pytest.raises(
        ValueError, match="2 of 3 classes, the model knows none of the words: 'dogs', 'cats'"
    ):
        class_embeddings(encoder, ["dogs", "red", "cats"], "vat", ("the red {}",))
    assert class_embeddings(encoder, ["dogs", "red"], "vat", allow_unknown=True).shape == (2, 8)
    for wrong in ("a video", "{} and {}"):
        with pytest.raises(ValueError, match=r"must contain .* exactly once"):
            class_embeddings(encoder, ["red"], "vat", (wrong,))
    with pytest.raises(ValueError, match="There are no templates"):
        class_embeddings(encoder, ["red"], "vat", ())


def images(root):
    """Two images for each class; the folder for training has no images."""
    for label, name in enumerate(CLASSES):
        (root / "train" / name).mkdir(parents=True)
        for number in range(2):
            path = root / "val" / name / f"{number}.png"
            small_benchmarks.image(path, label % 3, 7 * label + number)
    return root


def test_a_folder_of_images(model, tmp_path):
    root = images(tmp_path / "data")
    encoder = Encoder(GraphNetwork(model, deflate_naively(model)))
    benchmark = changed(
        small_benchmarks.small("image_folder_zero_shot"),
        ["classifier.templates=('{}', 'the {}')", "classifier.allow_unknown=False"],
    )
    outcome = run_benchmark(benchmark, encoder, root, Options(features=tmp_path / "features"))
    results = outcome.results
    listing = read_listing("image_folder", root, None, "val", trained=False)
    assert listing.classes == tuple(sorted(CLASSES))
    items = [
        encoder.embed_image(read_views(root / item.file, item, benchmark.test_views))["vat"][0]
        for item in listing.items
    ]
    texts = [TEXTS[CLASSES.index(name)] for name in listing.classes]
    sentences = [
        sum(v / np.linalg.norm(v) for v in encoder.embed_text([text, f"the {text}"])["vat"])
        for text in texts
    ]
    scores = cosines(items, sentences)
    labels = np.array([item.labels[0] for item in listing.items])
    own = scores[np.arange(len(labels)), labels]
    ranks = (scores >= own[:, np.newaxis] - 1e-6).sum(axis=1)
    np.testing.assert_array_equal(outcome.scored["test"].ranks, ranks)
    for k in (1, 5):
        metric = results["metrics"][f"top_{k}"]
        assert metric["value"] == pytest.approx((ranks <= k).mean())
        assert metric["chance"] == pytest.approx(k / 6)
        low, high = metric["interval"]
        assert low <= metric["value"] <= high
    assert results["counts"]["listed"] == {"train": 0, "test": 12}
    assert results["splits"]["val"]["unknown"] == []
    assert "(chance 16.67)" in format_benchmark(results)
    write_results(results, outcome.scored, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["headline"] == "top_1"


def test_several_labels(model, tmp_path):
    data = small_benchmarks.audioset(tmp_path / "data")
    benchmark = small_benchmarks.small("audioset_zero_shot")
    results = run_benchmark(benchmark, model, data, Options(features=tmp_path / "f")).results
    assert results["headline"] == "mAP"
    assert results["metrics"]["mAP"]["chance"] == pytest.approx(0.5)
    assert results["splits"]["balanced_train"]["unknown"] == ["low", "high", "never"]


def test_what_is_missing(model, tmp_path):
    root = images(tmp_path / "data")
    options = Options(features=tmp_path / "features")
    benchmark = BENCHMARKS["image_folder_zero_shot"]
    with pytest.raises(ValueError, match=r"not image; deflate the network"):
        run_benchmark(benchmark, model, root, options)
    (root / "train" / "dogs").mkdir()
    encoder = Encoder(GraphNetwork(model, deflate_naively(model)))
    small = changed(
        small_benchmarks.small("image_folder_zero_shot"), ["classifier.allow_unknown=False"]
    )
    with pytest.raises(
        ValueError, match="1 of 7 classes, the model knows none of the words: 'dogs'"
    ):
        run_benchmark(small, encoder, root, options)
