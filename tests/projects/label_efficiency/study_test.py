# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools
import json

import pytest

from projects.label_efficiency import report, study
from projects.label_efficiency.config import get_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    seen = []
    results = study.run(get_config("runlocal"), directory, on_run=seen.append)
    return directory, results, seen


@pytest.mark.slow
def test_every_share_has_a_run_of_each_arm(finished):
    directory, results, seen = finished
    assert results["runs"] == seen
    keys = [(run["classifier"], run["share"], run["start"]) for run in seen]
    kinds, starts = (study.LINEAR, study.FINE_TUNED), (study.NETWORK, study.NOTHING)
    assert keys == list(itertools.product(kinds, (0.02, 0.03), starts))
    assert all(len(run["right"]) == 216 and set(run["right"]) <= {"0", "1"} for run in seen)
    # One example of each class either way: nothing is run twice.
    first, again = seen[:2] + seen[4:6], seen[2:4] + seen[6:]
    assert [run["right"] for run in first] == [run["right"] for run in again]
    assert all(run["seconds"] > 0 for run in first)
    assert all(run["seconds"] == 0 for run in again)
    assert json.loads((directory / study.RESULTS_FILE).read_text()) == results
    assert (directory / "models" / "fac_0.keras").exists()
    # The beginnings differ, and so do their classifiers.
    assert seen[0]["right"] != seen[1]["right"]


@pytest.mark.slow
def test_finished_runs_are_not_done_again(finished, monkeypatch):
    directory, results, _ = finished
    monkeypatch.setattr(study.classifiers, "fine_tuned_scores", None)
    monkeypatch.setattr(study.classifiers, "extract", None)
    assert study.run(get_config("runlocal"), directory) == results


@pytest.mark.slow
def test_a_folder_of_other_settings_is_refused(finished):
    directory, _, _ = finished
    config = get_config("runlocal").copy_and_resolve_references().unlock()
    config.penalty = 1.0
    with pytest.raises(ValueError, match="a study with other settings"):
        study.run(config, directory)


@pytest.mark.slow
def test_the_report_has_the_runs(finished, tmp_path):
    _, results, seen = finished
    (first, second) = report.rows(results, "world")
    assert (first.share, first.labels, second.labels) == (0.02, 6, 6)
    expected = seen[0]["right"].count("1") / 216
    assert first.accuracy[study.LINEAR, study.NETWORK][0] == pytest.approx(expected)
    report.plot(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
