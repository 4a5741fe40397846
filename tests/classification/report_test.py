# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import html.parser
import pathlib
import re

import keras
import numpy as np
import pytest

from mmv_tf.classification import Classifier, ClassifierNetwork, Clip, FitOptions, fit, read_labels
from mmv_tf.classification.measures import ScoredClips
from mmv_tf.classification.report import write_report
from mmv_tf.classification.results import evaluation_results, fit_results
from mmv_tf.evaluation.features import Failures
from mmv_tf.inference import as_encoder
from tests import small_world
from tests.classification import samples
from tests.search import chromium

HOSTILE = "<script>alert(1)</script>"


class Page(html.parser.HTMLParser):
    """Collects the elements of a page and checks that they are closed in order."""

    VOID = ("meta", "img", "br", "circle", "rect", "polygon", "polyline")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def long_labels(count):
    """Clips of labels with long names, half of them confused."""
    labels = tuple(f"{n} {'a long name ' * 5}{'x' * 60}" for n in range(count))
    clips = tuple(
        Clip(pathlib.Path(f"/none/{n}.wav"), f"{'y' * 150}{n}.wav", (labels[n % count],))
        for n in range(2 * count)
    )
    targets = np.eye(count, dtype=np.int8)[np.arange(2 * count) % count]
    scores = 0.5 * targets + 0.6 * np.roll(targets, 1, axis=1) * (np.arange(2 * count) % 2)[:, None]
    scores = (scores + 0.01) / (scores + 0.01).sum(axis=1, keepdims=True)
    return ScoredClips(clips, labels, targets, scores, False)


@pytest.mark.slow
@pytest.mark.skipif(chromium.executable() is None, reason="there is no Chromium")
@pytest.mark.parametrize("count", [12, 50])
def test_a_report_fits_a_phone(tmp_path, count):
    scored = long_labels(count)
    model = small_world.tiny_model()
    metadata = {"num_frames": 4, "frame_rate": 5.0}
    network = ClassifierNetwork(
        model.audio, scored.labels, "audio", log_mel=model.log_mel, metadata=metadata
    )
    classifier = Classifier(network)
    outcome = evaluation_results(classifier, scored, "all", Failures(), 0.5)
    write_report(outcome.results, scored, classifier, tmp_path / "r.html")
    with chromium.browser(tmp_path / "profile") as page:
        for width in (390, 1400):
            page.resize(width, 900, phone=width < 500)
            page.open(f"file://{tmp_path / 'r.html'}")
            assert page.run("document.documentElement.scrollWidth") <= width
            assert not page.dialogs


@pytest.mark.parametrize("kind", ["sounds", "films", "images"])
def test_a_report(tmp_path, kind):
    keras.utils.set_random_seed(0)
    write = {
        "sounds": samples.write_sounds, "films": samples.write_films, "images": samples.write_images
    }[kind]  # fmt: skip
    folder = write(tmp_path / "data", 3)
    files = sorted(path for path in folder.rglob("*.*") if path.is_file())
    labels = [f'{HOSTILE}&"{path.parent.name}"' for path in files]
    quoted = [label.replace('"', '""') for label in labels]
    rows = [f'{path.relative_to(folder)},"{label}"' for path, label in
            zip(files, quoted, strict=True)]  # fmt: skip
    (tmp_path / "l.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    labeled = read_labels(tmp_path / "l.csv", data=folder)
    encoder = as_encoder(small_world.tiny_model())
    fitted = fit(labeled, encoder, FitOptions(tmp_path / "features", windows=2))
    # All wrong, so that every clip is shown.
    scores = np.roll(fitted.scored.targets, 1, axis=1) * 0.9 + 0.05
    fitted.scored.scores[:] = scores / scores.sum(axis=1, keepdims=True)
    outcome = fit_results(labeled, fitted, 0.5)
    write_report(outcome.results, fitted.scored, fitted.classifier, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in text
    page = Page(text)
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == len(files) * {"sounds": 1, "films": 4, "images": 1}[kind]
    assert all(one["alt"] and one["src"].startswith("data:image/jpeg;base64,") for one in images)
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert all("aria-label" in one or one.get("aria-hidden") == "true" for one in drawings)
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert text.count('class="best"') == 1
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text
    assert "Nothing: all files were read." in text
