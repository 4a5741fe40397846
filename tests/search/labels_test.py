# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.classification import Classifier, ClassifierNetwork
from mmv_tf.inference import reading
from mmv_tf.search import LabelFilter, Query, Searcher, WindowLabels, update_index
from mmv_tf.search.labels import parse_label
from mmv_tf.search.store import open_index
from tests import media_samples
from tests.search.conftest import HERE

NAMES = ("barking", "rain", "a:0.5")


def make_classifier(embedder, modality, **metadata):
    model = embedder.encoder.network.model
    network = ClassifierNetwork(
        model.backbone(modality), NAMES, modality,
        log_mel=model.log_mel if modality == "audio" else None,
        metadata={"num_frames": 4, "frame_rate": 5.0, "size": 32, **metadata},
    )  # fmt: skip
    kernel = np.random.default_rng(1).normal(size=network.linear.kernel.shape)
    network.set_linear(40 * (kernel - kernel.mean(axis=0)), np.zeros(3))
    return Classifier(network)


@pytest.fixture(scope="module")
def labeled(embedder, tmp_path_factory):
    """Videos with an index by a classifier of video and one of audio."""
    root = tmp_path_factory.mktemp("labeled")
    (root / "videos").mkdir()
    h264 = {"codec": "libx264", "size": (96, 64)}
    media_samples.write_film(root / "videos" / "a.mp4", seconds=6, tone_start=3.0, **h264)
    media_samples.write_film(root / "videos" / "mute.mp4", seconds=2, audio=None, **h264)
    for modality in ("video", "audio"):
        path = root / f"{modality}.keras"
        make_classifier(embedder, modality).save(path)
        labels = WindowLabels.load(path, embedder.windows)
        update_index(root / "videos", root / modality, embedder, options=HERE, labels=labels)
    return root


def stored(root, modality, name):
    """The scores and spans of a video's windows."""
    index = open_index(root / modality)
    video = next(one for one in index.manifest.videos if one.name == name)
    segment, rows = index.segments[video.segment], slice(video.first, video.first + video.count)
    return np.array(segment.array("labels")[rows]), np.array(segment.array("spans")[rows])


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_scores_are_those_of_the_classifier(labeled, embedder, modality):
    classifier = make_classifier(embedder, modality)
    scores, spans = stored(labeled, modality, "a.mp4")
    read = {"video": reading.span_clips, "audio": reading.span_sounds}[modality]
    compared = 0
    for row, (start, end) in zip(scores, spans, strict=True):
        if not row.any():
            continue  # silent
        cut = classifier.encoder.windows(modality=modality)
        window, _ = read(str(labeled / "videos" / "a.mp4"), cut, float(start), float(end), 1)
        np.testing.assert_allclose(row, classifier.predict(window)["scores"][0], atol=0.02)
        compared += 1
    assert compared >= 3
    mute, _ = stored(labeled, modality, "mute.mp4")
    assert mute.any() == (modality == "video")


@pytest.fixture
def searcher(labeled, embedder):
    found = Searcher(labeled / "video")
    found._embedder = embedder
    return found


def test_only_windows_with_the_label_are_found(labeled, searcher):
    scores, spans = stored(labeled, "video", "a.mp4")
    threshold = float(np.median(scores[:, 0]))
    labels = [LabelFilter("barking", threshold)]
    answer = searcher.search([Query("text", "red square")], 100, labels=labels)
    has = scores[:, 0] >= threshold
    assert 0 < has.sum() < len(has)
    curve, _ = searcher.curve("a.mp4", answer.asked, answer.required)
    np.testing.assert_array_equal(np.isfinite(curve), has)
    found = [moment for moment in answer.moments if moment.video == "a.mp4"]
    assert found
    for moment in found:
        inside = (spans[:, 0] >= moment.start - 1e-4) & (spans[:, 1] <= moment.end + 1e-4)
        assert inside.any() and has[inside].all()
    everything = searcher.search([Query("text", "red square")], 100)
    assert len(everything.moments) > 0 and not everything.required
    nothing = searcher.search(
        [Query("text", "red square")],
        labels=[LabelFilter("barking", 1.0), LabelFilter("rain", 1.0)],
    )
    assert not nothing.moments


def test_a_label_alone_sorts_by_its_score(labeled, searcher):
    scores = np.concatenate([stored(labeled, "video", name)[0] for name in ("a.mp4", "mute.mp4")])
    answer = searcher.search([], 1, labels=[LabelFilter("rain", 0.0)])
    assert answer.moments[0].score == pytest.approx(scores[:, 1].max(), abs=1e-6)


def test_updates_keep_the_labels(labeled, embedder, tmp_path):
    labels = WindowLabels.load(labeled / "video.keras", embedder.windows)
    report = update_index(
        labeled / "videos", labeled / "video", embedder, options=HERE, labels=labels
    )
    assert len(report.unchanged) == 2
    with pytest.raises(ValueError, match=r"the index has the labels from .*give --classifier="):
        update_index(labeled / "videos", labeled / "video", embedder, options=HERE)
    other = WindowLabels.load(labeled / "audio.keras", embedder.windows)
    with pytest.raises(ValueError, match=r"labels from another classifier .*give --overwrite"):
        update_index(labeled / "videos", labeled / "video", embedder, options=HERE, labels=other)


def test_an_index_without_labels(library, embedder, labeled):
    searcher = Searcher(library.index)
    searcher._embedder = embedder
    with pytest.raises(ValueError, match=r"has no labels; build it again .*--classifier="):
        searcher.search([Query("text", "red square")], labels=[LabelFilter("barking")])
    labels = WindowLabels.load(labeled / "video.keras", embedder.windows)
    with pytest.raises(ValueError, match="has no labels, and its windows are not stored"):
        update_index(library.videos, library.index, embedder, options=HERE, labels=labels)
    assert open_index(library.index).manifest.labels is None


def test_an_unknown_label(searcher):
    with pytest.raises(ValueError, match="no label 'barkin'; nearest: 'barking'"):
        searcher.search([Query("text", "red square")], labels=[LabelFilter("barkin")])
    with pytest.raises(ValueError, match="no label 'xyz'; it has 'barking', 'rain'"):
        searcher.search([], labels=[LabelFilter("xyz")])
    with pytest.raises(ValueError, match="There is no query"):
        searcher.search([])


@pytest.mark.parametrize(
    ("modality", "metadata", "message"),
    [
        ("video", {"num_frames": 8}, r"num_frames 8 \(index: 4\)"),
        ("video", {"size": 64}, r"size 64 \(index: 32\)"),
        ("audio", {"frame_rate": 10.0}, r"frame_rate 10.0 \(index: 5.0\)"),
    ],
)
def test_classifiers_of_other_windows(embedder, modality, metadata, message):
    classifier = make_classifier(embedder, modality, **metadata)
    with pytest.raises(ValueError, match=message):
        WindowLabels(classifier, "c.keras", embedder.windows)


def test_windows_of_audio_need_only_be_as_long(embedder):
    classifier = make_classifier(embedder, "audio", num_frames=8, frame_rate=10.0, size=64)
    assert WindowLabels(classifier, "c.keras", embedder.windows).described.names == NAMES


def test_the_form_of_a_filter():
    assert parse_label("rain", NAMES) == LabelFilter("rain", 0.5)
    assert parse_label("rain:0.75", NAMES) == LabelFilter("rain", 0.75)
    assert parse_label("a:0.5", NAMES) == LabelFilter("a:0.5", 0.5)
    assert parse_label("a:0.5:0.9", NAMES) == LabelFilter("a:0.5", 0.9)
    assert parse_label("b:c") == LabelFilter("b:c", 0.5)
    for wrong in ("rain:2", "rain:-1", "rain:nan", "rain:x"):
        with pytest.raises(ValueError, match="expected 0 to 1"):
            parse_label(wrong, NAMES)
    with pytest.raises(ValueError, match="expected NAME or"):
        parse_label(":0.5", NAMES)
