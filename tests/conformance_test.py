# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What every public layer, backbone and graph has to hold; one entry a form, in `CASES`.

A new public class fails `test_every_public_class_has_a_case` until it has an entry.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import backbones, graphs, layers

WORDS = ["rabbit", "flower", "butterfly"]


@dataclasses.dataclass(frozen=True)
class Case:
    """How to make one, and what to call it with.

    `unknown` are the axes whose size a traced function need not know; `scale` is how far a
    bfloat16 result may stray, as a share of the float32 result's root mean square.
    """

    make: Callable[..., Any]
    shape: Any
    unknown: tuple[int, ...] = (0,)
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    trains: bool = True
    dtypes: bool = True
    scale: float = 0.05


CLIP = (2, 4, 32, 36, 3)
CLIP_AXES, IMAGE_AXES = (0, 1, 2, 3), (0, 1, 2)


def towers(modalities=("video", "audio", "text"), dtype=None, video=None):
    made = {
        "video": lambda: (
            video(dtype) if video else backbones.TSMResNet(18, 0.125, dtype=dtype, name="video")
        ),
        "audio": lambda: backbones.ResNet(18, 0.0625, dtype=dtype, name="audio"),
        "text": lambda: backbones.Sentence(5, 6, 8, dtype=dtype, name="text"),
    }
    return {name: make() for name, make in made.items() if name in modalities}


def graph(cls, modalities=("video", "audio", "text"), video=None, **arguments):
    def make(dtype=None):
        extra: dict[str, Any] = {"metadata": {"frame_rate": 10.0, "nested": {"list": [1, 2]}}}
        if "text" in modalities:
            extra["tokenizer"] = layers.WordTokenizer(WORDS, max_words=4)
        if "audio" in modalities:
            extra["log_mel"] = layers.LogMel(mel_bins=16)
        return cls(**towers(modalities, dtype, video), **extra, **arguments, dtype=dtype)

    shapes = {"video": CLIP, "audio": (2, 20, 16, 1), "text": (2, 4)}
    return Case(make, {name: shapes[name] for name in modalities})


def small_s3d(dtype):
    return backbones.S3D("space_to_depth", 0.0625, (1, 1, 1), dtype=dtype, name="video")


CASES = {
    "BatchNorm": Case(layers.BatchNorm, (4, 3, 5, 5, 6), CLIP_AXES),
    "BatchNorm-relu": Case(
        lambda **kw: layers.BatchNorm(activation="relu", **kw), (4, 3, 5, 5, 6), CLIP_AXES
    ),
    "Conv3DUnit": Case(
        lambda **kw: layers.Conv3DUnit(4, (3, 3, 3), (1, 2, 2), separable=True, gating=True, **kw),
        CLIP,
        CLIP_AXES,
    ),
    "InceptionBlock": Case(
        lambda **kw: layers.InceptionBlock((4, 4, 8, 4, 4, 4), **kw), (2, 3, 6, 7, 5), CLIP_AXES
    ),
    "LogMel": Case(
        lambda **kw: layers.LogMel(mel_bins=16, **kw), (2, 5000), (0, 1), trains=False, dtypes=False
    ),
    "MaxPool": Case(
        lambda **kw: layers.MaxPool((3, 3, 3), (2, 2, 2), "same", **kw), (2, 3, 6, 7, 5), CLIP_AXES
    ),
    "MaxPool-zeros_after": Case(
        lambda **kw: layers.MaxPool((3, 3, 3), (2, 2, 2), "zeros_after", **kw),
        (2, 3, 6, 7, 5),
        CLIP_AXES,
    ),
    "ProjectionHead": Case(
        lambda **kw: layers.ProjectionHead(4, hidden=6, output_norm=True, **kw), (8, 5)
    ),
    "ProjectionHead-bnrelu": Case(
        lambda **kw: layers.ProjectionHead(4, activation="bnrelu", **kw), (8, 5)
    ),
    "ResidualBlock": Case(
        lambda **kw: layers.ResidualBlock(8, 2, projection=True, **kw), (4, 6, 7, 4), IMAGE_AXES
    ),
    "ResidualBlock-shift": Case(
        lambda **kw: layers.ResidualBlock(16, shift_fraction=0.125, **kw),
        (4, 6, 7, 16),
        IMAGE_AXES,
        {"num_frames": 2},
    ),
    "SelfGating": Case(layers.SelfGating, (2, 3, 4, 5, 6), CLIP_AXES),
    "SpaceToDepth": Case(layers.SpaceToDepth, (2, 3, 6, 7, 3), CLIP_AXES),
    "TemporalShift": Case(layers.TemporalShift, (6, 4, 5, 16), IMAGE_AXES, {"num_frames": 3}),
    "MilNceTokenizer": Case(
        lambda **kw: layers.MilNceTokenizer(WORDS, max_words=4, **kw),
        (2,),
        trains=False,
        dtypes=False,
    ),
    "WordTokenizer": Case(
        lambda **kw: layers.WordTokenizer(WORDS, max_words=4, **kw),
        (2,),
        trains=False,
        dtypes=False,
    ),
    "S3D": Case(lambda **kw: backbones.S3D(width=0.0625, blocks=(1, 1, 1), **kw), CLIP, CLIP_AXES),
    "S3D-space_to_depth": Case(
        lambda **kw: backbones.S3D("space_to_depth", width=0.0625, blocks=(1, 2, 1), **kw),
        CLIP,
        CLIP_AXES,
    ),
    "S3D-mil_nce": Case(
        lambda **kw: backbones.S3D(
            "rgb_4x8x8", width=0.0625, blocks=(1, 1, 1), pool_padding="zeros_after", **kw
        ),
        CLIP,
        CLIP_AXES,
    ),
    "TSMResNet": Case(lambda **kw: backbones.TSMResNet(18, 0.25, **kw), CLIP, CLIP_AXES, scale=0.1),
    "ResNet": Case(lambda **kw: backbones.ResNet(18, 0.125, **kw), (2, 20, 16, 1), IMAGE_AXES),
    "Sentence": Case(lambda **kw: backbones.Sentence(5, 6, 8, **kw), (2, 4), (0, 1)),
    "Sentence-trainable": Case(
        lambda **kw: backbones.Sentence(5, 6, 8, trainable_embedding=True, mask_padding=True, **kw),
        (2, 4),
        (0, 1),
    ),
    "FineAndCoarse": graph(
        graphs.FineAndCoarse, video=small_s3d, fine_dim=12, coarse_dim=6, hidden_dim=10
    ),
    "FineAndCoarse-bnrelu-audio_text": graph(
        graphs.FineAndCoarse,
        fine_dim=12,
        coarse_dim=6,
        variant="fac_bnrelu",
        audio_text=True,
    ),
    "Shared": graph(graphs.Shared, dim=7, hidden_dim=9),
    "Shared-video-audio": graph(graphs.Shared, ("video", "audio"), dim=7, hidden_dim=9),
    "Disjoint": graph(graphs.Disjoint, dim=7, hidden_dim=9),
    "Disjoint-video-text": graph(graphs.Disjoint, ("video", "text"), dim=7, hidden_dim=9),
    "Disjoint-linear": graph(graphs.Disjoint, ("video", "text"), dim=7, hidden_dim=None),
}


def is_graph(name):
    return isinstance(CASES[name].shape, dict)


NAMES = list(CASES)
# Large, and each much like another case that is always run.
SLOW = (
    "S3D-space_to_depth",
    "S3D-mil_nce",
    "Shared-video-audio",
    "FineAndCoarse-bnrelu-audio_text",
)


def each(names, slow=SLOW):
    marked = [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in names]
    return pytest.mark.parametrize("name", marked)


WITHOUT_TRAINING = ("MaxPool", "SelfGating", "SpaceToDepth", "TemporalShift")
TRAINED = [name for name in NAMES if CASES[name].trains]
FLOATING = [name for name in NAMES if CASES[name].dtypes]


CHEAP = [name for name in NAMES if not is_graph(name) and name.split("-")[0] in vars(layers)]


def is_text(name):
    return name.endswith("Tokenizer")


def make_inputs(name, batch=None):
    random = np.random.default_rng(0)

    def tensor(shape, words):
        shape = shape if batch is None else (batch, *shape[1:])
        if is_text(name):
            return tf.constant(["a rabbit", "flower butterfly zebra"] * 4)[: shape[0]]
        if words:
            return tf.constant(random.integers(0, 5, shape), tf.int32)
        return tf.constant(random.random(shape), tf.float32)

    shape = CASES[name].shape
    if isinstance(shape, dict):
        return {key: tensor(value, key == "text") for key, value in shape.items()}
    return tensor(shape, name.startswith("Sentence"))


@functools.cache
def make(name, **arguments):
    """A layer with weights that differ from their initial zeros and ones."""
    keras.utils.set_random_seed(0)
    layer = CASES[name].make(**arguments)
    call(layer, name)
    random = np.random.default_rng(1)
    for weight in layer.weights:
        low = 0.75 if "variance" in weight.name or "gamma" in weight.name else -0.1
        if weight.name in ("gamma", "beta", "moving_mean", "moving_variance", "bias"):
            weight.assign(low + 0.2 * random.random(weight.shape))
    return layer


def call(layer, name, inputs=None, **arguments):
    inputs = make_inputs(name) if inputs is None else inputs
    return layer(inputs, **CASES[name].arguments, **arguments)


def leaves(outputs):
    return [np.asarray(tf.cast(leaf, tf.float32)) for leaf in tf.nest.flatten(outputs)]


def test_every_public_class_has_a_case():
    registered = [
        registry.get(name)
        for registry in (backbones.VIDEO_BACKBONES, graphs.GRAPHS)
        for name in registry.names()
    ]
    members = [
        value for module in (layers, backbones, graphs) for value in vars(module).values()
    ] + registered
    public = {
        value.__name__
        for value in members
        if isinstance(value, type)
        and issubclass(value, keras.layers.Layer)
        # Abstract: their subclasses stand for them.
        and value not in (backbones.Backbone, graphs.EmbeddingGraph)
        # An example of the documentation, which a test of the same process may have run.
        and value.__module__.startswith("mmv_tf.")
        # They need files of their own; tests/layers has theirs.
        and not value.__name__.startswith(("Unicode", "WordPiece", "SentencePiece"))
    }
    assert public == {name.split("-")[0] for name in CASES}


@each(NAMES)
def test_configuration_makes_the_same_layer(name):
    layer = make(name)
    config = layer.get_config()
    json.dumps(keras.saving.serialize_keras_object(layer))
    again = type(layer).from_config(config)
    if isinstance(again, layers.WordTokenizer):
        # The vocabulary is saved beside the configuration, not in it.
        again.lookup.set_vocabulary(WORDS)
    assert again.get_config() == config
    again_outputs = call(again, name)
    assert [leaf.shape for leaf in leaves(again_outputs)] == [
        leaf.shape for leaf in leaves(call(layer, name))
    ]
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]


@each(NAMES)
def test_output_shape_is_the_computed_one(name):
    layer, inputs = make(name), make_inputs(name)
    computed = layer.compute_output_shape(tf.nest.map_structure(lambda x: tuple(x.shape), inputs))
    outputs = call(layer, name, inputs)
    if not is_graph(name):
        assert tuple(computed) == tuple(outputs.shape)
        return
    real = {m: {s: tuple(v.shape) for s, v in spaces.items()} for m, spaces in outputs.items()}
    assert computed == real


SPECS = [(name, {}) for name in NAMES] + [
    (name, {"return_endpoints": True}) for name in ("S3D", "ResNet", "TSMResNet")
]


@pytest.mark.parametrize(
    ("name", "arguments"), SPECS, ids=["-".join([name, *more]) for name, more in SPECS]
)
def test_output_spec_is_that_of_the_outputs(name, arguments):
    dtype = {"dtype": "mixed_bfloat16"} if CASES[name].dtypes else {}
    layer, inputs = make(name, **dtype), make_inputs(name)
    symbolic = tf.nest.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype.name), inputs)
    specs = layer.compute_output_spec(symbolic, **CASES[name].arguments, **arguments)
    outputs = call(layer, name, inputs, **arguments)
    tf.nest.assert_same_structure(specs, outputs)
    for spec, output in zip(tf.nest.flatten(specs), tf.nest.flatten(outputs), strict=True):
        assert (tuple(spec.shape), spec.dtype) == (tuple(output.shape), output.dtype.name)


@each(NAMES)
def test_traced_with_unknown_sizes_it_gives_the_eager_result(name):
    layer, inputs, case = make(name), make_inputs(name), CASES[name]

    def spec(x, key=None):
        unknown = {"video": CLIP_AXES, "audio": IMAGE_AXES, "text": (0, 1)}.get(key, case.unknown)
        return tf.TensorSpec(
            [None if axis in unknown else size for axis, size in enumerate(x.shape)], x.dtype
        )

    specs = {key: spec(x, key) for key, x in inputs.items()} if is_graph(name) else spec(inputs)
    # Nothing here needs AutoGraph, which takes most of the time of tracing.
    traced = tf.function(
        lambda x: call(layer, name, x), input_signature=[specs], autograph=name in CHEAP
    )
    for eager, graph in zip(leaves(call(layer, name, inputs)), leaves(traced(inputs)), strict=True):
        np.testing.assert_allclose(eager, graph, rtol=1e-4, atol=1e-5)


@each(NAMES)
def test_a_batch_of_one_is_the_first_row(name):
    rows = 1
    if CASES[name].arguments:
        rows = CASES[name].arguments["num_frames"]
    layer, inputs = make(name), make_inputs(name)
    first = tf.nest.map_structure(lambda x: x[:rows], inputs)
    for one, all_rows in zip(
        leaves(call(layer, name, first)), leaves(call(layer, name, inputs)), strict=True
    ):
        assert one.shape[0] == rows
        np.testing.assert_allclose(one, all_rows[:rows], rtol=1e-4, atol=1e-5)


@each(TRAINED)
def test_gradients_are_there_and_finite(name):
    layer, inputs = make(name), make_inputs(name)
    training = {} if name.split("-")[0] in WITHOUT_TRAINING else {"training": True}
    with tf.GradientTape() as tape:
        outputs = call(layer, name, inputs, **training)
        loss = tf.add_n([tf.reduce_sum(tf.square(x)) for x in tf.nest.flatten(outputs)])
    gradients = tape.gradient(loss, [w.value for w in layer.trainable_weights])
    for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(np.asarray(tf.convert_to_tensor(gradient))).all(), weight.path


@pytest.mark.parametrize(
    "dtype", ["mixed_bfloat16", pytest.param("bfloat16", marks=pytest.mark.slow)]
)
@each(FLOATING)
def test_bfloat16_is_close_to_float32(name, dtype):
    single, half = make(name), make(name, dtype=dtype)
    for weight, source in zip(half.weights, single.weights, strict=True):
        weight.assign(source.value)
    if dtype == "mixed_bfloat16":
        assert {w.dtype for w in half.weights} <= {"float32"}
    outputs = call(half, name)
    for leaf in tf.nest.flatten(outputs):
        assert leaf.dtype == (tf.float32 if is_graph(name) else tf.bfloat16)
    for near, exact in zip(leaves(outputs), leaves(call(single, name)), strict=True):
        assert np.isfinite(near).all()
        rms = np.sqrt(np.mean(exact**2))
        if not is_graph(name):
            assert np.abs(near - exact).max() <= CASES[name].scale * (rms + np.abs(exact).max())
        near, exact = near.reshape(len(near), -1), exact.reshape(len(exact), -1)
        cosine = (
            (near * exact).sum(1) / np.linalg.norm(near, axis=1) / np.linalg.norm(exact, axis=1)
        )
        assert cosine.min() >= 0.999


LOADER = """
import json, sys
import keras, numpy as np, tensorflow as tf
before = set(sys.modules)  # Keras imports some of these itself
import mmv_tf
# Slow to import, and needed by few: at first use.
slow = {"sklearn", "av", "matplotlib", "tensorflow_io", "tensorflow_hub", "apache_beam", "faiss"}
slow &= set(sys.modules) - before
assert not slow, slow
assert not {"mmv_tf.evaluation", "mmv_tf.search", "mmv_tf.serving"} & set(sys.modules)
mmv_tf.evaluation.run_benchmark, mmv_tf.search.Searcher, mmv_tf.serving.serve, mmv_tf.training.run
assert "search" in dir(mmv_tf) and not hasattr(mmv_tf, "nothing")
folder = sys.argv[1]
for name, texts in json.load(open(folder + "/names.json")).items():
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    with np.load(f"{folder}/{name}.in.npz") as file:
        inputs = dict(file)
    if texts:
        inputs = tf.constant(texts)
    elif list(inputs) == ["single"]:
        inputs = inputs["single"]
    outputs = tf.nest.flatten(model(inputs))
    np.savez(f"{folder}/{name}.out.npz", *[np.asarray(tf.cast(x, tf.float32)) for x in outputs])
    if isinstance(model, mmv_tf.EmbeddingGraph):
        assert model.metadata == {"frame_rate": 10.0, "nested": {"list": [1, 2]}}, model.metadata
        if model.tokenizer is not None:
            assert model.tokenizer(["the rabbit"]).numpy().tolist() == [[2, 0, 0, 0]]
"""


# One of a kind; the others are in make test-all.
RELOADED = ("BatchNorm", "WordTokenizer", "S3D", "FineAndCoarse")
RELOAD_TEST = "test_saved_it_loads_in_a_fresh_process_without_custom_objects"


@pytest.fixture(scope="module")
def reloaded(request, tmp_path_factory):
    """Every case of this run saved here, and loaded and called in one fresh process."""
    wanted = [
        item.callspec.params["name"]
        for item in request.session.items
        if getattr(item, "originalname", "") == RELOAD_TEST
    ]
    folder: pathlib.Path = tmp_path_factory.mktemp("models")
    names, outputs = {}, {}
    for name in wanted:
        layer, inputs = make(name), make_inputs(name)
        model = layer if is_graph(name) else as_model(layer, name)
        model.summary(print_fn=lambda text: None)
        model.save(folder / f"{name}.keras")
        names[name] = [text.decode() for text in inputs.numpy()] if is_text(name) else None
        if isinstance(inputs, dict):
            np.savez(folder / f"{name}.in.npz", **{k: v.numpy() for k, v in inputs.items()})
        else:
            np.savez(folder / f"{name}.in.npz", single=[0] if is_text(name) else inputs.numpy())
        outputs[name] = leaves(call(layer, name, inputs))
    (folder / "names.json").write_text(json.dumps(names))
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(folder)], capture_output=True, text=True
    )
    return folder, outputs, done


def as_model(layer, name):
    """A model around a layer, which is what can be saved."""
    inputs = make_inputs(name)
    shape = [
        None if axis in CASES[name].unknown else size for axis, size in enumerate(inputs.shape)
    ]
    symbolic = keras.Input(batch_shape=shape, dtype=inputs.dtype.name)
    return keras.Model(symbolic, layer(symbolic, **CASES[name].arguments))


@each(NAMES, slow=set(NAMES) - set(RELOADED))
def test_saved_it_loads_in_a_fresh_process_without_custom_objects(name, reloaded):
    folder, outputs, done = reloaded
    path = folder / f"{name}.out.npz"
    assert path.exists(), done.stderr[-3000:]
    with np.load(path) as file:
        loaded = [file[key] for key in file.files]
    for before, after in zip(outputs[name], loaded, strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-6)


def test_the_fresh_process_ended_well(reloaded):
    assert reloaded[2].returncode == 0, reloaded[2].stderr[-3000:]


@each([name for name in NAMES if is_graph(name)])
def test_a_graph_shows_its_summary(name, capsys):
    make(name).summary()
    assert "Total params" in capsys.readouterr().out
