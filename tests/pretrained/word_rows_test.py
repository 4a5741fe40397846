# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip

import numpy as np
import pytest

from mmv_tf.pretrained import word_rows
from mmv_tf.pretrained.word_rows import find_row_words

DIM = 25


def glove_like(count, dim=DIM, seed=0):
    """Words and vectors with a common direction and lengths that fall, as published ones have."""
    random = np.random.default_rng(seed)
    lengths = np.linspace(6, 2, count)[:, np.newaxis]
    vectors = (random.standard_normal((count, dim)) + 0.4) * lengths / np.sqrt(dim)
    return [f"word{index}" for index in range(count)], vectors.astype(np.float32)


def write(path, words, vectors, compressed=False):
    head = f"{len(words)} {vectors.shape[1]}\n".encode()
    rows = zip(words, np.asarray(vectors, np.float32), strict=True)
    data = head + b"".join(word.encode() + b" " + row.tobytes() for word, row in rows)
    path.write_bytes(gzip.compress(data, 1) if compressed else data)
    return path


def oracle(table, words, vectors):
    """Row -> word by comparing everything with everything, in float64."""
    table, vectors = np.asarray(table, np.float64), np.asarray(vectors, np.float64)
    found = {}
    for row, values in enumerate(table):
        if not values.any():
            continue
        norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(values)
        cosines = np.divide(vectors @ values, norms, out=np.zeros(len(norms)), where=norms > 0)
        equal = (vectors == values).all(axis=1)
        best = int(np.argmax(equal if equal.any() else cosines))
        if equal[best] or cosines[best] >= word_rows.NEAREST:
            found[row] = words[best]
    return found


def changed(values, how):
    random = np.random.default_rng(3)
    noise = random.standard_normal(values.shape)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    noise *= np.linalg.norm(values, axis=1, keepdims=True)
    bits = values.view(np.uint32) + np.uint32(0x8000)
    return {
        "as they are": values,
        "of unit length": values / np.linalg.norm(values, axis=1, keepdims=True),
        "of another scale": values * np.float32(1e-9),
        "float16": values.astype(np.float16),
        "bfloat16": (bits & np.uint32(0xFFFF0000)).view(np.float32),
        "near": values + 0.013 * noise,
        "too far": values + 0.025 * noise,
    }[how].astype(np.float32)


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("as they are", "equal"),
        ("of unit length", "same direction"),
        ("of another scale", "same direction"),
        ("float16", "same direction"),
        ("bfloat16", "same direction"),
        ("near", "nearest"),
    ],
)
def test_rows_are_named_as_by_the_oracle(how, kind, tmp_path):
    words, vectors = glove_like(3000)
    chosen = np.random.default_rng(1).permutation(3000)[:400]
    table = changed(vectors[chosen], how)
    table[7] = 0
    found = find_row_words(table, write(tmp_path / "words.bin", words, vectors))
    expected = oracle(table, words, vectors)
    assert len(expected) == 399
    assert {row: word for word, row in found.rows.items()} == expected
    assert list(found.rows.values()) == sorted(found.rows.values())
    assert found.counts == {"equal": 0, "same direction": 0, "nearest": 0} | {kind: 399}
    assert (found.zeros, found.unmatched, found.repeated) == ([7], [], [])


def test_rows_that_are_too_far_from_all_words_are_not_named(tmp_path):
    words, vectors = glove_like(500)
    table = vectors.copy()
    table[:20] = changed(vectors, "too far")[:20]
    found = find_row_words(table, write(tmp_path / "words.bin", words, vectors))
    assert found.unmatched == list(range(20))
    assert {row: word for word, row in found.rows.items()} == oracle(table, words, vectors)


@pytest.mark.parametrize(("share", "passes"), [(0.05, True), (0.2, False)])
def test_a_share_of_foreign_rows(share, passes, tmp_path):
    words, vectors = glove_like(1000)
    table = vectors[np.random.default_rng(0).permutation(1000)[:400]]
    foreign = np.random.default_rng(2).permutation(400)[: round(400 * share)]
    table[foreign] = glove_like(len(foreign), seed=9)[1]
    path = write(tmp_path / "words.bin.gz", words, vectors, compressed=True)
    if passes:
        found = find_row_words(table, path)
        assert found.unmatched == sorted(foreign.tolist())
        assert len(found.rows) == 380
    else:
        with pytest.raises(
            ValueError, match=r"include those of 320 of the table's 400 rows \(80\.0 %"
        ) as error:
            find_row_words(table, path)
        assert "expected at least 95%" in str(error.value)
        assert "--vocabulary" in str(error.value)


def test_equal_rows_equal_vectors_and_words_that_stand_twice(tmp_path):
    words, vectors = glove_like(100)
    vectors[4] = vectors[3]  # two words of one vector
    words[9] = words[8]  # a word with two vectors
    vectors[20] = 0
    table = np.concatenate([vectors[[10, 3, 8, 9, 50, 10]], 2 * vectors[[10]], vectors[60:90]])
    found = find_row_words(table, write(tmp_path / "words.bin", words, vectors))
    assert list(found.rows.items())[:5] == [
        ("word10", 0),  # not its copy, row 5, nor the row of twice the length
        ("word3", 1),
        ("word4", 1),
        ("word8", 2),
        ("word50", 4),
    ]
    assert found.unmatched == []
    assert sum(found.counts.values()) == len(table)
    assert found.counts["same direction"] == 1


def test_the_best_row_of_a_word_is_taken(tmp_path):
    words, vectors = glove_like(100)
    table = np.concatenate([1.5 * vectors[[5]], vectors[:30]])
    found = find_row_words(table, write(tmp_path / "words.bin", words, vectors))
    assert found.rows["word5"] == 6, "the row of equal bytes, not that of equal direction before it"


def test_rows_without_a_word_are_described(tmp_path):
    words, vectors = glove_like(300)
    table = vectors[:200].copy()
    table[[0, 50]] = 0
    table[[1, 2, 60]] = 1.25
    table[3] = -table[3]
    found = find_row_words(table, write(tmp_path / "words.bin", words, vectors))
    assert found.zeros == [0, 50]
    assert found.unmatched == [1, 2, 3, 60]
    assert found.repeated == [1, 2, 60]


def test_small_tables_and_other_formats(tmp_path):
    words, vectors = glove_like(60, dim=3)
    text = "".join(
        f"{word} {' '.join(map(repr, row.tolist()))}\n"
        for word, row in zip(words, vectors, strict=True)
    )
    (tmp_path / "glove.txt").write_text(text)
    found = find_row_words(vectors[[40, 2]], tmp_path / "glove.txt")
    assert found.rows == {"word40": 0, "word2": 1}


def test_a_file_of_other_vectors_is_refused(tmp_path):
    words, vectors = glove_like(50)
    path = write(tmp_path / "words.bin", words, vectors)
    with pytest.raises(ValueError, match=r"vectors of 25 values, but .* \[10, 26\]; pass the file"):
        find_row_words(np.ones((10, 26), np.float32), path)
    with pytest.raises(ValueError, match=r"include those of 0 of .* 10 more are zeros"):
        find_row_words(np.zeros((10, 25), np.float32), path)


def test_vectors_that_are_all_alike_end_before_they_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(word_rows, "_MOST_PAIRS", 1000)
    words, vectors = glove_like(100)
    vectors[:] = vectors[0]
    table = vectors * np.linspace(1, 2, 100, dtype=np.float32)[:, np.newaxis]
    with pytest.raises(ValueError, match="can't be told apart"):
        find_row_words(table, write(tmp_path / "words.bin", words, vectors))


def truncated(data):
    return data[:-40]


def compressed_and_cut(data):
    return gzip.compress(data)[:-200]


DAMAGE = {
    "cut short": (truncated, "more than its|in the middle of word"),
    "cut short in gzip": (lambda data: gzip.compress(data[:-40]), "in the middle of word 50 of 50"),
    "a cut gzip file": (compressed_and_cut, "damaged or truncated gzip file"),
    "another gzip file": (lambda data: b"\x1f\x8b" + bytes(50), "damaged or truncated gzip file"),
    "too many words": (lambda data: data.replace(b"50 25", b"90 25"), "more than its"),
    "far too many": (
        lambda data: gzip.compress(data.replace(b"50 25", b"99999999999 25")),
        "more than its",
    ),
    "too few words": (lambda data: data.replace(b"50 25", b"40 25"), "has more data after"),
    "more numbers": (lambda data: data.replace(b"50 25", b"50 26"), "vectors of 26 values"),
    "no words": (lambda data: b"0 25\n", "declares 0 words"),
    "not finite": (
        lambda data: data[:-4] + np.float32(np.nan).tobytes(),
        "the vector of 'word49' has values that are not finite",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_one_line(damage, tmp_path):
    change, message = DAMAGE[damage]
    words, vectors = glove_like(50)
    path = write(tmp_path / "words.bin", words, vectors)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as caught:
        find_row_words(vectors, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
