# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Objects of loopback stores, one by one."""

import contextlib
import hashlib
import subprocess
import sys

import pytest

from mmv_tf.util.storage import clients, mirror
from mmv_tf.util.storage import store as store_lib
from mmv_tf.util.storage.errors import ChangedError, MissingError, StorageError
from mmv_tf.util.storage.store import open_store

ODD = ["a b", "ü中.mp4", "quote'\"#&+=@!~,", "per%cent%20", "star*[x]?", "a/b/c", "a;b"]


@pytest.mark.parametrize("folder", ["", "/some folder"])
def test_objects(either_store, tmp_path, folder):
    store = open_store(f"{either_store.url}{folder}")
    assert store.list() == {}
    assert store.stat("x/y") is None
    entry = store.write("x/y", b"hello world")
    assert entry.size == 11 and entry.tag and entry.modified > 1e9
    assert store.list() == {"x/y": entry}
    assert store.stat("x/y") == entry
    assert store.stat("x") is None  # a folder
    assert (store.read("x/y"), store.read("x/y", 6), store.read("x/y", 2, 5)) == (
        b"hello world", b"world", b"llo",
    )  # fmt: skip
    assert store.read("x/y", 5, 5) == b""
    (tmp_path / "new").write_bytes(b"12")
    changed = store.upload(tmp_path / "new", "x/y")
    assert changed.tag != entry.tag and store.read("x/y") == b"12"
    store.remove(["x/y", "x/none"])
    assert store.list() == {}
    for name in ("none", "x/y"):
        with pytest.raises(MissingError, match="there is no such object"):
            store.read(name)
    assert store.write("empty", b"").size == 0
    assert store.download("empty", tmp_path / "empty").size == 0
    assert (tmp_path / "empty").read_bytes() == b""


def test_odd_names(either_store, tmp_path):
    # The emulator takes what follows a semicolon for a parameter.
    names = [name for name in ODD if either_store.url.startswith("s3:") or ";" not in name]
    store = open_store(either_store.url)
    for number, name in enumerate(names):
        store.write(name, bytes([number]))
    assert list(store.list()) == sorted(names)
    for number, name in enumerate(names):
        assert store.download(name, tmp_path / "file").size == 1
        assert (tmp_path / "file").read_bytes() == bytes([number])
    store.remove(names)
    assert store.list() == {}


def test_listings_are_paged(s3_store):
    store = open_store(f"{s3_store.url}/many")
    names = [f"{number:02}" for number in range(10)]
    for name in names:
        store.write(name, b"x")
    with s3_store.faulty(lambda request: "pages" if request.listing else None) as proxy:
        assert list(open_store(store.root).list()) == names
    assert proxy.injected["pages"] == 4


def test_a_large_object_goes_in_parts_and_is_visible_when_whole(s3_store, tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "UPLOAD_PART_BYTES", 5 << 20)
    monkeypatch.setattr(store_lib, "PART_BYTES", 3 << 20)
    data = hashlib.shake_128(b"x").digest(11 << 20)
    (tmp_path / "large").write_bytes(data)
    store = open_store(s3_store.url)
    seen = []
    with s3_store.faulty(lambda request: seen.append((request.method, request.path))) as proxy:
        del proxy
        store = open_store(s3_store.url)
        store.upload(tmp_path / "large", "large")
    puts = [path for method, path in seen if method == "PUT"]
    assert len(puts) == 3 and all("partNumber" in path for path in puts)
    assert "uploadId" in [path for method, path in seen if method == "POST"][-1]
    store.download("large", tmp_path / "back", sha256=hashlib.sha256(data).hexdigest())
    assert (tmp_path / "back").read_bytes() == data


def test_changed_objects(either_store, tmp_path):
    store = open_store(either_store.url)
    listed = store.write("a", b"12345678")
    store.write("a", b"abcdefgh")
    with pytest.raises(ChangedError, match="a: the object has changed since it was listed; rerun"):
        store.download("a", tmp_path / "a", listed)
    store.write("a", b"short")
    with pytest.raises(ChangedError):
        store.download("a", tmp_path / "a", listed)
    with pytest.raises(StorageError, match="does not match its manifest"):
        store.download("a", tmp_path / "a", sha256=hashlib.sha256(b"other").hexdigest())
    assert list(tmp_path.glob("*a*")) == []


def test_a_full_disk(s3_store, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def replacing(path, sync):
        (tmp_path / "temporary").symlink_to("/dev/full")
        yield tmp_path / "temporary"

    store = open_store(s3_store.url)
    store.write("a", b"x" * 100_000)
    monkeypatch.setattr(store_lib.files, "replacing", replacing)
    with pytest.raises(OSError, match="No space left on device") as raised:
        mirror.fetch(f"{s3_store.url}/a")
    assert raised.value.filename == str(s3_store.cache)


def test_a_client_that_is_not_installed():
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from mmv_tf.util.storage.store import open_store\n"
        "try:\n    open_store('s3://bucket')\nexcept OSError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert said.stdout == "s3:// needs the store's client: pip install 'mmv_tf[s3]'.\n"
