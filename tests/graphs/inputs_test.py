# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import backbones, graphs
from mmv_tf.graphs.inputs import checked_inputs

CLIPS = np.zeros([2, 2, 32, 32, 3], np.float32)
LOG_MEL = np.zeros([2, 20, 16, 1], np.float32)
IDS = np.zeros([2, 4], np.int32)


def make(**arguments):
    return graphs.FineAndCoarse(
        video=backbones.TSMResNet(18, 0.0625),
        audio=backbones.ResNet(18, 0.0625),
        text=backbones.Sentence(5, 6, 8),
        fine_dim=6,
        coarse_dim=4,
        hidden_dim=5,
        **arguments,
    )


@pytest.fixture(scope="module")
def fac():
    return make()


def with_value(array, value):
    changed = array.copy()
    changed[(-1,) * array.ndim] = value
    return changed


FORMS = [
    ({}, "got an empty one"),
    (CLIPS, "expects a dict"),
    ({"vidoe": CLIPS}, "'vidoe' is not an input"),
    ({"video": CLIPS[0]}, r"expected float \[B, T, H, W, 3\].*batch of one"),
    ({"video": CLIPS[..., :1]}, r"expected float \[B, T, H, W, 3\]"),
    ({"video": np.moveaxis(CLIPS, -1, 1)}, r"expected float \[B, T, H, W, 3\]"),
    ({"video": CLIPS[:, :0]}, "which is empty"),
    ({"audio": LOG_MEL[:0]}, "which is empty"),
    ({"text": IDS[:, :0]}, "which is empty"),
    ({"video": CLIPS.astype(np.uint8)}, "Divide uint8 frames by 255"),
    ({"video": CLIPS > 0}, r"expected float \[B, T, H, W, 3\]"),
    ({"video": CLIPS.astype(np.complex64)}, r"expected float \[B, T, H, W, 3\]"),
    ({"video": None}, r"video is a NoneType; expected float"),
    ({"audio": np.zeros([2, 48_000], np.float32)}, r"model.log_mel\(waveform\)"),
    ({"audio": LOG_MEL.astype(np.int16)}, "expected float log-mel"),
    ({"audio": np.concatenate([LOG_MEL, LOG_MEL], -1)}, "expected float log-mel"),
    ({"text": IDS.astype(np.float32)}, "expected int word ids"),
    ({"text": IDS[0]}, "expected int word ids"),
    ({"text": np.array([["a rabbit"]])}, r"model.tokenizer\(sentences\)"),
]
VALUES = [
    ({"video": with_value(CLIPS, np.nan)}, "video has values that are not finite"),
    ({"video": with_value(CLIPS, -np.inf)}, "video has values that are not finite"),
    ({"video": with_value(CLIPS, 255.0)}, r"divide frames of 0 to 255 by 255.*0 to 255"),
    ({"video": with_value(CLIPS, -1.0)}, "rescale normalized frames"),
    ({"audio": with_value(LOG_MEL, np.nan)}, "audio has values that are not finite"),
    ({"text": with_value(IDS, 5)}, r"word ids outside \[0, 4\].*0 to 5"),
    ({"text": with_value(IDS, -1)}, r"word ids outside \[0, 4\]"),
    ({"text": with_value(IDS.astype(np.int64), 2**32)}, r"word ids outside \[0, 4\]"),
]


@pytest.mark.parametrize(("inputs", "message"), [*FORMS, *VALUES])
def test_wrong_input_is_named(fac, inputs, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        fac(inputs)


# A traced function is called with nothing but tensors and arrays.
TRACED = [(x, m) for x, m in FORMS if isinstance(x, dict) and x and "NoneType" not in m]


@pytest.mark.parametrize(("inputs", "message"), TRACED)
def test_a_wrong_form_is_named_while_tracing_too(fac, inputs, message):
    with pytest.raises(ValueError, match=message):
        tf.function(fac, autograph=False)(inputs)


@pytest.mark.parametrize(("inputs", "message"), VALUES)
def test_values_are_named_in_traced_functions_when_asked_for(inputs, message):
    def check(inputs):
        return checked_inputs(inputs, graphs.MODALITIES, 5, training=False, check="always")

    with pytest.raises(tf.errors.InvalidArgumentError, match=message.split(".*")[0]):
        tf.function(check, autograph=False)(inputs)


@pytest.mark.parametrize("modality", graphs.MODALITIES)
def test_good_values_pass_the_assertions(modality):
    inputs = {"video": CLIPS + 1, "audio": LOG_MEL - 7, "text": IDS + 4}
    check = tf.function(
        lambda x: checked_inputs({modality: x}, graphs.MODALITIES, 5, False, "always")
    )
    np.testing.assert_array_equal(check(inputs[modality])[modality], inputs[modality])


def test_frames_may_leave_the_range_while_training(fac):
    fac({"video": with_value(CLIPS, -3.0)}, training=True)
    with pytest.raises(ValueError, match="not finite"):
        fac({"video": with_value(CLIPS, np.nan)}, training=True)


def test_what_resizing_overshoots_passes(fac):
    fac({"video": with_value(CLIPS, 1.05)})


def test_never_looks_at_no_value(fac):
    model = make(check_inputs="never")
    model({"audio": with_value(LOG_MEL, np.nan)})
    assert type(model).from_config(model.get_config()).check_inputs == "never"
    with pytest.raises(ValueError, match="check_inputs is 'sometimes'"):
        make(check_inputs="sometimes")


def test_other_float_and_integer_types_are_converted(fac):
    clips = np.random.default_rng(0).random(CLIPS.shape)
    exact = fac({"video": clips.astype(np.float32)})["video"]["va"]
    np.testing.assert_array_equal(fac({"video": clips})["video"]["va"], exact)
    half = fac({"video": clips.astype(np.float16)})["video"]["va"]
    np.testing.assert_allclose(half, exact, atol=0.05)
    for dtype in (np.uint8, np.int64):
        np.testing.assert_array_equal(
            fac({"text": IDS.astype(dtype) + 3})["text"]["vat"],
            fac({"text": IDS + 3})["text"]["vat"],
        )


def test_there_may_be_no_sentences(fac):
    assert fac({"text": IDS[:0]})["text"]["vat"].shape == (0, 4)


def test_a_mask_of_another_name_is_refused(fac):
    with pytest.raises(ValueError, match="valid has the key 'vidoe'"):
        fac({"video": CLIPS}, valid={"vidoe": [True, True]})


def test_a_saved_model_with_the_assertions_loads_and_refuses(tmp_path):
    module = tf.Module()
    module.text = tf.function(
        lambda ids: checked_inputs({"text": ids}, graphs.MODALITIES, 5, False, "always")["text"],
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path))
    text = tf.saved_model.load(str(tmp_path)).text
    np.testing.assert_array_equal(text(tf.constant(IDS)), IDS)
    with pytest.raises(tf.errors.InvalidArgumentError, match="word ids outside"):
        text(tf.constant(with_value(IDS, 9)))
