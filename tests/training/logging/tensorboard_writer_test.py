# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmv_tf.training.logging import read_scalars
from mmv_tf.training.logging.tensorboard_writer import TensorBoardWriter
from mmv_tf.training.logging.writers import LoggedRun


def events(directory):
    found = EventAccumulator(str(directory), {"tensors": 0})
    found.Reload()
    return found


def test_training_and_validation_are_two_curves_of_one_chart(tmp_path):
    writer = TensorBoardWriter(LoggedRun(tmp_path, "a run", "project"))
    for step in (1, 2):
        writer.scalars(step, {"train/loss": 3.0 / step, "train/loss/va": 1.0})
        writer.scalars(step, {"held_out/loss": 4.0 / step})
    writer.close()
    train = events(tmp_path / "tensorboard" / "a run" / "train")
    validation = events(tmp_path / "tensorboard" / "a run" / "validation")
    assert set(train.Tags()["tensors"]) == {"loss", "loss/va"}
    assert validation.Tags()["tensors"] == ["loss"]
    assert read_scalars(tmp_path) == {
        "train/loss": [(1, 3.0), (2, 1.5)],
        "train/loss/va": [(1, 1.0), (2, 1.0)],
        "held_out/loss": [(1, 4.0), (2, 2.0)],
    }


def test_images_and_texts_come_back(tmp_path):
    writer = TensorBoardWriter(LoggedRun(tmp_path, "a run", "project"))
    image = np.random.default_rng(0).integers(0, 256, [5, 7, 3], np.uint8)
    writer.images(3, {"held_out/clips/1": image})
    writer.texts(3, {"held_out/nearest_sentences": "| a |"})
    writer.settings({"seed": 1})
    writer.close()
    found = events(tmp_path / "tensorboard" / "a run" / "validation")
    (event,) = found.Tensors("clips/1")
    assert event.step == 3
    encoded = tf.make_ndarray(event.tensor_proto)[2]
    np.testing.assert_array_equal(tf.io.decode_png(encoded).numpy(), image)
    (event,) = found.Tensors("nearest_sentences")
    assert tf.make_ndarray(event.tensor_proto).item() == b"| a |"
    assert read_scalars(tmp_path) == {}, "settings are not numbers to draw"


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    with tf.summary.create_file_writer(str(tmp_path / "tensorboard")).as_default():
        tf.summary.scalar("train/loss", 2.0, 1)
        tf.summary.scalar("held_out/text_to_video/R@1", 0.5, 1)
    writer = TensorBoardWriter(LoggedRun(tmp_path, "a run", "project"))
    writer.scalars(2, {"train/loss": 1.0})
    writer.close()
    assert read_scalars(tmp_path) == {
        "train/loss": [(1, 2.0), (2, 1.0)],
        "held_out/text_to_video/R@1": [(1, 0.5)],
    }


def test_a_folder_that_was_renamed_keeps_its_curves_together(tmp_path):
    for step, name in enumerate(("a run", "another"), 1):
        writer = TensorBoardWriter(LoggedRun(tmp_path, name, "project"))
        writer.scalars(step, {"train/loss": 1.0})
        writer.close()
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == ["a run"]


def test_the_last_value_of_a_step_wins(tmp_path):
    for value in (1.0, 2.0):
        writer = TensorBoardWriter(LoggedRun(tmp_path, "a run", "project"))
        writer.scalars(1, {"train/loss": value})
        writer.close()
    assert read_scalars(tmp_path)["train/loss"] == [(1, 2.0)]
