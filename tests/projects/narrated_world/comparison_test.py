# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import copy
import json

import numpy as np
import pytest

from mmv_tf import training
from projects.narrated_world import COARSE, FINE, tables
from projects.narrated_world import comparison as comparison_lib
from projects.narrated_world import config as configuration
from projects.narrated_world import scoring as scoring

# Its fixture trains a model.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config():
    return configuration.get_config("runlocal")


@pytest.fixture(scope="module")
def short(config):
    short = config.copy_and_resolve_references().unlock()
    short.run = ("untrained", "fac")
    return short.lock()


@pytest.fixture(scope="module")
def finished(short, tmp_path_factory):
    directory = tmp_path_factory.mktemp("comparison")
    scored = []
    results = comparison_lib.run(short, directory, lambda *run: scored.append(run[:2]))
    assert scored == [("untrained", 0), ("fac", 0)]
    return directory, results


def test_every_variant_has_the_towers_and_spaces_that_it_needs(config):
    comparison = comparison_lib.Comparison(config)
    spaces = {}
    for name in config.run:
        model = comparison.model(name)
        spaces[name] = {modality: model.spaces(modality) for modality in model.modalities}
    fac = {"video": ("va", "vat"), "audio": ("va", "vat"), "text": ("vat",)}
    assert comparison.model("fac_at").trains_head("audio", "vat")
    assert not comparison.model("fac").trains_head("audio", "vat")
    assert spaces == {
        "untrained": fac,
        "fac": fac,
        "fac_at": fac,
        "fac_p1": fac,
        "disjoint": {"video": ("va", "vt"), "audio": ("va",), "text": ("vt",)},
        "shared": {"video": ("vat",), "audio": ("vat",), "text": ("vat",)},
        "va": {"video": ("va",), "audio": ("va",)},
        "vt": {"video": ("vt",), "text": ("vt",)},
    }


def test_a_comparison_trains_scores_and_keeps_its_networks(finished):
    directory, results = finished
    stored = json.loads((directory / "results.json").read_text())
    assert stored == json.loads(json.dumps(results))
    scores = stored["runs"]["fac"]["0"]
    assert set(scores["retrieval"]) == set(stored["chance"]["retrieval"])
    assert set(scores["probe"]) == {
        f"{modality}/{name}"
        for modality in ("video", "audio")
        for name in ("before_head", "va", "vat")
    }
    model = training.load_model(comparison_lib.model_path(directory, "fac", 0))
    assert model.metadata["num_frames"] == 8
    untrained = training.load_model(comparison_lib.model_path(directory, "untrained", 0))
    same = [
        np.array_equal(a, b)
        for a, b in zip(untrained.get_weights(), model.get_weights(), strict=True)
    ]
    assert not all(same)
    # Both began from the same seed: what training leaves alone is equal.
    assert np.array_equal(untrained.text.get_weights()[0], model.text.get_weights()[0])


def test_what_is_done_is_not_done_again(short, finished, monkeypatch):
    directory, results = finished

    def refuse(*arguments):
        raise AssertionError

    monkeypatch.setattr(comparison_lib.Comparison, "train", refuse)
    assert comparison_lib.run(short, directory) == json.loads(json.dumps(results))
    other = short.copy_and_resolve_references().unlock()
    other.optimizer.learning_rate = 0.5
    with pytest.raises(ValueError, match="a comparison with other settings"):
        comparison_lib.run(other, directory)
    path = comparison_lib.trained_model(short, directory)
    assert path == directory / "models" / "fac_0.keras"


def test_wrong_settings_are_refused(short):
    wrong = short.copy_and_resolve_references().unlock()
    wrong.run = ("fca",)
    with pytest.raises(ValueError, match="no variant 'fca' to run"):
        comparison_lib.Comparison(wrong)
    wrong.run = ("fac",)
    wrong.variants.fac.candidates = 6
    with pytest.raises(ValueError, match=r"variants\.fac\.candidates is 6"):
        comparison_lib.Comparison(wrong)
    with pytest.raises(
        ValueError,
        match="each of these groups: test or validation; full or runlocal; 'runlocl' is unknown",
    ):
        configuration.get_config("runlocl")


def test_scoring_refuses_the_training_world(short):
    world = comparison_lib.Comparison(short).world()
    wrong = short.scoring.copy_and_resolve_references().unlock()
    wrong.seed = short.world.seed
    with pytest.raises(ValueError, match="is the training world's"):
        scoring.make_questions(wrong, world)


def test_recall_is_the_mean_over_galleries():
    generator = np.random.default_rng(0)
    items = generator.normal(size=(60, 8)).astype(np.float32)
    queries = items.copy()
    queries[20:40] = generator.normal(size=(20, 8))  # the second gallery of three is noise
    found = scoring.recalls(scoring.ranks_within(queries, items, 20))
    naive = []
    for start in (0, 20, 40):
        for i in range(start, start + 20):
            unit = [q / np.linalg.norm(q) for q in items[start : start + 20]]
            similarity = [u @ queries[i] for u in unit]
            naive.append(sum(s >= similarity[i - start] for s in similarity))
    assert found == {f"R@{k}": np.mean(np.array(naive) <= k) for k in scoring.RECALLS}
    assert 2 / 3 <= found["R@1"] < 0.8
    with pytest.raises(ValueError, match="not a multiple"):
        scoring.ranks_within(queries, items, 50)


def fake_results():
    def scores(recall, accuracy):
        return {
            "retrieval": {"text -> video": {"R@1": recall, "R@10": 1.0}},
            "probe": {
                "video/before_head": dict.fromkeys([*COARSE, *FINE], accuracy),
            },
        }

    return {
        "config": {"variants": {"a": {"title": "One"}, "b": {"title": "Two"}}},
        "chance": scoring.chance(configuration.get_config().scoring),
        "runs": {"a": {"0": scores(0.1, 0.5), "1": scores(0.3, 0.7)}, "b": {"0": scores(0.2, 0.4)}},
    }


def test_the_table_holds_means_spreads_chance_and_gaps():
    lines = tables.markdown(fake_results()).splitlines()
    assert lines[0] == "| % | chance | One | Two |"
    # Of two runs 20 points apart the mean is known to 12.706 (t, one degree) times 10.
    assert "| text -> video: R@1 | 0.5 | 20.0 ± 127.1 | 20.0 |" in lines
    assert "| video features, coarse: shape | 16.7 | 60.0 ± 127.1 | 40.0 |" in lines
    assert "| video features, fine: spin | 25.0 | 60.0 ± 127.1 | 40.0 |" in lines
    assert "| audio -> text: R@10 | 4.6 | - | - |" in lines
    assert len({line.split("|")[1] for line in lines}) == len(lines)


def test_differences_are_taken_seed_by_seed():
    results = fake_results()
    results["runs"]["b"]["1"] = copy.deepcopy(results["runs"]["b"]["0"])
    results["runs"]["b"]["1"]["retrieval"]["text -> video"]["R@1"] = 0.4
    lines = tables.differences_markdown(results, to="a").splitlines()
    assert lines[0] == "| points above One | Two |"
    assert "| text -> video: R@1 | +10.0 ± 0.0 |" in lines
    assert "| video features, coarse: shape | -20.0 ± 127.1 |" in lines
    del results["runs"]["b"]["1"]
    assert "| text -> video: R@1 | - |" in tables.differences_markdown(results, to="a")


def test_first_right_answers_are_ranked_among_all():
    generator = np.random.default_rng(1)
    kinds = generator.integers(5, size=40)
    queries, items = generator.normal(size=(2, 40, 3))
    items[7] = items[3]  # a tie counts against the rank
    kinds[[3, 7]] = 0, 1
    naive = []
    for query, kind in zip(queries, kinds, strict=True):
        cosines = [query @ item / np.linalg.norm(item) for item in items]
        best = max(c for c, other in zip(cosines, kinds, strict=True) if other == kind)
        wrong = [c for c, other in zip(cosines, kinds, strict=True) if other != kind]
        naive.append(1 + sum(c >= best - 1e-12 for c in wrong))
    assert scoring.first_ranks(queries, items, kinds).tolist() == naive


def test_chance_of_recall_is_that_of_random_orders():
    generator = np.random.default_rng(2)
    orders = np.array([generator.permutation(24) for _ in range(20_000)])
    for k, right in ((1, 1), (10, 1), (3, 4), (10, 6)):
        seen = (orders[:, :k] < right).any(axis=1).mean()
        assert scoring.chance_of_recall(k, 24, right) == pytest.approx(seen, abs=0.015)
    assert scoring.chance_of_recall(10, 4, 1) == 1
    large = scoring.chance(configuration.get_config().scoring)["retrieval"]
    assert large["audio -> text, large gallery"]["R@1"] == pytest.approx(1 / 36)
    assert large["text -> video, large gallery"]["R@1"] == pytest.approx(1 / 216)
    assert large["video -> audio, large gallery"]["R@1"] == pytest.approx(1 / 2160)


def test_with_other_scoring_networks_are_scored_again_and_not_trained(short, tmp_path, monkeypatch):
    short = short.copy_and_resolve_references().unlock()
    short.run = ("untrained",)
    first = comparison_lib.run(short, tmp_path)
    monkeypatch.setattr(comparison_lib.Comparison, "train", None)
    short.scoring.groups = 1
    second = comparison_lib.run(short, tmp_path)
    assert first["trained"] == second["trained"]
    one, other = (results["runs"]["untrained"]["0"] for results in (first, second))
    assert one["probe"] == other["probe"]
    assert one["retrieval"] != other["retrieval"]
    path = tmp_path / "results.json"
    old = json.loads(path.read_text())
    del old["trained"]
    path.write_text(json.dumps(old))
    with pytest.raises(ValueError, match="from an earlier version"):
        comparison_lib.run(short, tmp_path)
