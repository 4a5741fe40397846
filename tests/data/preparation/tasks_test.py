# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tasks of many machines give the bytes of one."""

import dataclasses
import shutil

import pytest

from mmv_tf.data import preparation
from mmv_tf.data.preparation import blocks, decoding, pipeline
from mmv_tf.util import locks
from mmv_tf.util.shares import Share
from tests import media_samples
from tests.data.preparation.samples import CUES, SETTINGS, contents


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five sources: two films with other labels each, a film without audio, two that fail."""
    path = tmp_path_factory.mktemp("films")
    for name, label in (("a", "zebra"), ("c", "ant"), ("e", None)):
        media_samples.write_film(
            path / f"{name}.mp4", 3.0, **({"tone_start": 1.0} if label else {"audio": None})
        )
        rows = ["start\tend\ttext\tlabel"]
        rows += [f"{start}\t{end}\t{text}\t{label or ''}" for start, end, text in CUES]
        (path / f"{name}.tsv").write_text("\n".join(rows))
    (path / "b.mp4").write_text("no film")
    shutil.copy(path / "a.mp4", path / "d.mp4")
    return path


def job(sources, settings=SETTINGS, **more):
    return pipeline.Job(sources, settings, **more)


def run_tasks(one, output, *texts):
    return [preparation.prepare_task(one, output, Share.parse(text)) for text in texts]


def check_same(sources, tmp_path, count, settings=SETTINGS):
    """Compares the files of tasks with those of one machine, and returns how tasks ended."""
    preparation.prepare(sources, tmp_path / "whole", settings)
    output = tmp_path / "tasks"
    texts = [f"{number}/{count}" for number in range(count, 0, -1)]
    results = run_tasks(job(sources, settings), output, *texts)
    preparation.prepare(sources, output, settings, finish=True)
    assert contents(output) == contents(tmp_path / "whole")
    assert not (output / ".partial").exists()
    return results


@pytest.mark.parametrize("count", [2, 7])
def test_the_bytes_are_those_of_one_machine(folder, tmp_path, in_process, count):
    sources = preparation.find_sources(folder)
    results = check_same(sources, tmp_path, count)
    assert sorted(row for one in results for row in one.probes) == [0, 1, 2, 3, 4]
    # The ids of classes that a task does not know are put in while merging.
    manifest = preparation.prepare(sources, tmp_path / "tasks", SETTINGS)[0]
    assert manifest["labels"] == ["ant", "zebra"]
    assert [row["status"] for row in manifest["sources"]] == [
        *("ok", "corrupt", "ok", "no captions", "no audio"),
    ]


def test_finishing_reads_no_media(folder, tmp_path, in_process, monkeypatch):
    sources = preparation.find_sources(folder)
    run_tasks(job(sources), tmp_path, "1/2", "2/2")
    monkeypatch.setattr(pipeline, "probe_all", None)
    monkeypatch.setattr(decoding, "write_block", None)
    manifest, _ = preparation.prepare(sources, tmp_path, SETTINGS, finish=True)
    assert manifest["splits"]["train"]["num_examples"] == 6


def test_clips_that_wait_for_a_split_are_decoded_while_finishing(folder, tmp_path, in_process):
    # Whether they share a unit with the listed split depends on all sources before.
    listing = folder / "list.csv"
    rows = ["path,start,end,split"]
    rows += [f"{name}.mp4,{t},{t + 0.5},{'test' * (t < 1)}" for name in "ace" for t in (0, 0.5, 2)]
    listing.write_text("\n".join(rows))
    sources = preparation.read_listing(listing)
    check_same(sources, tmp_path, 3, dataclasses.replace(SETTINGS, cut="list"))


def test_missing_tasks_are_named_and_nothing_is_lost(folder, tmp_path, in_process):
    sources = preparation.find_sources(folder)
    with pytest.raises(ValueError, match=r"no task with these settings and sources is done"):
        preparation.prepare(sources, tmp_path / "none", SETTINGS, finish=True)
    assert not (tmp_path / "none").exists()
    run_tasks(job(sources), tmp_path, "2/4")
    with pytest.raises(ValueError, match=r"tasks not done yet: 1/4, 3/4, 4/4; run --task=1/4"):
        preparation.prepare(sources, tmp_path, SETTINGS, finish=True)
    other = dataclasses.replace(SETTINGS, jpeg_quality=50)
    with pytest.raises(ValueError, match="no task with these settings"):
        preparation.prepare(sources, tmp_path, other, finish=True)
    # Tasks of another count do as well: 1/2 has the sources of 1/4 and 3/4.
    run_tasks(job(sources), tmp_path, "1/2", "4/4")
    preparation.prepare(sources, tmp_path, SETTINGS, finish=True)
    preparation.prepare(sources, tmp_path / "whole", SETTINGS)
    shutil.move(tmp_path / "whole", tmp_path.with_name("whole"))
    assert contents(tmp_path) == contents(tmp_path.with_name("whole"))
    assert run_tasks(job(sources), tmp_path, "1/4") == [None]


def test_an_interrupted_task_decodes_only_the_rest(folder, tmp_path, in_process, monkeypatch):
    sources = preparation.find_sources(folder)
    written = []

    def killed(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments[1])
        return blocks.write_block(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "write_block", killed)
        with pytest.raises(KeyboardInterrupt):
            run_tasks(job(sources), tmp_path / "data", "1/2")
    first = list(written)
    with monkeypatch.context() as patch:
        write = lambda *a: written.append(a[1]) or blocks.write_block(*a)  # noqa: E731
        patch.setattr(decoding, "write_block", write)
        run_tasks(job(sources), tmp_path / "data", "1/2", "2/2", "1/2")
    assert len(first) == 2
    assert len(set(written)) == len(written) == 6
    preparation.prepare(sources, tmp_path / "data", SETTINGS, finish=True)
    preparation.prepare(sources, tmp_path / "whole", SETTINGS)
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")


def test_damage_is_told_and_mended(folder, tmp_path, in_process):
    sources = preparation.find_sources(folder)
    output = tmp_path / "data"
    run_tasks(job(sources), output, "1/2", "2/2")
    (results,) = output.glob(".partial/*/tasks/000002-of-000002.json")
    results.write_bytes(results.read_bytes()[:-3])
    with pytest.raises(
        ValueError, match=r"checksum is missing or does not match\. Run --task=2/2 again"
    ):
        preparation.prepare(sources, output, SETTINGS, finish=True)
    run_tasks(job(sources), output, "2/2")
    block = min(output.glob(".partial/*/blocks/*/*.block"))
    damaged = bytearray(block.read_bytes())
    damaged[10] ^= 1
    block.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"block: is damaged; rerun the same command"):
        preparation.prepare(sources, output, SETTINGS, finish=True)
    preparation.prepare(sources, output, SETTINGS, finish=True)
    preparation.prepare(sources, tmp_path / "whole", SETTINGS)
    assert contents(output) == contents(tmp_path / "whole")


def test_tasks_run_together_but_not_with_others(folder, tmp_path, in_process):
    sources = preparation.find_sources(folder)
    lock = tmp_path / ".partial" / "lock"
    with locks.held(lock, tmp_path, "busy"), pytest.raises(ValueError, match="preparing data"):
        run_tasks(job(sources), tmp_path, "1/2")
    with locks.held(lock, tmp_path, "busy", shared=True):
        run_tasks(job(sources), tmp_path, "1/2", "2/2")
        with pytest.raises(ValueError, match="is preparing data there"):
            preparation.prepare(sources, tmp_path, SETTINGS, finish=True)
    path = next(tmp_path.glob(".partial/*/tasks/000001-of-000002.lock"))
    with locks.held(path, path, "busy"), pytest.raises(ValueError, match="doing the task 1/2"):
        run_tasks(job(sources), tmp_path, "1/2")
