# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from benchmarks.meant_moments import Meant, measured, rank_of, read_sentences, recalls
from mmv_tf.data.captions import read_captions
from mmv_tf.search import Moment, Searcher
from mmv_tf.search.fusion import EVEN
from tests.search.conftest import embedder, library  # noqa: F401

ROOT = pathlib.Path(__file__).parents[2]


def moment(start, end, video="a"):
    return Moment(video, start, end, 0.5, start)


def test_ranks():
    moments = [moment(0, 5, "b"), moment(20, 30), moment(4, 8), moment(0, 5)]
    assert rank_of(moments, "a", Meant("x", 0, 5)) == 4
    assert rank_of(moments, "a", Meant("x", 5, 9)) == 3
    assert rank_of(moments, "a", Meant("x", 24, 26)) == 2
    assert rank_of(moments, "a", Meant("x", 29.5, 33)) is None
    assert rank_of(moments, "b", Meant("x", 0, 5)) == 1
    assert recalls([1, 2, 5, 6, None]) == {"at_1": 0.2, "at_5": 0.6, "at_10": 0.8}


def test_the_sentences_are_no_cues():
    path = ROOT / "benchmarks" / "bbb_sentences.tsv"
    cues = read_captions(ROOT / "mmv_tf" / "quickstart" / "bbb_narration.vtt")
    meant = [read_sentences(path, part) for part in ("choose", "report")]
    assert [len(part) for part in meant] == [20, 20]
    by_time = {(cue.start, cue.end): set(cue.text.split()) for cue in cues}
    for one in meant[0] + meant[1]:
        words = set(one.sentence.split())
        assert len(words & by_time[one.start, one.end]) <= len(words) / 2, one
    starts = {one.start for one in meant[0]} & {one.start for one in meant[1]}
    assert not starts


def test_a_table_of_other_columns(tmp_path):
    (tmp_path / "a.tsv").write_text("start\tend\n1\t2\n")
    with pytest.raises(ValueError, match="expected the columns part, start"):
        read_sentences(tmp_path / "a.tsv", "report")


@pytest.mark.slow
def test_recall_on_a_tiny_index(library):  # noqa: F811
    searcher = Searcher(library.index)
    searcher._embedder = library.embedder
    meant = [Meant("something falls", 6, 12), Meant("a red thing, square", 0, 6)]
    found = measured(searcher, "long.mp4", [*meant, Meant("xylophone", 0, 6)], EVEN)
    assert found["speech"].pop("at_1") == 0.667
    found = measured(searcher, "long.mp4", meant, EVEN)
    assert found["speech"] == {"at_1": 1.0, "at_5": 1.0, "at_10": 1.0}
    assert set(found) == {"vision", "speech", "both"} and found["both"]["at_10"] >= 0.5
