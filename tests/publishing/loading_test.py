# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What users of TF-Hub's models do with one, in a process in which mmv_tf can't be imported."""

import csv
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import LogMel, WordTokenizer

USER = """
import sys
sys.modules["mmv_tf"] = None
import numpy as np, tensorflow as tf
import tensorflow_hub as hub

# As on the model cards of deepmind/mmv: load, embed, compare by matmul.
module = hub.load(sys.argv[1])
video = tf.random.stateless_uniform([2, 4, 32, 32, 3], [0, 0])
vision_output = module.signatures["video"](tf.constant(tf.cast(video, dtype=tf.float32)))
text_output = module.signatures["text"](tf.constant(["red square", "circle stands"]))
audio_output = module.signatures["audio"](tf.zeros([2, 8000]))
video_representation = vision_output["before_head"]
video_text = tf.matmul(text_output["vat"], vision_output["vat"], transpose_b=True)
audio_video = tf.matmul(audio_output["va"], vision_output["va"], transpose_b=True)
assert video_text.shape == audio_video.shape == (2, 2)

# A Keras 3 model.
import keras
layer = keras.layers.TFSMLayer(sys.argv[1], call_endpoint="text")
inside = layer(tf.constant(["red square", "circle stands"]))["vat"]
np.testing.assert_allclose(inside, text_output["vat"], rtol=1e-5)
layer = keras.layers.TFSMLayer(sys.argv[1], call_endpoint="video")
np.testing.assert_allclose(layer(video)["vat"], vision_output["vat"], rtol=1e-5)
"""

TUNER = """
import sys
sys.modules["mmv_tf"] = None
import numpy as np, tensorflow as tf
import tensorflow_hub as hub
module = hub.load(sys.argv[1])

# Fine-tuning in tf_keras: dark clips from bright ones.
import tf_keras
tf_keras.utils.set_random_seed(0)
layer = hub.KerasLayer(module, trainable=True)
inputs = tf_keras.Input([None, None, None, 3])
logits = tf_keras.layers.Dense(2)(layer(inputs)["before_head"])
model = tf_keras.Model(inputs, logits)
assert len(model.trainable_variables) > 20
first = layer.trainable_variables[0].numpy()
optimizer = tf_keras.optimizers.Adam(1e-4)  # at 1e-3 so small a batch jumps about
labels = tf.constant([0, 1, 0, 1])
clips = 0.3 * tf.random.stateless_uniform([4, 2, 32, 32, 3], [1, 0])
clips += 0.6 * tf.cast(labels, tf.float32)[:, None, None, None, None]
@tf.function
def step():
    with tf.GradientTape() as tape:
        error = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(clips, training=True))
        loss = tf.reduce_mean(error)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(
        [(g, v) for g, v in zip(gradients, model.trainable_variables) if g is not None])
    return loss
losses = [float(step()) for _ in range(15)]
assert losses[-1] < 0.7 * losses[0], losses
assert np.abs(layer.trainable_variables[0].numpy() - first).max() > 0
"""


@pytest.mark.slow  # a quick one, of what loading needs: layers/word_tokenizer_test
@pytest.mark.parametrize("program", [USER, TUNER])
def test_hub_and_keras_users_need_nothing_else(program, exported, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", program, str(exported[2])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def captions():
    """The published captions where their lists are at hand, and awkward ones always."""
    found = [
        "It's  the RED square’s side!",
        "don't",
        "naïve café — 3 squares",
        "",
        "…",
        "circle\tup",
    ]
    lists = pathlib.Path(__file__).parents[3] / "shared" / "benchmarks_lists"
    for name, column in (("msrvtt_test.csv", "sentence"), ("validation_youcook.csv", "text")):
        if (lists / name).exists():
            with (lists / name).open(encoding="utf-8", newline="") as file:
                found += [row[column] for row in csv.DictReader(file)]
    return found


def test_the_graph_reads_sentences_and_sound_as_the_reader_does(tmp_path):
    """Both layers by themselves, saved and loaded: ids and log-mel, not only what follows them."""
    sentences = captions()
    words = sorted({word for s in sentences for word in s.lower().split() if word.isalnum()})
    tokenizer, log_mel = WordTokenizer(words), LogMel()
    root = tf.train.Checkpoint(tokenizer=tokenizer)
    ids = tf.function(tokenizer, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    mel = tf.function(
        lambda x: {"mel": log_mel(x)},
        input_signature=[tf.TensorSpec([None, None], tf.float32, name="audio")],
    )
    tf.saved_model.save(root, str(tmp_path / "saved"), signatures={"ids": ids, "mel": mel})
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures
    (found,) = loaded["ids"](tf.constant(sentences)).values()
    np.testing.assert_array_equal(found, tokenizer(sentences))
    assert (found.numpy()[6:] != 0).any(axis=1).all()
    sound = np.random.default_rng(0).uniform(-1, 1, (2, 48_000)).astype(np.float32)
    np.testing.assert_allclose(loaded["mel"](tf.constant(sound))["mel"], log_mel(sound), rtol=1e-5)


@pytest.mark.slow
def test_any_batch_length_and_size(exported):
    model, _, folder = exported
    signature = tf.saved_model.load(str(folder)).signatures["video"]
    for shape in ((1, 1, 32, 32, 3), (3, 7, 33, 50, 3)):
        clip = np.random.default_rng(0).random(shape).astype(np.float32)
        wanted = model({"video": clip})["video"]["before_head"].numpy()
        found = signature(tf.constant(clip))["before_head"].numpy()
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
