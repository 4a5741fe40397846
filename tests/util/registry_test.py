# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tests of mmv_tf.util.registry."""

from __future__ import annotations

import sys

import pytest

from mmv_tf.util.registry import Registry


@pytest.fixture
def animals():
    registry: Registry[type] = Registry("animal")

    @registry.register("rabbit")
    class Rabbit:
        pass

    registry.register("butterfly")(int)
    return registry, Rabbit


def test_a_part_is_found_by_its_name(animals):
    registry, rabbit = animals
    assert registry.get("rabbit") is rabbit
    assert registry.names() == ("butterfly", "rabbit")


def test_a_misspelled_name_is_told_the_nearest_and_all(animals):
    message = (
        r"^animal is 'rabit'; did you mean 'rabbit'\? The known names are butterfly, rabbit\.$"
    )
    with pytest.raises(ValueError, match=message):
        animals[0].get("rabit")


@pytest.mark.parametrize("name", ["zzz", None, 7, [1]])
def test_what_resembles_no_name_is_told_all(animals, name):
    with pytest.raises(ValueError, match=r"^zoo\.animal is .*; use one of butterfly, rabbit\.$"):
        animals[0].get(name, where="zoo.animal")


def test_a_name_is_given_once(animals):
    with pytest.raises(ValueError, match="The animal 'rabbit' is registered twice"):
        animals[0].register("rabbit")(str)


def test_a_part_that_is_defined_again_replaces_the_one_before():
    registry: Registry[type] = Registry("animal")
    made = []
    for _ in range(2):

        @registry.register("rabbit")
        class Rabbit:
            pass

        made.append(Rabbit)
    assert registry.get("rabbit") is made[1]


def test_modules_of_a_package_register_themselves(tmp_path, monkeypatch):
    package = tmp_path / "zoo_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from mmv_tf.util.registry import Registry\n"
        "ANIMALS = Registry('animal', package=__name__)\n"
    )
    (package / "rabbit.py").write_text(
        "import zoo_of_a_test\nzoo_of_a_test.ANIMALS.register('rabbit')('hops')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import zoo_of_a_test  # type: ignore[import-not-found]

    assert "zoo_of_a_test.rabbit" not in sys.modules
    assert zoo_of_a_test.ANIMALS.names() == ("rabbit",)
    assert zoo_of_a_test.ANIMALS.get("rabbit") == "hops"
    for name in ("zoo_of_a_test", "zoo_of_a_test.rabbit"):
        monkeypatch.delitem(sys.modules, name)
