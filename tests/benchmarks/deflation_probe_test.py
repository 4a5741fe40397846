# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import deflation_probe


def pictures(count=240, seed=0):
    """Pictures whose class is the brightest of three colours, in noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=count)
    images = generator.integers(0, 100, [count, 8, 8, 3])
    images[np.arange(count), :, :, labels] += 60
    return deflation_probe.Pictures("colours", images.astype(np.uint8), labels)


def mean_colour(images):
    return tf.reduce_mean(images, axis=(1, 2))


def test_a_probe_that_sees_the_class_is_right_and_a_blind_one_is_not():
    asked = pictures()
    sees = deflation_probe.extract(mean_colour, asked.images)
    naive = asked.images.astype(np.float64).mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(sees, naive, rtol=1e-5)
    right = deflation_probe.share_right(sees, asked.labels, repeats=2)
    assert right.mean() > 0.99
    noise = np.random.default_rng(3).normal(size=sees.shape)
    blind = deflation_probe.share_right(noise, asked.labels, repeats=2)
    assert 0.15 < blind.mean() < 0.5
    assert set(blind) <= {0.0, 0.5, 1.0}, "each picture is asked about once in each repeat"
    mean, half = deflation_probe.difference(blind, right)
    assert mean == pytest.approx(100 * (blind.mean() - right.mean()))
    assert half == pytest.approx(196 * np.std(blind - right, ddof=1) / np.sqrt(240))


def test_a_line_for_each_network():
    lines = deflation_probe.compare(
        pictures(), mean_colour, {"same": mean_colour, "half": lambda x: mean_colour(x) / 2}, 1
    )
    assert [line.count("|") for line in lines] == [6, 6, 6]
    assert lines[1].endswith("| +0.0 ± 0.0 | 0 |")
    assert lines[2].endswith("| +0.0 ± 0.0 | 50 |"), "features are standardised"


def test_files_of_another_form_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros([2, 8, 8, 3], np.uint8))
    with pytest.raises(ValueError, match="expected 'images' and 'labels'"):
        deflation_probe.read_pictures(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", images=np.zeros([2, 8, 8, 3]), labels=np.zeros(2, int))
    with pytest.raises(ValueError, match="expected uint8"):
        deflation_probe.read_pictures(str(tmp_path / "b.npz"))
