# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib

import pytest

from mmv_tf.util.storage import urls


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(urls.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("s3://bucket/key", True),
        ("gs://bucket", True),
        ("memory://x/y", True),
        ("file:///a/b", False),
        ("http://host/x", False),
        ("https://host/x", False),
        ("grpc://127.0.0.1:8500", False),
        ("runs/my_run", False),
        ("c:/x", False),
        ("a://", True),  # refused as a URL, not taken for a path
        ("", False),
    ],
)
def test_is_remote(text, remote):
    assert urls.is_remote(text) is (remote and text != "a://")
    assert not urls.is_remote(pathlib.Path(text))


KEYS = [
    "plain.mp4",
    "a/b/c.mp4",
    "a b/ü中\u2028.mp4",
    "quote'\"`$(x);&|<>*?[]{}#@!~\\.mp4",
    "a//b",
    "./x",
    "../../etc/passwd",
    "a/../b",
    "per%cent",
    "per%2Fcent",
    "ends%",
    "%",
    "new\nline\ttab\x7f\x01",
    "a?b=c",
    "-rf",
    "~root",
]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_one_path_inside_the_mirror(cache, key):
    url = f"s3://bucket/{key}"
    path = urls.mirror_path(url)
    assert os.path.normpath(path) == str(path)
    assert path.is_relative_to(cache / "s3" / "bucket")
    assert urls.url_of(path) == url
    assert not any(ord(char) < 32 for char in str(path))


def test_keys_have_different_paths():
    assert len({urls.mirror_path(f"s3://b/{key}") for key in KEYS}) == len(KEYS)


def test_same_store_by_other_names(cache):
    assert urls.mirror_path("gcs://b/k") == urls.mirror_path("gs://b/k") == cache / "gs" / "b" / "k"
    assert urls.mirror_path("S3A://b/k/") == cache / "s3" / "b" / "k"


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///key",
        "s3://../x",
        "s3://a..b/x",
        "s3://a\nb/x",
        "s3://.state/x",
        "s3://%2e/x",
    ],
)
def test_wrong_buckets(url):
    with pytest.raises(ValueError, match="is not a valid bucket name"):
        urls.mirror_path(url)


def test_names_that_are_too_long():
    with pytest.raises(ValueError, match="too long for a file name"):
        urls.mirror_path("s3://b/" + "ü" * 128)
    with pytest.raises(ValueError, match="too long for a file path"):
        urls.mirror_path("s3://b/" + "x/" * 2100)


def test_passwords_and_queries_are_never_shown():
    with pytest.raises(ValueError, match=r"^sftp://\.\.\.@host/x: a password") as raised:
        urls.Location.parse("sftp://me:hush@host/x")
    assert "hush" not in str(raised.value)
    told = urls.redacted("read https://u:hush@h/a?X-Amz-Signature=hush and s3://b/k?token=hush.")
    assert "hush" not in told


def test_local_and_mirrored_names(cache, tmp_path):
    assert urls.local_path("file:///a%20b/c") == "/a b/c"
    assert urls.local_path("file://localhost/a") == "/a"
    assert urls.local_path("a%20b") == "a%20b"
    with pytest.raises(ValueError, match="three slashes"):
        urls.local_path("file://a")
    assert urls.url_of(tmp_path / "x") is None
    assert urls.url_of(cache) is None
    assert urls.url_of(cache / urls.STATE / "files" / "x") is None
    assert urls.name_of(cache / "s3" / "b" / "k") == "s3://b/k"
    assert urls.name_of("runs/x") == "runs/x"
    assert urls.named_in(f"{cache}/s3/b/k: is not good") == "s3://b/k: is not good"
