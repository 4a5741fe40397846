# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The whole chain of programs on a generated film: fails if any of the seven steps is broken."""

import json

import pytest

from mmv_tf.programs.quickstart import Job, make_steps
from mmv_tf.quickstart import report
from mmv_tf.quickstart.steps import Step, StepError, run_steps
from tests import small_world


@pytest.mark.slow  # the programs have quick tests of their own
def test_the_whole_chain(tmp_path, capfd):
    film, captions, labels = small_world.write_narrated_film(tmp_path)
    job = Job(
        work=tmp_path / "work",
        film=film,
        vectors=small_world.write_word_vectors(tmp_path),
        captions=captions,
        labels=labels,
        config="quickstart:runlocal",
        short_side=48,
        block_seconds=4.0,
        sentences=("a red square", "the circle falls"),
    )
    job.work.mkdir()
    record = run_steps(make_steps(job), job.work / "steps.json")
    results = report.write(job.work, film, record)

    assert list(record) == [
        "prepare_data",
        "train",
        "evaluate",
        "deflate",
        "export",
        "ask",
        "index",
    ]
    stored = json.loads((job.work / "results.json").read_text())
    assert stored["retrieval"].keys() == {"text -> video", "video -> audio", "audio -> text"}
    for metrics in stored["retrieval"].values():
        assert metrics["count"] == stored["data"]["clips"]["test"] > 1
        assert 0 < metrics["p_value"] <= 1
    assert stored["linear_probe"]["untrained"].keys() == {"video", "audio"}
    assert stored["deflation"]["fitted"]["l1"] < stored["deflation"]["naive"]["l1"]
    clips = stored["data"]["clips"]
    frames = 4 * (clips["train"] + clips["validation"])
    assert stored["deflation"]["images"] == 2 * frames, "each frame, and an altered copy of it"
    assert stored["export"]["signatures"].keys() == {"video", "audio", "text", "image"}
    assert [answer["sentence"] for answer in stored["answers"]] == list(job.sentences)
    assert stored["search"]["windows"] > 10
    assert "text -> video: median rank" in report.summary(results)

    ranks = stored["training"]["held_out"]["text_to_video/mean_rank"]
    assert [step for step, _ in ranks] == [1, 2, 3, 4]
    assert all(1 <= rank <= clips["test"] for _, rank in ranks)
    tested = [block for block in stored["data"]["blocks"] if block["split"] == "test"]
    for moment in (moment for answer in stored["answers"] for moment in answer["moments"]):
        assert any(b["start"] <= moment["start"] < b["end"] for b in tested), "test moments only"
    for probe in stored["linear_probe"]["trained"].values():
        low, high = probe["interval"]
        assert 0 <= low <= probe["accuracy"] <= high <= 1

    page = (job.work / "report.html").read_text()
    assert page.count("<svg") == 3 and "On test clips" in page
    assert page.count("data:image/jpeg;base64,") >= 4

    capfd.readouterr()
    run_steps(make_steps(job), job.work / "steps.json")
    assert capfd.readouterr().out.count("already done") == 7


def test_a_failed_step_is_named_and_done_ones_are_kept(tmp_path, capfd):
    good = Step("good", ("-c", f"open({str(tmp_path / 'a')!r}, 'w')"), (tmp_path / "a",))
    bad = Step("bad", ("-c", "import sys; sys.exit(3)"), (tmp_path / "b",))
    with pytest.raises(StepError, match="'bad' failed with status 3"):
        run_steps([good, bad], tmp_path / "steps.json")
    mended = Step("bad", ("-c", f"open({str(tmp_path / 'b')!r}, 'w')"), (tmp_path / "b",))
    run_steps([good, mended], tmp_path / "steps.json")
    assert "[1/2] good: already done" in capfd.readouterr().out


def test_a_step_runs_again_when_what_it_depends_on_changed(tmp_path, capfd):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("1")
    step = Step("copy", ("-c", f"open({str(target)!r}, 'w')"), (target,), (source,))
    run_steps([step], tmp_path / "steps.json")
    source.write_text("2")
    run_steps([step], tmp_path / "steps.json")
    assert "already done" not in capfd.readouterr().out
