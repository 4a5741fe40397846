# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import contextlib

import keras
import numpy as np
import pytest
from keras import layers

from mmv_tf.util.keras_networks import Graph, all_layers, replaced_calls


def network():
    """A network with an operation, a shared layer, two outputs and an argument beside tensors."""
    inputs = keras.Input([4], name="x")
    shared = layers.Dense(4, name="shared")
    hidden = shared(shared(inputs))
    normed = layers.BatchNormalization(name="norm")(hidden, training=False)
    joined = layers.Add(name="add")([hidden, keras.ops.relu(normed)])
    return keras.Model(inputs, {"sum": joined, "normed": normed})


def test_calls_are_in_the_order_in_which_they_can_be_made():
    model = network()
    names = [call.layer.name for call in Graph(model).calls]
    assert names[:3] == ["shared", "shared", "norm"]
    assert names[-1] == "add"
    assert Graph(model).calls[2].kwargs == {"training": False}


def test_consumers_count_outputs_and_leave_out_layers_called_twice():
    graph = Graph(network())
    assert not graph.called_once(graph.calls[0].layer)
    assert graph.called_once(graph.calls[2].layer)
    consumers = graph.consumers()
    assert "shared" not in consumers
    assert [type(taker).__name__ for taker in consumers["norm"]] == ["Relu", "NoneType"]
    assert consumers["add"] == [None]


def test_a_replay_with_the_layers_themselves_gives_the_same_outputs():
    model = network()
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    found = Graph(model).replay(x, lambda layer, *args, **kwargs: layer(*args, **kwargs))
    expected = model(x)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_reading_a_network_leaves_it_as_it_is():
    model = network()
    output = model.get_layer("norm").output
    before = [variable.path for variable in model.variables]
    Graph(model)
    assert model.get_layer("norm").output is output
    assert [variable.path for variable in model.variables] == before


def test_a_subclassed_network_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="Functional"):
        Graph(Own())


def test_all_layers_are_each_found_once_the_outer_ones_first():
    inner = layers.Dense(2, name="inner")
    outer = keras.Sequential([inner, keras.Sequential([inner], name="nested")], name="outer")
    found = [layer.name for layer in all_layers([outer, inner])]
    assert found[0] == "outer"
    assert sorted(found) == ["inner", "nested", "outer"]


def test_calls_are_replaced_inside_the_block_only_even_after_an_error():
    layer = layers.Dense(2, name="dense")
    x = np.ones((1, 2), np.float32)
    expected = layer(x)
    with contextlib.suppress(RuntimeError), replaced_calls([(layer, lambda inputs: 2 * inputs)]):
        np.testing.assert_array_equal(layer(x), 2 * x)
        raise RuntimeError
    np.testing.assert_array_equal(layer(x), expected)
