# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from mmv_tf.evaluation import results
from mmv_tf.evaluation.benchmarks import BENCHMARKS
from mmv_tf.evaluation.declaration import changed
from mmv_tf.evaluation.results import Scored


def scored(ranks=None, **fields):
    count = len(ranks if ranks is not None else fields["scores"])
    ids = np.array([f"item {i}" for i in range(count)])
    base = {"ids": ids, "groups": ids, "splits": np.full(count, "1")}
    return Scored(**{**base, "ranks": ranks, **fields})


def write(path, one, part="test", version=1, extra=()):
    content = {"protocol": {"name": "p", "version": version}, "changed": list(extra)}
    results.write_results(content, {part: one}, path)
    return path


def test_accuracies_are_means_over_splits():
    ranks = np.array([1, 1, 1, 1, 1, 1, 9, 9])
    splits = np.array(["1"] * 6 + ["2"] * 2)
    summary = results.summarize(scored(ranks, splits=splits), retrieval=False)
    assert summary["top_1"]["value"] == 0.5, "not 6 / 8: each split counts the same"
    assert summary["top_1"]["splits"] == {"1": 1.0, "2": 0.0}


def test_retrieval_metrics_are_those_of_the_ranks():
    ranks = np.array([1, 2, 6, 11, 1, 40])
    summary = results.summarize(scored(ranks), retrieval=True)
    values = {name: metric["value"] for name, metric in summary.items()}
    assert values == pytest.approx(
        {"R@1": 2 / 6, "R@5": 0.5, "R@10": 4 / 6, "median_rank": 4.0, "mean_rank": 61 / 6}
    )
    low, high = summary["median_rank"]["interval"]
    assert 1 <= low < 4 < high <= 40


def test_skipped_classes_are_told_and_both_precisions_given():
    generator = np.random.default_rng(0)
    labels = np.zeros([40, 3], np.int8)
    labels[::3, 0] = labels[1::3, 1] = 1
    one = scored(scores=generator.normal(size=(40, 3)), labels=labels, points=11)
    summary = results.summarize(one, retrieval=False)
    assert summary["mAP"]["skipped_classes"] == 1
    assert summary["mAP"]["classes"] == 2
    low, high = summary["mAP"]["interval"]
    assert low < summary["mAP"]["value"] < high
    assert summary["mAP_area"]["value"] != summary["mAP"]["value"]
    assert {"AUC", "d_prime"} <= summary.keys()


def test_a_better_run_is_told_from_an_equal_one(tmp_path):
    generator = np.random.default_rng(1)
    ranks = generator.integers(1, 4, 300)
    better = np.where(generator.random(300) < 0.4, 1, ranks)
    paths = [
        write(tmp_path / f"{name}.json", scored(values))
        for name, values in (("a", ranks), ("b", better), ("c", ranks))
    ]
    row = results.compare(paths[0], paths[1])["test"]["top_1"]
    assert row["significant"]
    assert row["p_value"] < 0.001
    assert row["difference"] == pytest.approx((better == 1).mean() - (ranks == 1).mean())
    assert row["interval"][0] > 0
    same = results.compare(paths[0], paths[2])["test"]["top_1"]
    assert not same["significant"]
    assert same["difference"] == 0


def test_precisions_and_medians_are_compared_too(tmp_path):
    generator = np.random.default_rng(2)
    labels = (generator.random((120, 2)) < 0.3).astype(np.int8)
    good = labels + 0.3 * generator.normal(size=labels.shape)
    bad = labels + 3.0 * generator.normal(size=labels.shape)
    a = write(tmp_path / "a.json", scored(scores=bad, labels=labels))
    b = write(tmp_path / "b.json", scored(scores=good, labels=labels))
    row = results.compare(a, b)["test"]["mAP"]
    assert row["significant"] and row["test"] == "paired bootstrap" and row["difference"] > 0.2
    ranks = generator.integers(20, 60, 80)
    a = write(tmp_path / "a.json", scored(ranks), "text -> video")
    b = write(tmp_path / "b.json", scored(ranks - 15), "text -> video")
    rows = results.compare(a, b)["text -> video"]
    assert rows["median_rank"]["difference"] == -15
    assert rows["mean_rank"]["significant"] and rows["mean_rank"]["lower_is_better"]


def test_runs_that_can_not_be_compared_are_refused(tmp_path):
    ranks = np.arange(1, 9)
    a = write(tmp_path / "a.json", scored(ranks))
    newer = write(tmp_path / "b.json", scored(ranks), version=2)
    with pytest.raises(ValueError, match=r"p version 1, .*p version 2"):
        results.compare(a, newer)
    trial = write(tmp_path / "c.json", scored(ranks), extra=("test_views.windows=1",))
    with pytest.raises(ValueError, match=r"version 1 with test_views\.windows=1"):
        results.compare(a, trial)
    fewer = write(tmp_path / "d.json", scored(ranks[:-1]))
    with pytest.raises(ValueError, match=r"different items \(8 and 7; 'item 7' is in only one"):
        results.compare(a, fewer)
    results.items_path(fewer).unlink()
    with pytest.raises(ValueError, match=r"d\.items\.npz is missing"):
        results.compare(a, fewer)
    (tmp_path / "e.json").write_text("[]")
    with pytest.raises(ValueError, match="not a results file"):
        results.compare(a, tmp_path / "e.json")
    with pytest.raises(ValueError, match="no results at"):
        results.compare(a, tmp_path / "f.json")


def test_protocols_are_changed_by_name_and_type():
    benchmark = BENCHMARKS["ucf101_linear"]
    other = changed(benchmark, ["test_views.windows=4", "splits=('1',)", "test_views.frame_rate=5"])
    assert (other.test_views.windows, other.splits) == (4, ("1",))
    assert other.test_views.frame_rate == 5.0
    for setting, message in (
        (
            "test_views.window=4",
            r"no --protocol\.test_views\.window; nearest: --protocol\.test_views\.windows",
        ),
        ("test_views.windows=four", "expected int, like 10"),
        ("test_views.windows", "needs a value"),
        ("classifier=3", "is a section"),
    ):
        with pytest.raises(ValueError, match=message):
            changed(benchmark, [setting])


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_every_choice_has_a_source(name):
    benchmark = BENCHMARKS[name]
    assert "views" in benchmark.sources
    if benchmark.classifier is not None:
        assert "classifier" in benchmark.sources
    for what, source in benchmark.sources.items():
        assert source, what
    for figure in benchmark.reported:
        assert re.match(r"MMV \(Alayrac|VATT \(Akbari|tables of ", figure.where)
    plain = benchmark.as_dict()
    assert plain["read_list"].startswith("read_")
