# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Faults of stores: what is retried, how often, and what is told."""

import hashlib
import logging
import os
import pathlib
import random
import re
import threading

import pytest

from mmv_tf.util.storage import mirror, retries, workspace
from mmv_tf.util.storage.errors import MissingError, StorageError
from mmv_tf.util.storage.store import open_store
from tests.storage_servers import FAULTS, SECRET, at_random


@pytest.fixture
def waits(monkeypatch):
    """The seconds waited; no time passes."""
    waited = []
    monkeypatch.setattr(retries.time, "sleep", waited.append)
    monkeypatch.setattr(retries.time, "monotonic", lambda: sum(waited))
    return waited


def test_retries_are_bounded_in_number(waits):
    calls = []

    def operation():
        calls.append(1)
        raise ConnectionResetError

    with pytest.raises(StorageError, match=r"unreachable \(cut connection, 8 retries\)"):
        retries.retried(operation, "read it", "s3://b/k")
    assert len(calls) == 1 + retries.MAX_RETRIES == 9
    assert all(0.5 <= wait / (0.25 * 2**n) <= 1 for n, wait in enumerate(waits[:7]))
    assert sum(waits) < 90


def test_retries_are_bounded_in_time(waits, monkeypatch):
    monkeypatch.setenv("MMV_TF_STORAGE_RETRY_SECONDS", "3")
    with pytest.raises(StorageError, match="try again later"):
        retries.retried(_refuse, "read it", "s3://b/k")
    assert 0.5 < sum(waits) <= 3


def _refuse():
    raise TimeoutError


def test_what_can_not_pass_is_not_retried(waits):
    def operation():
        raise PermissionError

    with pytest.raises(StorageError, match="do not permit this"):
        retries.retried(operation, "read it", "s3://b/k")
    assert waits == []


@pytest.mark.parametrize("given", ["-1", "x", "nan", "inf"])
def test_wrong_limit(monkeypatch, given):
    monkeypatch.setenv("MMV_TF_STORAGE_RETRY_SECONDS", given)
    with pytest.raises(ValueError, match=f"RETRY_SECONDS={given}; expected a number of seconds"):
        retries.retried(_refuse, "read it", "s3://b/k")


def test_a_store_says_how_long_to_wait(s3_store, monkeypatch):
    waited = []
    monkeypatch.setattr(retries.time, "sleep", waited.append)
    open_store(s3_store.url).write("x", b"1")
    with s3_store.faulty(at_random(0, 1.0, ["503"], most=2)) as proxy:
        proxy.retry_after = "7"
        assert open_store(s3_store.url).read("x") == b"1"
    assert waited == [7.0, 7.0]


class _Reader(threading.Thread):
    """Looks at a folder all the time: what its manifest lists must be there, and whole."""

    def __init__(self, store):
        super().__init__()
        self.store, self.done, self.wrong, self.looks = store, threading.Event(), [], 0

    def run(self):
        while not self.done.wait(0.05):
            try:
                lines = self.store.read("manifest.json").decode().splitlines()
            except MissingError:
                continue
            self.looks += 1
            for name, digest in (line.split() for line in lines):
                try:
                    data = self.store.read(name)
                except MissingError:
                    if self.store.read("manifest.json").decode().splitlines() == lines:
                        self.wrong.append(name)
                    break  # A new manifest is there; its folder has other files.
                if hashlib.sha256(data).hexdigest() != digest:
                    self.wrong.append(name)


def _write(folder, round_number, chance):
    """New shards, whose names hold the round, and a manifest of them."""
    lines = []
    for old in folder.glob("shard-*"):
        old.unlink()
    for number in range(12):
        data = chance.randbytes(chance.randrange(1, 40_000))
        name = f"shard-{round_number}-{number}"
        (folder / name).write_bytes(data)
        lines.append(f"{name} {hashlib.sha256(data).hexdigest()}")
    (folder / "manifest.json").write_text("\n".join(lines))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("kind", "faults"),
    # The client of the latter waits for seconds before it repeats a request.
    [("s3_store", 100), pytest.param("gcs_store", 20, marks=pytest.mark.slow)],
)
def test_injected_faults(request, monkeypatch, capfd, caplog, tmp_path, kind, faults):
    # Nothing is lost, nothing is half visible, and one line tells what was retried.
    caplog.set_level(logging.DEBUG, "gcsfs")
    monkeypatch.setattr(retries, "_FIRST_DELAY", 0.01)
    loopback = request.getfixturevalue(kind)
    direct = open_store(f"{loopback.url}/data")
    chance = random.Random(0)
    reader = _Reader(direct)
    kinds = [fault for fault in FAULTS if fault != "slow"] + ["slow"]
    with workspace.tallied(), loopback.faulty(at_random(1, 0.25, kinds)) as proxy:
        proxy.slow_seconds, proxy.retry_after = 0.05, "0"
        first = mirror.fetch_folder(f"{loopback.url}/data")
        round_number = 0
        while sum(proxy.injected.values()) < faults:
            written = _write(first, round_number, chance)
            mirror.push_folder(first)
            if not reader.is_alive():
                reader.start()
            round_number += 1
            here = os.environ["MMV_TF_STORAGE_CACHE"]
            loopback.fresh_machine()
            second = mirror.fetch_folder(f"{loopback.url}/data")
            assert {path.name: path.read_bytes() for path in second.iterdir()} == written
            monkeypatch.setenv("MMV_TF_STORAGE_CACHE", here)
    reader.done.set()
    reader.join()
    assert reader.looks and not reader.wrong
    assert {name: direct.read(name) for name in direct.list()} == written
    out, err = capfd.readouterr()
    assert re.fullmatch(r"storage: \d+ operations? (was|were) retried \(.*\)\.\n", err)
    if kind == "s3_store":
        assert set(proxy.injected) == set(FAULTS)
        told = sum(int(number) for number in re.findall(r"(\d+) [a-z]+ [a-z]", err.split("(")[1]))
        # The HTTP client itself repeats some requests whose connections are cut.
        errors = proxy.injected["500"] + proxy.injected["503"]
        assert errors <= told <= sum(proxy.injected.values()) - proxy.injected["slow"]
    assert SECRET not in out + err + caplog.text
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            assert SECRET.encode() not in pathlib.Path(folder, name).read_bytes()
