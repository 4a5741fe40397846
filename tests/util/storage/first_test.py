import pytest
from mmv_tf.util.storage import mirror, urls
from mmv_tf.util.storage.store import open_store


def test_round(either_store, tmp_path):
    store = open_store(either_store.url + "/a b")
    assert store.list() == {}
    e = store.write("x/y.txt", b"hello")
    assert store.list() == {"x/y.txt": e}
    assert store.stat("x/y.txt") == e
    print(e)
    assert store.stat("x/none") is None
    assert store.read("x/y.txt", 1, 3) == b"el"
    assert store.read("x/y.txt") == b"hello"
    store.download("x/y.txt", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"hello"
    p = mirror.fetch(either_store.url + "/a b/x/y.txt")
    assert p.read_bytes() == b"hello"
    q = mirror.fetch_folder(either_store.url + "/a b")
    assert p.is_relative_to(q)
    (q / "new").mkdir()
    (q / "new/z").write_bytes(b"123")
    (q / "manifest.json").write_bytes(b"{}")
    p.unlink()
    mirror.push_folder(q)
    assert list(store.list()) == ["manifest.json", "new/z"]
