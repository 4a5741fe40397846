# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures as people have them: mixed sizes, gray, CMYK, broken files."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmv_tf.data.images import center_crop
from mmv_tf.deflation import altered, load_images
from tests import stored_clips


def write(path, mode="RGB", size=(40, 30), value=128, **arguments):
    bands = len(Image.new(mode, (1, 1)).getbands())
    colour = value if bands == 1 else (value,) * bands
    Image.new(mode, size, colour).save(path, **arguments)


def test_all_kinds_become_rgb_of_one_size(tmp_path):
    write(tmp_path / "a.png", "RGB", (40, 30))
    write(tmp_path / "b.jpg", "L", (31, 90))
    write(tmp_path / "c.jpg", "CMYK", (64, 64), value=0)  # no ink: white
    write(tmp_path / "d.png", "RGBA", (20, 20), value=0)  # transparent: white
    (tmp_path / "deeper").mkdir()
    Image.fromarray(np.full((30, 50), 32768, np.uint16)).save(tmp_path / "deeper" / "e.png")
    write(tmp_path / "f.gif", "P", (16, 16), value=0)
    (tmp_path / "notes.txt").write_text("not a picture")
    images = load_images(tmp_path, size=32, count=100)
    assert images.shape == (6, 32, 32, 3) and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 1
    levels = sorted(round(float(image.mean()), 1) for image in images)
    assert levels == [0.0, 0.5, 0.5, 0.5, 1.0, 1.0]


def test_the_middle_is_cropped_and_pictures_stand_upright(tmp_path):
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255  # the middle third
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert load_images(tmp_path, 20, 1).mean() > 0.95
    exif = Image.Exif()
    exif[274] = 6  # stored lying on its side
    half = np.zeros((32, 32, 3), np.uint8)
    half[:, 16:] = 255
    other = tmp_path / "turned"
    other.mkdir()
    Image.fromarray(half).save(other / "b.jpg", exif=exif, quality=95)
    upright = load_images(other, 32, 1)[0]
    assert upright[4].mean() < 0.1 and upright[-4].mean() > 0.9


def test_broken_files_are_left_out_and_named(tmp_path, capsys):
    write(tmp_path / "good.png")
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        whole, "PNG"
    )
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    assert len(load_images(tmp_path, 16, 10)) == 1
    said = capsys.readouterr().err
    assert "3 files" in said and "cut.png" in said and "text.jpg" in said


def test_a_picture_that_is_too_large_is_not_decoded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mmv_tf.data.images.MAX_PIXELS", 1000)
    write(tmp_path / "small.png", size=(20, 20))
    write(tmp_path / "large.png", size=(40, 40))
    assert len(load_images(tmp_path, 16, 10)) == 1
    assert "40 x 40 pixels; at most 1000" in capsys.readouterr().err


def test_the_draw_depends_on_the_seed(tmp_path):
    for index in range(12):
        write(tmp_path / f"{index:02}.png", value=20 * index)

    def drawn(seed):
        return load_images(tmp_path, 8, 4, seed)[:, 0, 0, 0].tolist()

    assert drawn(0) == drawn(0) != drawn(1)
    assert len(set(drawn(0))) == 4


def jpeg(value):
    stream = io.BytesIO()
    Image.new("RGB", (24, 24), (value,) * 3).save(stream, "JPEG")
    return stream.getvalue()


def bytes_feature(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def test_records_of_clips_and_of_pictures(tmp_path):
    frames = tf.train.FeatureList(feature=[bytes_feature(jpeg(10 * n)) for n in range(9)])
    clip = tf.train.SequenceExample(
        feature_lists=tf.train.FeatureLists(feature_list={"image/encoded": frames})
    )
    picture = tf.train.Example(
        features=tf.train.Features(feature={"image/encoded": bytes_feature(jpeg(200))})
    )
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord-00000-of-00001")) as writer:
        writer.write(clip.SerializeToString())
        writer.write(picture.SerializeToString())
    images = load_images(tmp_path, 16, 100)
    # Four frames, first and last among them, and the picture.
    assert images.shape == (5, 16, 16, 3)
    np.testing.assert_allclose(images[[0, 3, 4], 0, 0, 0] * 255, [0, 80, 200], atol=3)
    assert len(load_images(tmp_path, 16, 2)) == 2

    path = tmp_path / "a.tfrecord-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="is damaged"):
        load_images(tmp_path, 16, 100)


def test_records_of_clips_stored_as_video(tmp_path, capsys):
    data = stored_clips.write(tmp_path, (3,))
    images = load_images(tmp_path, 16, 100)
    assert images.shape == (12, 16, 16, 3)
    first = stored_clips.moving(6, 24, 32, 0)[0]
    expected = center_crop(png(first), 16, 16, "expected") / 255
    assert min(np.abs(image - expected).mean() for image in images) < 0.02

    def cut(example):
        media = example.context.feature["clip/encoded_media_bytes"].bytes_list.value
        media[0] = media[0][:500]

    data.change(0, 1, cut)
    assert len(load_images(tmp_path, 16, 100)) == 8
    assert "1 files can't be read" in capsys.readouterr().err


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        load_images(tmp_path / "nowhere", 16, 4)
    with pytest.raises(ValueError, match="neither images nor TFRecords"):
        load_images(tmp_path, 16, 4)
    (tmp_path / "a.png").write_text("x")
    with pytest.raises(ValueError, match="None of the 1 images"):
        load_images(tmp_path, 16, 4)
    with pytest.raises(ValueError, match="1 or more"):
        load_images(tmp_path, 16, 0)
    (tmp_path / "b.tfrecord").write_text("x")
    with pytest.raises(ValueError, match="both images and TFRecords"):
        load_images(tmp_path, 16, 4)


def test_altered_copies_are_images_of_many_kinds():
    generator = np.random.default_rng(0)
    # A red gradient: its copies are told by channel, direction and range.
    ramp = np.linspace(0.3, 0.7, 32, dtype=np.float32)
    image = np.stack(np.broadcast_arrays(ramp, np.float32(0.2), np.float32(0.1)), axis=-1)
    images = np.tile(image, (200, 32, 1, 1))
    before = images.copy()
    copies = altered(images, seed=3)
    np.testing.assert_array_equal(images, before)
    assert copies.shape == images.shape and copies.dtype == np.float32
    assert copies.min() >= 0 and copies.max() <= 1
    np.testing.assert_array_equal(copies, altered(images, seed=3))
    assert not np.array_equal(copies, altered(images, seed=0))
    spread = np.ptp(copies, axis=-1).max(axis=(1, 2))
    assert 0.15 < (spread < 1e-6).mean() < 0.45, "grey ones"
    means = copies.mean(axis=(1, 2, 3))
    assert means.min() < 0.25 and means.max() > 0.75
    slope = (copies[:, 16, 20:, :] - copies[:, 16, :12, :].mean(axis=1, keepdims=True)).sum((1, 2))
    assert 0.2 < (slope > 0).mean() < 0.8, "flipped or inverted ones"
    edges = copies[:, :2].reshape(200, -1, 3)
    assert 0.15 < (np.ptp(edges, axis=1).max(axis=1) < 1e-6).mean() < 0.5, "on a plain background"
    one = generator.random((1, 24, 40, 3), np.float32)
    assert altered(one).shape == one.shape
