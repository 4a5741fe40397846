# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

from mmv_tf.pretrained import load_word_vectors

WORDS = ["the", "rabbit", "café", "flower"]
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3) / 8 - 0.5


def lines(words=WORDS, vectors=VECTORS):
    return "".join(
        f"{word} {' '.join(map(repr, row.tolist()))}\n"
        for word, row in zip(words, vectors, strict=True)
    )


def binary(words=WORDS, vectors=VECTORS, newline=b"\n"):
    head = f"{len(words)} {vectors.shape[1]}\n".encode()
    rows = zip(words, vectors, strict=True)
    return head + b"".join(w.encode() + b" " + v.tobytes() + newline for w, v in rows)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


FORMATS = {
    "word2vec.txt": ("4 3\n" + lines()).encode(),
    "glove.txt": lines().encode(),
    "word2vec.bin": binary(),
    "without_newlines.bin": binary(newline=b""),
    "vectors.npy": npy(VECTORS.astype(np.float64)),
}


def write(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    if name.endswith(".npy"):
        path.with_suffix(".txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("limit", [None, 2, 4, 100])
def test_every_format(name, limit, tmp_path):
    words, vectors = load_word_vectors(write(tmp_path, name, FORMATS[name]), limit)
    assert words == WORDS[:limit]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS[:limit])


def test_a_word_that_stands_twice_keeps_its_first_vector(tmp_path):
    path = write(tmp_path, "glove.txt", lines(["a", "b", "a", "c"]).encode())
    words, vectors = load_word_vectors(path)
    assert words == ["a", "b", "c"]
    np.testing.assert_array_equal(vectors, VECTORS[[0, 1, 3]])


def test_words_with_spaces_in_them_and_bytes_that_are_no_utf8(tmp_path):
    data = b"a 0.5 1 2\n. . . 1 2 3\n\xff 4 5 6\n"
    words, vectors = load_word_vectors(write(tmp_path, "glove.txt", data))
    assert words == ["a", ". . .", "\\xff"]
    np.testing.assert_array_equal(vectors[1], [1, 2, 3])


@pytest.mark.parametrize("name", FORMATS)
def test_odd_words_are_words(name, tmp_path, monkeypatch):
    """GloVe has U+0085 and U+00A0 among its words; only line ends end a line."""
    odd = ["\u0085", "\u00a0", "a\u2028b", "\x0c\x1c"]
    monkeypatch.setitem(globals(), "WORDS", odd)
    data = FORMATS[name]
    for old, new in zip(["the", "rabbit", "café", "flower"], odd, strict=True):
        data = data.replace(old.encode(), new.encode())
    words, vectors = load_word_vectors(write(tmp_path, name, data))
    assert words == odd
    np.testing.assert_array_equal(vectors, VECTORS)


def test_a_word_list_in_another_encoding_is_named(tmp_path):
    path = write(tmp_path, "vectors.npy", npy(VECTORS))
    path.with_suffix(".txt").write_bytes("a\nb\ncafé\nd\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"vectors\.txt is not UTF-8 text"):
        load_word_vectors(path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b"hello\n", "begins with neither"),
        ("a.txt", b"a 1 2 3\nb 1 2\n", "word 2 has 2 values|word 2: could not"),
        ("a.txt", b"a 1 2 3\nb 1 x 3\n", "word 2: could not convert"),
        ("a.txt", b"a 1 2 nan\n", "the vector of 'a' has values that are not finite"),
        ("a.txt", b"4 3\n" + lines().encode()[:-25], "ends after 3|has 2 values|word 4"),
        ("a.bin", b"99999999999 300\n" + bytes(100), "more than its 116 bytes"),
        ("a.bin", b"2 9999999999\n" + bytes(100), "vectors of 9999999999 values"),
        ("a.bin", b"4 3\n" + binary()[4:-20], "declares 4 binary|in the middle of word 4"),
        ("a.bin", b"1 3\n" + bytes(9000), "word 1 does not end"),
        ("a.npy", npy(VECTORS)[:-4], "not a complete .npy"),
        ("a.npy", npy(VECTORS[:3]), "has 4 words, but .* has 3 vectors"),
        ("a.npy", npy(VECTORS[0]), r"expected floats \[words, dims\]"),
        ("a.npy", npy(VECTORS.astype(np.int32)), r"expected floats \[words, dims\]"),
        ("a.npy", pickle.dumps({"a": 1}), "not a complete .npy"),
        (
            "a.npy",
            npy(VECTORS).replace(b"(4, 3)", b"(10000000000, 3)").replace(b" " * 10, b"", 1),
            "not a complete .npy",
        ),
    ],
)
def test_damaged_files_are_refused(name, data, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        load_word_vectors(write(tmp_path, name, data))
    assert str(tmp_path) in str(caught.value)


def test_objects_are_never_unpickled(tmp_path):
    path = write(tmp_path, "a.npy", npy(np.array([{"a": 1}], object)))
    with pytest.raises(ValueError, match=r"not a complete \.npy"):
        load_word_vectors(path)


def test_a_npy_needs_its_words(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(npy(VECTORS))
    with pytest.raises(ValueError, match=r"needs a file .*a\.txt beside it"):
        load_word_vectors(path)


def test_wrong_limit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="limit is 0"):
        load_word_vectors(write(tmp_path, "glove.txt", FORMATS["glove.txt"]), limit=0)
