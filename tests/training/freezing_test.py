# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import graphs, training
from mmv_tf.graphs import FineAndCoarse
from mmv_tf.layers.batch_norm import BatchNorm
from mmv_tf.losses import Objective
from mmv_tf.training import optimizer, train_step
from mmv_tf.training.freezing import Freezing, layer_names, unused_parts
from mmv_tf.util.keras_networks import all_layers
from tests import small_world

WEIGHTS = {"va": 1.0, "vt": 1.0}


@pytest.fixture
def model():
    return small_world.tiny_model()


def names_of(model, variables):
    """The parts that hold some variables."""
    held = {id(v): name for name, part in model.parts().items() for v in part.variables}
    return {held[id(variable)] for variable in variables}


def values(part):
    return [variable.numpy() for variable in part.variables]


def same(before, after):
    return all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


def batch(rows=4):
    generator = np.random.default_rng(0)
    return {
        "video": tf.constant(generator.uniform(size=[rows, 4, 32, 32, 3]), tf.float32),
        "audio": tf.constant(generator.normal(size=[rows, 24, 80, 1]), tf.float32),
        "text": tf.constant(generator.integers(2, 12, [rows, 2, 6]), tf.int32),
        "valid/video": tf.ones([rows], tf.bool),
        "valid/audio": tf.ones([rows], tf.bool),
        "valid/text": tf.ones([rows, 2], tf.bool),
    }


def make_step(model, freezing, **changes):
    settings = training.default_config()
    settings.update(changes)
    adam_settings = training.default_optimizer_config()
    adam_settings.warmup_steps = 0
    adam = optimizer.make_optimizer(adam_settings, 10)
    adam.build(freezing.variables)
    strategy = tf.distribute.get_strategy()
    return train_step.TrainStep(model, Objective(WEIGHTS), strategy, adam, settings, 0.0, freezing)


def take_steps(model, freezing, count=2, **changes):
    step = make_step(model, freezing, **changes)
    with freezing.applied():
        return [step(batch(), tf.zeros([2])).numpy() for _ in range(count)][-1]


def test_every_layer_has_a_name_that_does_not_depend_on_the_process(model):
    names = list(layer_names(model))
    assert names[:3] == ["video", "video/Conv2d_1a_7x7", "video/Conv2d_2b_1x1"]
    assert {"audio/group_0/block_1", "text/projection", "heads/fine_to_coarse"} <= set(names)
    assert names == list(layer_names(small_world.tiny_model()))


@pytest.mark.parametrize(
    ("freeze", "frozen"),
    [
        (("video",), {"video"}),
        ("text", {"text"}),
        (("heads",), {"heads/video_to_fine", "heads/fine_to_coarse", "heads/audio_to_fine",
                      "heads/text_to_coarse"}),
        (("video_to_fine", "au*"), {"heads/video_to_fine", "audio", "heads/audio_to_fine"}),
    ],
)  # fmt: skip
def test_names_and_patterns_stand_for_parts(model, freeze, frozen):
    found = Freezing(model, freeze)
    assert names_of(model, found.variables) == set(model.parts()) - frozen


def test_a_pattern_stands_for_layers(model):
    found = Freezing(model, ["video/Mixed_*"])
    kept = [layer_names(model)[f"video/{name}"] for name in ("Mixed_3c", "Mixed_4f", "Mixed_5c")]
    held = {id(variable) for layer in kept for variable in layer.variables}
    trained = {id(variable) for variable in found.variables}
    everything = {id(variable) for variable in model.trainable_variables}
    assert trained == everything - held
    assert "video" in names_of(model, found.variables), "the layers before are trained"


def test_all_but_the_heads_frozen_leaves_the_towers_to_the_bit(model):
    before = {name: values(part) for name, part in model.parts().items()}
    take_steps(model, Freezing(model, ("video", "audio", "text")))
    for name, part in model.parts().items():
        assert same(before[name], values(part)) == (name in model.modalities), name
    assert not any(layer.frozen for layer in all_layers([model]) if isinstance(layer, BatchNorm)), (
        "the model is as it was after the run"
    )


@pytest.mark.slow
def test_the_pieces_of_a_batch_freeze_too(model):
    before = values(model.video)
    for pieces in ({"accumulate": 2}, {"gradient_cache": 2}):
        take_steps(model, Freezing(model, ("video",)), **pieces)
        assert same(before, values(model.video))


@pytest.mark.slow
def test_a_step_with_frozen_towers_computes_no_gradient_of_them(model):
    """The operations of a traced step, counted by the kernel that only a backward pass has."""

    def backward(freezing):
        with freezing.applied():
            step = make_step(model, freezing)
            graph = tf.function(step._gradients).get_concrete_function(batch()).graph
        kinds = [operation.type for operation in graph.get_operations()]
        return sum(kind.startswith("Conv3DBackprop") for kind in kinds)

    assert backward(Freezing(model)) > 20
    assert backward(Freezing(model, ("video",))) == 0


def test_the_optimizer_has_no_state_for_what_is_frozen(model):
    everything, some = Freezing(model), Freezing(model, ("video", "audio"))
    whole, less = (make_step(model, one) for one in (everything, some))
    assert len(less.variables["optimizer"]) < len(whole.variables["optimizer"]) / 3


def test_the_gradient_of_the_rest_equals_that_of_an_unfrozen_model(model):
    """With frozen batch norms everywhere, freezing weights changes no other gradient."""
    everything = Freezing(model, frozen_batch_norm=True)
    some = Freezing(model, ("video",), frozen_batch_norm=True)
    gradients = []
    for freezing in (everything, some):
        with freezing.applied():
            found, _ = make_step(model, freezing)._gradients(batch())
        gradients.append({id(v): g for v, g in zip(freezing.variables, found, strict=True)})
    for key, gradient in gradients[1].items():
        np.testing.assert_allclose(gradient, gradients[0][key], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_frozen_batch_norms_keep_their_statistics_and_train_their_scales(model):
    norms = [layer for layer in all_layers([model.video]) if isinstance(layer, BatchNorm)]
    head = model.video_to_fine.output_batch_norm
    before = [norm.moving_mean.numpy() for norm in norms]
    gamma = [norm.gamma.numpy() for norm in norms]
    new = head.moving_mean.numpy()
    take_steps(model, Freezing(model, frozen_batch_norm=True, fresh=("heads/video_to_fine",)))
    assert same(before, [norm.moving_mean.numpy() for norm in norms])
    assert not same(gamma, [norm.gamma.numpy() for norm in norms])
    assert not same([new], [head.moving_mean.numpy()]), "a new head learns its statistics"


@pytest.mark.slow
def test_a_multiple_scales_the_step_of_its_part():
    """Adam's first step is the learning rate times the sign of the gradient."""
    moved = {}
    for multiple in (1.0, 0.25):
        keras.utils.set_random_seed(0)
        model = small_world.tiny_model()
        rates = {"video": multiple, "video/Conv2d_1a_7x7": 0.5}
        freezing = Freezing(model, learning_rates=rates)
        before = {name: values(layer) for name, layer in layer_names(model).items()}
        take_steps(model, freezing, count=1)
        for name in ("video/Mixed_5c", "video/Conv2d_1a_7x7", "text/projection"):
            layer = layer_names(model)[name]
            steps = [new - old for new, old in zip(values(layer), before[name], strict=True)]
            moved[name, multiple] = np.abs(steps[0]).max()
    ratio = {name: moved[name, 0.25] / moved[name, 1.0] for name, _ in moved}
    np.testing.assert_allclose(ratio["video/Mixed_5c"], 0.25, rtol=1e-3)
    np.testing.assert_allclose(ratio["video/Conv2d_1a_7x7"], 1.0, rtol=1e-3)
    np.testing.assert_allclose(ratio["text/projection"], 1.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("pairs", "unused"),
    [
        (("va",), {"text", "heads/fine_to_coarse", "heads/text_to_coarse"}),
        (("vt",), {"audio", "heads/audio_to_fine"}),
        (("va", "vt"), set()),
        (("at",), {"video", "heads/video_to_fine"}),
    ],
)
def test_parts_that_no_pair_compares_are_known(model, pairs, unused):
    assert set(unused_parts(model, pairs)) == unused


def test_parts_of_the_other_graphs(model):
    for graph in (graphs.Shared, graphs.Disjoint):
        other = graph(video=model.video, audio=model.audio, text=model.text)
        assert all(name.startswith("heads/") for name in list(other.parts())[3:])
        assert "text" in unused_parts(other, ("va",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"freeze": ["vidio"]}, "training.freeze has 'vidio', which matches no part"),
        ({"freeze": ["video/Mixed_9z"]}, "nearest are 'video/Mixed_"),
        ({"freeze": ["*"]}, "leaves nothing to train"),
        ({"freeze": [""]}, "matches no part"),
        ({"learning_rates": {"vidio": 0.1}}, "training.learning_rates has 'vidio'"),
        ({"learning_rates": {"video": 0.0}}, "expected a number above 0 (freeze it"),
        ({"learning_rates": {"video": float("nan")}}, "expected a number above 0"),
        ({"learning_rates": {"video": "slow"}}, "multiple 'slow'"),
        (
            {"freeze": ["video"], "learning_rates": {"video/Mixed_3c": 0.1}},
            "training.learning_rates has 'video/Mixed_3c', but training.freeze ('video') keeps",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_error(model, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Freezing(model, **arguments)


def test_a_default_multiple_of_a_part_that_is_missing_or_frozen_is_no_mistake():
    tiny = small_world.tiny_model()
    model = FineAndCoarse(video=tiny.video, audio=tiny.audio)
    rates = training.default_config().learning_rates
    assert set(Freezing(model, ["video"], dict(rates)).multiples) == {1.0}


@pytest.mark.slow
def test_replicas_leave_frozen_parts_and_exchange_nothing_of_them(tmp_path):
    """Two replicas in a process of their own; the gradients of what is trained equal one's."""
    found = subprocess.run(
        [sys.executable, "-c", _REPLICAS], capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr[-3000:]
    one, two = json.loads(found.stdout.splitlines()[-1])
    assert two["frozen"] == one["frozen"] == 0.0
    np.testing.assert_allclose(two["head"], one["head"], rtol=1e-3)
    assert one["head"] > 0
    assert two["exchanged"] <= two["trained"] + 1, "gradients and the values of the step"


_REPLICAS = """
import json
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from mmv_tf import training
from mmv_tf.losses import Objective
from mmv_tf.training import optimizer
from mmv_tf.training.freezing import Freezing
from mmv_tf.training.train_step import TrainStep
from tests import small_world
from tests.training.freezing_test import batch

results = []
for strategy in (tf.distribute.OneDeviceStrategy("CPU:0"),
                 tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = small_world.tiny_model()
        freezing = Freezing(model, ("video", "audio"), frozen_batch_norm=True)
        adam_settings = training.default_optimizer_config()
        adam_settings.warmup_steps = 0
        adam = optimizer.make_optimizer(adam_settings, 10)
        adam.build(freezing.variables)
    step = TrainStep(model, Objective({"va": 1.0, "vt": 1.0}), strategy, adam,
                     training.default_config(), 0.0, freezing)
    count = strategy.num_replicas_in_sync
    parts = [{n: tf.split(v, count)[i] for n, v in batch().items()} for i in range(count)]
    data = {n: strategy.experimental_distribute_values_from_function(
        lambda c, n=n: parts[c.replica_id_in_sync_group][n]) for n in parts[0]}
    towers = [model.video.get_weights(), model.audio.get_weights()]
    head = model.video_to_fine.projection.kernel.numpy()
    exchanged = []
    original = tf.distribute.ReplicaContext.all_reduce
    def counted(self, op, value, options=None):
        exchanged.append(len(tf.nest.flatten(value)))
        return original(self, op, value, options)
    tf.distribute.ReplicaContext.all_reduce = counted
    with freezing.applied():
        step(data, tf.zeros([2]))
    tf.distribute.ReplicaContext.all_reduce = original
    moved = [np.abs(a - b).max() for before, layer in zip(towers, (model.video, model.audio))
             for a, b in zip(before, layer.get_weights())]
    results.append({"frozen": float(max(moved)), "trained": len(freezing.variables),
                    "head": float(np.abs(model.video_to_fine.projection.kernel - head).sum()),
                    "exchanged": max(exchanged, default=0)})
print(json.dumps(results))
"""
