# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Labels of a classifier on the page."""

import shutil

import pytest

from mmv_tf.search import WindowLabels, update_index
from tests.search.api.conftest import serve
from tests.search.conftest import HERE
from tests.search.labels_test import NAMES, make_classifier
from tests.search.page.conftest import MOMENTS, Site, serve_here


@pytest.fixture(scope="module")
def site(library, tmp_path_factory, page):
    own = library.copy(tmp_path_factory.mktemp("labels"))
    path = own.root / "classifier.keras"
    make_classifier(own.embedder, "video").save(path)
    shutil.rmtree(own.index)
    labels = WindowLabels.load(path, own.embedder.windows)
    update_index(own.videos, own.index, own.embedder, options=HERE, labels=labels)
    with serve_here(serve(own).app) as address:
        yield Site(address, page)
        page.open("about:blank")


def test_a_label_with_a_threshold_alone_and_with_a_sentence(site):
    site.open()
    site.click("#narrow")
    assert site.texts(".labels option") == list(NAMES)
    site.page.run("""(() => { const [range] = document.querySelectorAll('.labels [type=range]');
        document.querySelector('.labels select').value = 'a:0.5';
        range.value = '0.3'; range.dispatchEvent(new Event('input')); })()""")
    assert site.texts(".labels output") == ["0.30"]
    site.click_text("Add", ".labels")
    site.page.wait("location.search == '?label=a%3A0.5%3A0.3'")
    assert site.settled() and site.texts(".chip .text") == ["a:0.5 ≥ 0.3"]
    alone = site.page.run(MOMENTS)
    assert alone
    site.search("a red square")
    assert site.page.run("location.search") == "?q=a+red+square&label=a%3A0.5%3A0.3"
    assert len(site.texts(".chip")) == 2 and site.page.run(MOMENTS)
    # A label that nothing has.
    site.open("?label=rain%3A1")
    assert site.page.run(MOMENTS) == 0 and site.status == "Nothing was found."
    site.open("?label=snow%3A0.5")
    assert "no label 'snow'" in site.status
