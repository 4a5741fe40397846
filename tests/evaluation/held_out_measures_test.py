# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.evaluation.held_out_measures import clips_to_log, losses, retrieval_metrics
from mmv_tf.losses import Objective
from tests.training import linear_world

OBJECTIVE = Objective({"va": 1.0, "vt": 2.0}, temperature=0.2)


@pytest.fixture(scope="module")
def model():
    """A graph with one space, "vat"."""
    return linear_world.LinearGraph()


def arrays(count, seed=0):
    rng = np.random.default_rng(seed)
    found = {
        f"{m}/vat": rng.normal(size=[count, 6]).astype("f4") for m in ("video", "audio", "text")
    }
    found |= {f"valid/{m}": np.ones(count, bool) for m in ("video", "audio", "text")}
    return found


def naive_loss(left, right, temperature=0.2):
    """Mean over rows of MMV's loss, both directions in one denominator, written out."""
    cosine = [
        [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) / temperature for b in right]
        for a in left
    ]
    total = 0.0
    for i in range(len(left)):
        terms = [np.exp(cosine[i][j]) for j in range(len(right))]
        terms += [np.exp(cosine[j][i]) for j in range(len(left))]
        total += np.log(sum(terms)) - cosine[i][i]
    return total / len(left)


def test_the_loss_is_the_mean_over_whole_batches(model):
    given = arrays(11)
    found = losses(model, OBJECTIVE, given, batch_size=4)
    for pair, other in (("va", "audio"), ("vt", "text")):
        expected = np.mean(
            [
                naive_loss(given["video/vat"][s : s + 4], given[f"{other}/vat"][s : s + 4])
                for s in (0, 4)
            ]
        )
        assert found[f"loss/{pair}"] == pytest.approx(expected, rel=1e-5)
    assert found["loss"] == pytest.approx(found["loss/va"] + 2 * found["loss/vt"], rel=1e-6)


def test_fewer_clips_than_a_batch_are_one(model):
    given = arrays(3)
    found = losses(model, OBJECTIVE, given, batch_size=64)
    expected = naive_loss(given["video/vat"], given["audio/vat"])
    assert found["loss/va"] == pytest.approx(expected, rel=1e-5)


def test_clips_without_a_modality_are_no_rows(model):
    given = arrays(6)
    given["valid/text"][[1, 4]] = False
    found = losses(model, OBJECTIVE, given, batch_size=6)
    rows = given["valid/text"]
    expected = naive_loss(given["video/vat"][rows], given["text/vat"][rows])
    assert found["loss/vt"] == pytest.approx(expected, rel=1e-5)
    given["valid/text"][:] = False
    assert losses(model, OBJECTIVE, given, batch_size=6) == {}, "no loss without one of its terms"
    del given["valid/text"]
    assert losses(model, OBJECTIVE, given, batch_size=6) == {}
    assert set(losses(model, Objective({"va": 1.0}), given, 6)) == {"loss", "loss/va"}


def test_retrieval_ranks_the_own_item_among_all(model):
    given = arrays(5)
    given["text/vat"] = 3 * given["video/vat"]
    found = retrieval_metrics(model, given)
    assert found["text_to_video/R@1"] == 1 and found["text_to_video/mean_rank"] == 1
    assert found["video_to_audio/count"] == 5
    given["valid/text"][1:] = False
    assert not any(name.startswith("text") for name in retrieval_metrics(model, given))


def test_a_log_gets_the_cosines_of_all_and_the_media_of_some(model):
    given = arrays(5)
    given["valid/text"][2] = False
    given |= {"name": np.array([f"n{i}" for i in range(5)], object)}
    given |= {"caption": np.array([f"c{i}" for i in range(5)], object)}
    media = {"rows": np.array([0, 2]), "video": np.zeros([2, 4, 8, 8, 3], np.uint8)}
    clips = clips_to_log(model, given, media)
    assert clips.sentences == ("c0", "c1", "", "c3", "c4") and clips.shown == (0, 2)
    assert clips.log_mels is None
    cosines = clips.similarities["text_to_video"]
    assert np.isnan(cosines[2]).all() and np.isnan(cosines[:, 2]).all()
    text, video = given["text/vat"][1], given["video/vat"][3]
    expected = text @ video / np.linalg.norm(text) / np.linalg.norm(video)
    assert cosines[1, 3] == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(clips.similarities["video_to_audio"]).all()
