# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every benchmark's protocol, whole, on small media."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from mmv_tf.deflation import deflate_naively
from mmv_tf.evaluation import BENCHMARKS, Options, run_benchmark, write_results
from mmv_tf.evaluation.features import Cache
from mmv_tf.evaluation.results import read_results
from mmv_tf.inference import Encoder, GraphNetwork
from mmv_tf.pretrained import create_model
from tests import small_world
from tests.evaluation import small_benchmarks


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return small_world.tiny_model()


# Tracing a video network's training takes longer than the few steps; UCF101's is traced.
EAGER = ("hmdb51_fine_tune",)


def network_for(benchmark, network):
    if benchmark.modality == "image" and benchmark.feature == "space":
        return Encoder(GraphNetwork(network, deflate_naively(network)))
    return deflate_naively(network) if benchmark.modality == "image" else network


# Same code as a quick one's, another list; audioset_mlp is run by tests/programs/evaluate_test.py.
SLOW = (
    *("ucf101_fine_tune", "ucf101_linear", "kinetics600_linear", "kinetics600_fine_tune"),
    *("ucf101_zero_shot", "kinetics600_zero_shot", "esc50_zero_shot", "voc07_zero_shot"),
    *("audioset_zero_shot", "image_folder_zero_shot"),  # see zero_shot_test.py
    *("esc50_linear", "audioset_mlp", "imagenet_linear", "youcook2_retrieval", "esc10_fine_tune"),
    *("voc07_linear",),
)


def check_all_six_ways(metrics, items):
    pairs = ("text -> video", "video -> text", "video -> audio", "audio -> video")
    assert set(metrics) == {*pairs, "audio -> text", "text -> audio"}
    assert metrics["video -> audio"]["space"] == "va"
    assert metrics["text -> audio"]["space"] == "vat"
    assert metrics["text -> video"]["chance"]["R@1"] == pytest.approx(1 / items)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in sorted(BENCHMARKS)
    ],
)
def test_every_benchmark_runs_whole(name, network, tmp_path, request):
    if name in EAGER:
        request.addfinalizer(lambda: tf.config.run_functions_eagerly(False))
        tf.config.run_functions_eagerly(True)
    benchmark = small_benchmarks.small(name)
    data = small_benchmarks.MAKERS[name](tmp_path / "data")
    options = Options(features=tmp_path / "features")
    before = [weight.numpy().copy() for weight in network.weights]
    outcome = run_benchmark(benchmark, network_for(benchmark, network), data, options)
    network.set_weights(before)
    results = outcome.results

    assert results["protocol"]["name"] == name
    assert results["protocol"]["version"] >= 1
    assert len(results["model"]["sha256"]) == 64
    assert results["counts"]["listed"]["test"] == results["counts"]["scored"]["test"] > 1
    assert results["environment"]["tensorflow"]
    metrics = results["metrics"].get("text -> video", results["metrics"])
    headline = metrics[benchmark.metric]
    low, high = headline["interval"]
    assert 0 <= low <= headline["value"] <= high <= 1
    if benchmark.classifier is None:
        check_all_six_ways(results["metrics"], results["counts"]["scored"]["test"])
    if name == "image_folder_linear":
        assert headline["value"] == 1.0, "one colour a class"
    assert len(results["reported"]) == len(BENCHMARKS[name].reported)
    write_results(results, outcome.scored, tmp_path / "results.json")
    stored, scored = read_results(tmp_path / "results.json")
    assert stored == json.loads(json.dumps(results))
    assert all((scored[part].ids == one.ids).all() for part, one in outcome.scored.items())


@pytest.mark.slow
def test_real_digits_are_read_by_a_random_network(network, tmp_path):
    digits = load_digits()
    for number, (picture, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        part = "val" if number % 3 == 0 else "train"
        path = tmp_path / "data" / part / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture * 15).astype(np.uint8)).save(path)
    benchmark = small_benchmarks.small("image_folder_linear")
    options = Options(features=tmp_path / "features", batch_size=64)
    results = run_benchmark(benchmark, deflate_naively(network), tmp_path / "data", options).results
    assert results["counts"]["scored"]["test"] == 599
    assert results["metrics"]["top_1"]["value"] > 0.6


def test_features_are_computed_once_for_a_network_and_protocol(network, tmp_path, monkeypatch):
    data = small_benchmarks.esc(tmp_path / "data")
    benchmark = small_benchmarks.small("esc10_linear")
    options = Options(features=tmp_path / "features", C=0.001)
    first = run_benchmark(benchmark, network, data, options).results

    def refuse(*arguments):
        raise AssertionError("computed again")

    monkeypatch.setattr("mmv_tf.evaluation.extractor.Extractor.__call__", refuse)
    assert run_benchmark(benchmark, network, data, options).results == first
    weight = network.audio.stem_convolution.kernel
    old = weight.numpy()
    weight.assign(old + 1)
    with pytest.raises(AssertionError, match="computed again"):
        run_benchmark(benchmark, network, data, options)
    weight.assign(old)
    next(data.rglob("*.wav")).touch()
    with pytest.raises(AssertionError, match="computed again"):
        run_benchmark(benchmark, network, data, options)


def test_missing_and_unreadable_media_fail_the_run_unless_allowed(network, tmp_path):
    data = small_benchmarks.esc(tmp_path / "data")
    benchmark = small_benchmarks.small("esc10_linear")
    sounds = sorted(data.rglob("1-*.wav"))
    sounds[0].write_bytes(b"no sound")
    with pytest.raises(
        ValueError, match=r"1 of the listed items .* can't be read.*allow_missing=1"
    ):
        run_benchmark(benchmark, network, data, Options(tmp_path / "features"))
    options = Options(tmp_path / "features", allow_missing=1, C=0.001)
    counts = run_benchmark(benchmark, network, data, options).results["counts"]
    assert counts["listed"]["test"] == 8
    assert counts["scored"]["test"] == 7
    assert list(counts["unreadable"]) == [sounds[0].stem]


@pytest.mark.parametrize(
    ("name", "make"), [("esc10_fine_tune", "esc"), ("hmdb51_fine_tune", "hmdb51")]
)
def test_unreadable_media_stop_fine_tuning_before_it_begins(name, make, network, tmp_path):
    data = getattr(small_benchmarks, make)(tmp_path / "data")
    broken = sorted([*data.rglob("*.wav"), *data.rglob("[!.]*.avi")])[0]
    broken.write_bytes(broken.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"1 of the listed items can't be scored, .* allowed"):
        run_benchmark(small_benchmarks.small(name), network, data, Options(tmp_path / "features"))


def test_features_that_never_change_are_refused(network, tmp_path):
    data = small_benchmarks.esc(tmp_path / "data")
    weights = network.audio.get_weights()
    network.audio.set_weights([0 * weight for weight in weights])
    with pytest.raises(ValueError, match="is equal for all 16 windows of 8 items"):
        run_benchmark(
            small_benchmarks.small("esc10_linear"), network, data, Options(tmp_path / "features")
        )
    network.audio.set_weights(weights)


def test_missing_videos_are_named(network, tmp_path):
    data = small_benchmarks.msrvtt(tmp_path / "data")
    (data / "video3.mp4").unlink()
    benchmark = small_benchmarks.small("msrvtt_retrieval")
    with pytest.raises(ValueError, match="1 have no media: 'ret3'"):
        run_benchmark(benchmark, network, data, Options(tmp_path / "features"))


@pytest.mark.slow
def test_sentences_without_known_words_are_named(network, tmp_path):
    data = small_benchmarks.msrvtt(tmp_path / "data")
    table = data / "msrvtt_test.csv"
    table.write_text(table.read_text().replace("a red square", "quo vadis"))
    config = small_world.model_config()
    config.text.mask_padding = True
    model = create_model(config, small_world.WORDS, np.ones([len(small_world.WORDS), 6]))
    with pytest.raises(ValueError, match=r"1 of 6 sentences contain no word .* 'quo vadis'"):
        run_benchmark(
            small_benchmarks.small("msrvtt_retrieval"), model, data, Options(tmp_path / "features")
        )


def test_a_network_without_the_modality_is_refused(network, tmp_path):
    data = small_benchmarks.esc(tmp_path / "data")
    silent = small_world.model_config()
    del silent.audio
    model = create_model(silent, small_world.WORDS)
    options = Options(tmp_path / "features")
    with pytest.raises(ValueError, match="accepts video, text, not audio"):
        run_benchmark(small_benchmarks.small("esc10_linear"), model, data, options)
    with pytest.raises(ValueError, match="not image; deflate the network first"):
        run_benchmark(small_benchmarks.small("voc07_linear"), network, data, options)


@pytest.mark.parametrize("name", ["msrvtt_retrieval", "youcook2_retrieval"])
def test_a_network_without_words_is_refused_before_anything_is_read(name, tmp_path):
    model = create_model(small_world.model_config())
    options = Options(tmp_path / "features")
    with pytest.raises(ValueError, match=r"has no text input: .*--word_vectors") as caught:
        run_benchmark(small_benchmarks.small(name), model, tmp_path / "nothing", options)
    assert "\n" not in str(caught.value)


def test_the_published_C_is_of_the_released_sizes(network, tmp_path):
    data = small_benchmarks.hmdb51(tmp_path / "data")
    options = Options(tmp_path / "features", C="published")
    with pytest.raises(ValueError, match="No C is published for hmdb51_linear with 64 features"):
        run_benchmark(small_benchmarks.small("hmdb51_linear"), network, data, options)


def test_a_store_of_something_else_is_not_taken(tmp_path):
    key = {"protocol": "p", "model_sha256": "a"}
    store = Cache(tmp_path, key).store(views=1)
    store.add("x", "v1", {"f": np.ones([2, 3], np.float32)})
    store.flush()
    assert Cache(tmp_path, key).store(views=1).has("x", "v1")
    assert not Cache(tmp_path, key).store(views=1).has("x", "v2")
    assert not Cache(tmp_path, key).store(views=2).has("x", "v1")
    assert not Cache(tmp_path, {**key, "model_sha256": "b"}).store(views=1).has("x", "v1")
