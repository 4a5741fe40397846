# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Downloads from a server on this machine that behaves well, badly, or not at all."""

from __future__ import annotations

import base64
import collections
import dataclasses
import errno
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import ssl
import sys
import threading
import time
import types
import urllib.error
from collections.abc import Callable

import google_crc32c
import pytest

from mmv_tf import pretrained
from mmv_tf.pretrained import FetchError, downloading, fetch, published, web
from tests.pretrained.file_server import Answer, FileServer

CONTENT = random.Random(0).randbytes(400_000)
OTHER = random.Random(1).randbytes(400_000)
NAME = "mmv_s3d"
FILE = f"{NAME}.pkl"
SIZED = "mil_nce_s3d_torch"  # the one whose size is known
DEADLINE_SECONDS = 20.0


@pytest.fixture
def server(monkeypatch):
    """Serves CONTENT as what the registry calls NAME and SIZED."""
    server = FileServer(CONTENT)
    changes = {
        NAME: {"address": server.address},
        SIZED: {"address": server.address, "size_bytes": len(CONTENT)},
    }
    entries = tuple(
        dataclasses.replace(entry, **changes.get(entry.name, {}))
        for entry in pretrained.registry().values()
    )
    monkeypatch.setattr(published, "_PUBLISHED", entries)
    monkeypatch.setattr(downloading, "PAUSES", (0.0, 0.0, 0.0))
    # A proxy is not asked for this machine.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    yield server
    server.stop()


def error_of(call: Callable[[], object]) -> str:
    """The one line of a FetchError."""
    with pytest.raises(FetchError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def part_of(cache: pathlib.Path) -> pathlib.Path:
    return cache / NAME / f"{FILE}.part"


def size_of(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_downloads_once_and_works_offline_from_then_on(server, tmp_path, capsys):
    path = fetch(NAME, tmp_path)
    assert path == tmp_path / NAME / FILE
    assert path.read_bytes() == CONTENT
    shown = capsys.readouterr().err
    assert shown.count("CC BY-NC 4.0") == shown.count(server.address) == 1
    assert shown.count(f"fetch {NAME}: ") == 1
    names = {entry.name for entry in path.parent.iterdir()}
    assert names == {FILE, f"{FILE}.record.json", ".lock"}
    record = json.loads((path.parent / f"{FILE}.record.json").read_text())
    assert record["files"][FILE]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    server.stop()
    assert fetch(NAME, tmp_path) == path
    assert server.ranges == [None]
    assert capsys.readouterr().err == ""


def test_the_cache_is_in_the_home_or_as_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.delenv("MMV_TF_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert pretrained.cache_folder() == pathlib.Path("/home/somebody/.cache/mmv_tf")
    monkeypatch.setenv("MMV_TF_CACHE", "~/weights")
    assert pretrained.cache_folder() == pathlib.Path("/home/somebody/weights")
    assert pretrained.cache_folder(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("answers", "ranges"),
    [
        ([Answer(cut=100_000)], [None, "bytes=100000-"]),
        ([Answer(cut=100_000), Answer(cut=1000)], [None, "bytes=100000-", "bytes=101000-"]),
        ([Answer(cut=100_000), Answer(ranges=False)], [None, "bytes=100000-"]),
        ([Answer(status=500), Answer(status=503)], [None, None, None]),
        ([Answer(cut=0)], [None, None]),
        ([Answer(length="chunked", cut=100_000)], [None]),
    ],
    ids=["cut", "cut twice", "range ignored", "500", "cut at once", "cut in a chunk"],
)
def test_goes_on_after_a_fault(server, tmp_path, answers, ranges):
    server.answers = answers
    if answers[0].length == "chunked":  # only where the size is known
        path, ranges = fetch(SIZED, tmp_path), [None, "bytes=99993-"]
    else:
        path = fetch(NAME, tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.ranges == ranges


def test_gives_up_after_attempts_that_bring_nothing_and_resumes_later(server, tmp_path):
    server.answers = [Answer(cut=100_000), *[Answer(status=503)] * 3]
    message = error_of(lambda: fetch(NAME, tmp_path))
    assert "503" in message and "which resumes" in message
    assert str(tmp_path / NAME / FILE) in message
    assert part_of(tmp_path).read_bytes() == CONTENT[:100_000]
    server.ranges.clear()
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=100000-"]


def test_a_server_that_stalls_is_asked_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "TIMEOUT_SECONDS", 0.2)
    over = threading.Event()
    server.answers = [Answer(hold=(100_000, over))]
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT
    over.set()
    assert server.ranges == [None, "bytes=100000-"]


@pytest.mark.parametrize("if_range", [True, False], ids=["good server", "ignores If-Range"])
def test_a_file_that_changes_during_the_download_is_begun_anew(server, tmp_path, if_range):
    server.answers = [Answer(cut=100_000), *[Answer(status=503)] * 3]
    error_of(lambda: fetch(NAME, tmp_path))
    server.content, server.etag = OTHER, '"two"'
    server.answers = [Answer(if_range=if_range)]
    assert fetch(NAME, tmp_path).read_bytes() == OTHER


def test_a_file_that_is_shorter_now_is_begun_anew(server, tmp_path):
    server.answers = [Answer(cut=100_000), *[Answer(status=503)] * 3]
    error_of(lambda: fetch(NAME, tmp_path))
    server.content = CONTENT[:50_000]  # with the same ETag: 416
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT[:50_000]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_resumed(server, tmp_path, etag):
    server.etag = etag
    server.answers = [Answer(cut=100_000)]
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_the_time_of_the_last_change_does_as_a_validator(server, tmp_path):
    server.etag = None
    headers = {"Last-Modified": "Wed, 01 Jul 2020 00:00:00 GMT"}
    server.answers = [Answer(cut=100_000, headers=headers), Answer(if_range=False, headers=headers)]
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


def test_parts_of_another_address_are_not_resumed(server, tmp_path):
    server.answers = [Answer(cut=100_000), *[Answer(status=503)] * 3]
    error_of(lambda: fetch(NAME, tmp_path))
    server.ranges.clear()
    assert fetch(NAME, tmp_path, address=server.address + "?mirror").read_bytes() == CONTENT
    assert server.ranges == [None]


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        (NAME, Answer(status=404), "returned 404"),
        (NAME, Answer(status=403), "returned 403"),
        (NAME, Answer(headers={"Content-Type": "text/html"}), "a web page instead of the file"),
        (NAME, Answer(headers={"Content-Encoding": "gzip"}), "gzip content instead"),
        (NAME, Answer(length=None), "does not state the length"),
        (SIZED, Answer(length="500000"), "has 500,000 bytes; expected 400,000"),
        (NAME, Answer(location="http://example.invalid/a"), "not an https URL"),
        (NAME, Answer(location="ftp://127.0.0.1/a"), "not an https URL"),
        (NAME, Answer(headers={"x-goog-hash": "crc32c=AAAAAA=="}), "corrupted in transit"),
    ],
    ids=lambda value: "" if isinstance(value, Answer) else value,
)
def test_refuses_at_once(server, tmp_path, name, answer, message):
    server.answers = [answer]
    assert message in error_of(lambda: fetch(name, tmp_path))
    assert server.ranges == [None]
    assert {entry.name for entry in (tmp_path / name).iterdir()} == {".lock"}


def test_more_bytes_than_expected_are_refused_and_not_kept(server, tmp_path):
    server.content = CONTENT + b"more"
    server.answers = [Answer(length=None)]
    assert "more than the expected 400,000 bytes" in error_of(lambda: fetch(SIZED, tmp_path))
    assert {entry.name for entry in (tmp_path / SIZED).iterdir()} == {".lock"}


def test_a_stated_checksum_is_checked(server, tmp_path):
    checksum = base64.b64encode(google_crc32c.Checksum(CONTENT).digest()).decode()
    headers = {"x-goog-hash": f"crc32c={checksum},md5=AAAA"}
    server.answers = [Answer(cut=1000, headers=headers), Answer(headers=headers)]
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT


def test_redirects_on_this_machine_are_followed_with_the_range(server, tmp_path):
    there = Answer(location=server.address + "?moved")
    server.answers = [there, Answer(cut=100_000), there]
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, None, "bytes=100000-", "bytes=100000-"]


@pytest.mark.parametrize(
    "address",
    ["http://example.com/a", "file:///etc/passwd", "https://", "weights.pkl", "https://[::1", ""],
)
def test_only_https_is_taken(address):
    assert "not an https URL" in error_of(lambda: web.check_address(address))


def test_the_net_does_not_lead_to_this_machine():
    web.check_address("http://localhost:80/a")
    error_of(lambda: web.check_address("http://localhost:80/a", local=False))
    web.check_address("https://example.com/a", local=False)


def test_no_network(server, tmp_path):
    server.stop()
    message = error_of(lambda: fetch(NAME, tmp_path))
    assert "can't be reached (Connection refused)" in message
    assert f"place the file by hand as {tmp_path / NAME / FILE}" in message


def test_a_certificate_that_is_not_trusted(server, tmp_path, monkeypatch):
    class Opener:
        def open(self, request, timeout):
            raise urllib.error.URLError(ssl.SSLCertVerificationError(1, "self-signed certificate"))

    monkeypatch.setattr(downloading, "make_opener", lambda address: Opener())
    message = error_of(lambda: fetch(NAME, tmp_path))
    assert "is not trusted (self-signed certificate). Set SSL_CERT_FILE" in message


# --- The disk -------------------------------------------------------------------------------------


def test_a_disk_that_is_too_small_is_found_before(server, tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1_000_000))
    message = error_of(lambda: fetch(NAME, tmp_path))
    assert "1 MB free" in message and "MMV_TF_CACHE" in message
    assert not part_of(tmp_path).exists()


def test_a_disk_that_fills_up_keeps_what_came(server, tmp_path, monkeypatch):
    server.answers = [Answer(cut=100_000)]
    write = downloading._write

    def full(file, chunk):
        if file.tell() >= 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(downloading, "_write", full)
        message = error_of(lambda: fetch(NAME, tmp_path))
    assert "No space left" in message and "which resumes" in message
    assert size_of(part_of(tmp_path)) == 100_000
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT


def test_a_cache_that_is_a_file(server, tmp_path):
    (tmp_path / "cache").touch()
    assert "MMV_TF_CACHE" in error_of(lambda: fetch(NAME, tmp_path / "cache"))


# --- Several processes, and killed ones -----------------------------------------------------------


def _fetch_in_child(cache: pathlib.Path, output: pathlib.Path) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    sys.stderr = os.fdopen(descriptor, "w", buffering=1)
    fetch(NAME, cache)


def start_fetch(cache: pathlib.Path, output: pathlib.Path) -> multiprocessing.Process:
    # Forked, for TensorFlow takes seconds to load; the child does without it.
    process = multiprocessing.get_context("fork").Process(
        target=_fetch_in_child, args=(cache, output)
    )
    process.start()
    return process


def test_a_killed_process_leaves_a_part_that_is_resumed(server, tmp_path):
    over = threading.Event()
    server.answers = [Answer(hold=(150_000, over))]
    process = start_fetch(tmp_path, tmp_path / "output")
    wait_until(lambda: size_of(part_of(tmp_path)) == 150_000)
    os.kill(process.pid, signal.SIGKILL)
    process.join(DEADLINE_SECONDS)
    over.set()
    assert not (tmp_path / NAME / FILE).exists()
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=150000-"]


def test_a_process_killed_before_the_rename_is_made_up_for(server, tmp_path, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pretrained.fetching.records, "make_record", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(NAME, tmp_path)
    assert fetch(NAME, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None]


def test_two_processes_download_once(server, tmp_path):
    over = threading.Event()
    server.answers = [Answer(hold=(150_000, over))]
    first = start_fetch(tmp_path, tmp_path / "first")
    wait_until(lambda: size_of(part_of(tmp_path)) == 150_000)
    second = start_fetch(tmp_path, tmp_path / "second")
    waits = f"{NAME}: another process is downloading it; waiting.\n"
    wait_until(lambda: size_of(tmp_path / "second") == len(waits))
    over.set()
    first.join(DEADLINE_SECONDS)
    second.join(DEADLINE_SECONDS)
    assert first.exitcode == second.exitcode == 0
    assert (tmp_path / "second").read_text() == waits
    assert server.ranges == [None]


# --- Files that are there -------------------------------------------------------------------------


def test_a_file_changed_at_its_name_is_refused(server, tmp_path):
    path = fetch(NAME, tmp_path)
    path.write_bytes(OTHER)
    message = error_of(lambda: fetch(NAME, tmp_path))
    assert "has changed since" in message and "Delete it to download it again" in message
    (path.parent / f"{FILE}.record.json").unlink()  # as the message says
    assert fetch(NAME, tmp_path) == path
    path.write_bytes(CONTENT)
    error_of(lambda: fetch(NAME, tmp_path))
    path.unlink()
    # The record of OTHER is still there, and the server has CONTENT.
    assert "differs from the first download" in error_of(lambda: fetch(NAME, tmp_path))


def test_a_touched_file_is_hashed_once_more(server, tmp_path, monkeypatch):
    path = fetch(NAME, tmp_path)
    os.utime(path, ns=(1, 1))
    fetch(NAME, tmp_path)
    monkeypatch.setattr(
        pretrained.fetching.records, "file_sha256", lambda path: pytest.fail("hashed")
    )
    assert fetch(NAME, tmp_path) == path


def test_another_file_at_the_address_is_refused(server, tmp_path):
    path = fetch(NAME, tmp_path)
    path.unlink()
    server.content = OTHER
    message = error_of(lambda: fetch(NAME, tmp_path))
    assert "differs from the first download" in message and "delete" in message
    assert not path.exists() and not part_of(tmp_path).exists()
    (path.parent / f"{FILE}.record.json").unlink()
    assert fetch(NAME, tmp_path).read_bytes() == OTHER


def test_a_damaged_record_is_named(server, tmp_path):
    path = fetch(NAME, tmp_path)
    record = path.parent / f"{FILE}.record.json"
    for content in ("", "[]", '{"source": "a", "root": "b", "files": {"c": {"size": 1}}}', "\xff"):
        record.write_text(content, encoding="latin-1")
        assert f"{record} is damaged" in error_of(lambda: fetch(NAME, tmp_path))
    record.unlink()
    assert fetch(NAME, tmp_path) == path


def test_a_file_may_be_placed_by_hand(server, tmp_path):
    path = tmp_path / SIZED / "s3d_howto100m.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT[:-1])
    assert "399,999 bytes; expected 400,000" in error_of(lambda: fetch(SIZED, tmp_path))
    path.write_bytes(CONTENT)
    assert fetch(SIZED, tmp_path) == path
    path.with_name("s3d_dict.npy").write_bytes(b"half")
    message = error_of(lambda: fetch(SIZED, tmp_path))
    assert "s3d_dict.npy has 4 bytes; expected 5,830,040" in message
    assert server.ranges == []


def test_a_dead_address_is_said_and_a_file_asked_for(tmp_path):
    message = error_of(lambda: fetch(SIZED, tmp_path))
    assert "dead since 2024" in message
    assert str(tmp_path / SIZED / "s3d_howto100m.pth") in message


def test_local_path_takes_files_first_then_names(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "cache"
    assert pretrained.local_path(NAME, cache) == cache / NAME / FILE
    assert pretrained.local_path(cache) == cache
    (tmp_path / NAME).mkdir()
    assert pretrained.local_path(NAME, cache) == pathlib.Path(NAME)
    assert pretrained.local_path("there/is/none.keras") == pathlib.Path("there/is/none.keras")
    message = error_of(lambda: pretrained.local_path("mmv-s3d"))
    assert message == "'mmv-s3d' is neither a file nor a published model; did you mean 'mmv_s3d'?"


# --- Modules --------------------------------------------------------------------------------------


@pytest.fixture
def kagglehub(tmp_path, monkeypatch):
    """A stand-in for kagglehub that makes a module's folder, and counts."""
    root = tmp_path / "kagglehub" / "1"
    calls: list[str] = []

    def model_download(handle):
        calls.append(handle)
        (root / "variables").mkdir(parents=True, exist_ok=True)
        (root / "saved_model.pb").write_bytes(b"graph")
        (root / "variables" / "variables.index").write_bytes(b"index")
        return str(root)

    module = types.SimpleNamespace(model_download=model_download, root=root, calls=calls)
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


def test_modules_come_by_kagglehub_once(kagglehub, tmp_path, capsys):
    assert fetch("hub_mmv_s3d", tmp_path) == kagglehub.root
    assert "see https://www.kaggle.com/models/deepmind/mmv/" in capsys.readouterr().err
    assert fetch("hub_mmv_s3d", tmp_path) == kagglehub.root
    assert kagglehub.calls == ["deepmind/mmv/TensorFlow1/s3d/1"]
    (kagglehub.root / "variables" / "variables.index").write_bytes(b"other")
    assert "has changed since" in error_of(lambda: fetch("hub_mmv_s3d", tmp_path))
    (kagglehub.root / "variables" / "variables.index").unlink()
    assert "is missing" in error_of(lambda: fetch("hub_mmv_s3d", tmp_path))
    shutil.rmtree(kagglehub.root)
    assert fetch("hub_mmv_s3d", tmp_path) == kagglehub.root
    assert len(kagglehub.calls) == 2


def test_another_module_at_the_same_handle_is_refused(kagglehub, tmp_path, monkeypatch):
    fetch("hub_mmv_s3d", tmp_path)
    shutil.rmtree(kagglehub.root)
    download = kagglehub.model_download

    def changed(handle):
        root = download(handle)
        (kagglehub.root / "saved_model.pb").write_bytes(b"other")
        return root

    monkeypatch.setattr(kagglehub, "model_download", changed)
    assert "saved_model.pb" in error_of(lambda: fetch("hub_mmv_s3d", tmp_path))


def test_modules_may_be_placed_by_hand(kagglehub, tmp_path):
    folder = tmp_path / "hub_mil_nce_i3d"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    assert fetch("hub_mil_nce_i3d", tmp_path) == folder
    assert fetch("hub_mil_nce_i3d", tmp_path) == folder
    (folder / "saved_model.pb").write_bytes(b"other")
    assert "has changed since" in error_of(lambda: fetch("hub_mil_nce_i3d", tmp_path))
    assert kagglehub.calls == []


def test_without_kagglehub_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    message = error_of(lambda: fetch("hub_mmv_s3d", tmp_path))
    assert "pip install 'mmv_tf[kaggle]'" in message
    assert "unpack the archive of https://www.kaggle.com/models/deepmind/mmv/" in message
    assert str(tmp_path / "hub_mmv_s3d") in message


def test_what_kagglehub_raises_is_one_line(kagglehub, tmp_path, monkeypatch):
    def fail(handle):
        raise RuntimeError("403\nForbidden")

    monkeypatch.setattr(kagglehub, "model_download", fail)
    assert "(403 Forbidden)" in error_of(lambda: fetch("hub_mmv_s3d", tmp_path))
    monkeypatch.setattr(kagglehub, "model_download", lambda handle: str(tmp_path))
    assert "no saved_model.pb" in error_of(lambda: fetch("hub_mmv_s3d", tmp_path))
    assert "omit the URL" in error_of(
        lambda: fetch("hub_mmv_s3d", tmp_path, address="https://example.com")
    )
