# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import shutil

import numpy as np
import pytest

from mmv_tf.evaluation.feature_store import FORMATS, SUMS, FeatureStore


def features(seed, windows):
    generator = np.random.default_rng(seed)
    return {"f": generator.normal(size=(windows, 4)).astype(np.float32),
            "g": generator.normal(size=(windows, 2)).astype(np.float32)}  # fmt: skip


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_is_written_is_read_and_work_goes_on(tmp_path, file_format):
    def opened():
        return FeatureStore(tmp_path, {"model": "m"}, part_items=2, file_format=file_format)

    store = opened()
    for number in range(3):
        store.add(f"item {number}", "v", features(number, number + 1))
    # The third is lost with the program; the first two are a part.
    store = opened()
    assert [store.has(f"item {n}", "v") for n in range(3)] == [True, True, False]
    store.add("item 2", "v", features(2, 3))
    store.flush()
    store = opened()
    for name in ("f", "g"):
        found = store.load(["item 2", "item 0", "item 1"], name)
        for value, number in zip(found, (2, 0, 1), strict=True):
            np.testing.assert_array_equal(value, features(number, number + 1)[name])
    assert sorted(p.suffix for p in tmp_path.iterdir()) == sorted(
        [f".{file_format}"] * 2 + [".json"] * 2  # the description and the sums
    )


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_broken_part_is_done_again(tmp_path, file_format, caplog):
    for number in range(2):
        store = FeatureStore(tmp_path, {}, part_items=1, file_format=file_format)
        store.add(str(number), "v", features(number, 1))
    part = sorted(tmp_path.glob(f"part-*.{file_format}"))[0]
    part.write_bytes(part.read_bytes()[:50])
    store = FeatureStore(tmp_path, {}, part_items=1, file_format=file_format)
    assert "can't be read" in caplog.text
    assert [store.has(str(n), "v") for n in range(2)] == [False, True]
    store.add("0", "v", features(0, 1))
    np.testing.assert_array_equal(store.load(["1", "0"], "f")[1], features(0, 1)["f"])


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("summed", [True, False])
def test_a_part_of_other_rows_is_done_again(tmp_path, file_format, summed, caplog):
    """A whole file with counts of windows that don't add up, or with other rows."""
    store = FeatureStore(tmp_path, {}, part_items=2, file_format=file_format)
    for number in range(2):
        store.add(str(number), "v", features(number, 2))
    (part,) = tmp_path.glob("part-*")
    other = tmp_path / "other"
    wrong = FeatureStore(other, {}, part_items=2, file_format=file_format)
    for number in range(2):
        wrong.add(str(number), "v", features(9, 2))
    shutil.copy(other / part.name, part)
    if not summed:  # as a store of before the sums, or one that was killed
        if file_format == "parquet":
            pytest.skip("one row per window can't have another count")
        (tmp_path / SUMS).unlink()
        arrays = dict(np.load(part))
        np.savez(part, **{**arrays, "windows": arrays["windows"] + 1})
    store = FeatureStore(tmp_path, {}, part_items=2, file_format=file_format)
    assert "recomputing its items" in caplog.text and str(part) in caplog.text
    assert not store.has("0", "v") and not part.exists()


def test_a_store_without_sums_is_read(tmp_path):
    store = FeatureStore(tmp_path, {}, part_items=1)
    store.add("a", "v", features(0, 2))
    for damage in (lambda path: path.write_text("{"), lambda path: path.unlink()):
        damage(tmp_path / SUMS)
        (rows,) = FeatureStore(tmp_path, {}).load(["a"], "f")
        np.testing.assert_array_equal(rows, features(0, 2)["f"])


def test_features_of_something_else_are_refused(tmp_path):
    FeatureStore(tmp_path, {"model": "m"})
    with pytest.raises(ValueError, match="features from another model"):
        FeatureStore(tmp_path, {"model": "n"})
    with pytest.raises(ValueError, match="another format"):
        FeatureStore(tmp_path, {"model": "m"}, file_format="parquet")
    with pytest.raises(ValueError, match="use one of npz, parquet"):
        FeatureStore(tmp_path, {"model": "m"}, file_format="csv")


def test_arrays_with_objects_are_never_unpickled(tmp_path):
    FeatureStore(tmp_path, {})
    np.savez(tmp_path / "part-00000.npz", id=np.array([{"a": 1}], object))
    store = FeatureStore(tmp_path, {})
    assert not store.has("a", "v")
