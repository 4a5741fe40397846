# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pipelines on Beam's DirectRunner and on its portable job service."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

from mmv_tf.data import preparation
from mmv_tf.data.preparation import beam
from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.util.storage.store import open_store
from tests import media_samples, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("films")
    cues = [(0.1, 0.9, "one"), (1.0, 1.6, "two")]
    for name in ("a b", "é"):
        media_samples.write_film(path / f"{name}.mp4", 2.0, tone_start=0.5)
        media_samples.write_vtt(path / f"{name}.vtt", cues)
    (path / "bad.mp4").write_text("no film")
    shutil.copy(path / "é.vtt", path / "bad.vtt")
    return path


def contents(directory):
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir()) if p.is_file()}


SETTINGS = preparation.Settings(
    frame_rate=5.0,
    short_side=24,
    min_clip_seconds=0.5,
    block_seconds=1.0,
    split_pattern=("train", "test"),
    num_shards=2,
)


def check_same_shards(folder, output):
    for name, by_beam in (("local", False), ("beam", True)):
        manifest, _ = preparation.prepare(
            preparation.find_sources(folder),
            output / name,
            SETTINGS,
            execution=preparation.Execution(processes=2, beam=by_beam),
        )
        assert [row["status"] for row in manifest["sources"]] == ["ok", "corrupt", "ok"]
    assert contents(output / "beam") == contents(output / "local")
    assert len(contents(output / "beam")) == 5
    assert not (output / "beam" / ".partial").exists()


@pytest.mark.slow
def test_same_shards_as_on_one_machine(folder, tmp_path, in_process):
    check_same_shards(folder, tmp_path)


@pytest.mark.slow
def test_same_shards_with_child_processes(folder, tmp_path):
    check_same_shards(folder, tmp_path)


def test_hint_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.setattr(beam.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'mmv_tf\[beam\]'"):
        beam.BeamRunner(WorkFolder(str(tmp_path)), 1.0)


@contextlib.contextmanager
def module(name, folder, cache, *arguments):
    """A module of Beam in a process with its own working directory and mirror of stores."""
    environment = {
        **os.environ,
        # Beam's worker pool starts workers as "python".
        "PATH": f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MMV_TF_STORAGE_CACHE": str(cache),
        "PYTHONPATH": f"{running.ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    command = [sys.executable, "-m", f"apache_beam.runners.{name}", *arguments]
    with open(folder / f"{name}.log", "w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def wait_for(process, port):
    until = time.monotonic() + 120
    while True:
        assert process.poll() is None and time.monotonic() < until
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
            return


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.mark.slow
def test_workers_that_share_only_a_store(folder, s3_store, tmp_path):
    """Beam's portable job service, with a worker that has another disk than the program."""
    pytest.importorskip("apache_beam")
    store = open_store(f"{s3_store.url}/films")
    for path in folder.iterdir():
        store.upload(path, path.name)
    worker, jobs = free_ports(2)
    options = (
        *("--runner=PortableRunner", f"--job_endpoint=localhost:{jobs}"),
        *("--environment_type=EXTERNAL", f"--environment_config=localhost:{worker}"),
    )
    execution = preparation.Execution(beam=True, beam_options=options)
    pool = module("worker.worker_pool_main", tmp_path, tmp_path / "w", f"--service_port={worker}")
    service = module(
        "portability.local_job_service_main", tmp_path, tmp_path / "j", f"--port={jobs}"
    )
    with pool as first, service as second:
        wait_for(first, worker)
        wait_for(second, jobs)
        sources = preparation.find_sources(f"{s3_store.url}/films")
        output = f"{s3_store.url}/beam"
        manifest, _ = preparation.prepare(sources, output, SETTINGS, execution=execution)
    assert [row["status"] for row in manifest["sources"]] == ["ok", "corrupt", "ok"]
    assert list((tmp_path / "w").rglob("*.mp4")), "the worker fetched the films"
    expected, _ = preparation.prepare(sources, f"{s3_store.url}/local", SETTINGS)
    assert manifest == expected
    found, plain = (open_store(f"{s3_store.url}/{name}") for name in ("beam", "local"))
    assert found.list().keys() == plain.list().keys()
    assert all(found.read(name) == plain.read(name) for name in plain.list())
