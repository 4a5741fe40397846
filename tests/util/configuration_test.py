# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import pathlib

import numpy as np
import pytest
from ml_collections.config_dict import ConfigDict, placeholder

from mmv_tf.util import command_line
from mmv_tf.util.command_line import UsageError
from mmv_tf.util.configuration import (
    choose,
    load_config,
    override,
    read_checked_json,
    write_checked_json,
    write_json,
)

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[a-z]*.py")), ids=lambda path: path.stem)
@pytest.mark.parametrize("arg", ["", ":runlocal"])
def test_every_config_loads_locked(path, arg):
    config = load_config(f"{path}{arg}")
    assert config.is_locked
    with pytest.raises((AttributeError, KeyError)):
        config.trainning = 1


ENTRIES = {
    "split": "train",
    "steps": 3,
    "rate": 0.5,
    "flip": True,
    "blocks": (1, 2),
    "names": ("a", "b"),
    "mixture": (),
    "inner": {"size": placeholder(int)},
}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("split=a,b", "a,b"),
        ("split=a=b", "a=b"),
        ("split=12", "12"),
        ("split=1e3", "1e3"),
        ("split=None", "None"),
        ("split=True", "True"),
        ("split=(1, 2)", "(1, 2)"),
        ("split=", ""),
        ("split= a b ", " a b "),
        ("split=--steps=4", "--steps=4"),
        ("steps=-7", -7),
        ("rate=1", 1.0),
        ("rate=1e-3", 1e-3),
        ("flip=False", False),
        ("flip=true", True),
        ("blocks=(3, 4)", (3, 4)),
        ("blocks=[3, 4]", (3, 4)),
        ("blocks=3,4", (3, 4)),
        ("blocks=3", (3,)),
        ("blocks=()", ()),
        ("names=('1', \"c d\")", ("1", "c d")),
        ("mixture=[{'directory': 'd', 'weight': 2.0}]", ({"directory": "d", "weight": 2.0},)),
        ("inner.size=4", 4),
    ],
)
def test_a_value_has_the_type_of_its_entry(setting, value):
    key = setting.partition("=")[0]
    config = override(ConfigDict(ENTRIES), [setting], "flag")
    found = config.inner.size if key == "inner.size" else config[key]
    assert (found, type(found)) == (value, type(value))
    others = {name: entry for name, entry in ENTRIES.items() if name not in (key, "inner")}
    assert {name: config[name] for name in others} == others
    assert config.is_locked


@pytest.mark.parametrize(
    "setting",
    [
        *(
            "steps=many",
            "steps=1.5",
            "steps=None",
            "steps=",
            "steps=True",
            "rate=fast",
            "rate=None",
        ),
        *("flip=no", "flip=None", "flip=2", "blocks=(1", "blocks=a", "blocks=a,b", "blocks=None"),
        *("names=c", "names=c,d", "inner.size=big", "inner.size=None"),
    ],
)
def test_a_value_of_another_type_is_wrong_usage(setting):
    key = setting.partition("=")[0]
    kind = int if key == "inner.size" else type(ENTRIES[key])
    with pytest.raises(UsageError) as raised:
        override(ConfigDict(ENTRIES), [setting], "flag")
    assert str(raised.value).startswith(f"--flag.{setting}: expected {kind.__name__}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arg", "found"),
    [
        ("", ("red", "large")),
        ("blue", ("blue", "large")),
        ("small,blue", ("blue", "small")),
        ("red,", ("red", "large")),
    ],
)
def test_a_configuration_s_argument_is_words(arg, found):
    kinds = {"color": ("red", "blue"), "size": ("large", "small")}
    assert tuple(choose(arg, kinds).values()) == found
    for wrong, problem in (("gren", "'gren' is unknown"), ("red,blue", "'blue' is a second word")):
        with pytest.raises(
            ValueError, match=f"each of these groups: red or blue; large or small; {problem}"
        ):
            choose(wrong, kinds)


def test_overrides_keep_types():
    config = load_config(
        str(CONFIGS / "quickstart.py"),
        ["training.steps=7", "optimizer.learning_rate=1", "data.flip=False", "data.split=a+b"],
    )
    assert config.training.steps == 7
    assert config.optimizer.learning_rate == 1.0
    assert isinstance(config.optimizer.learning_rate, float)
    assert config.data.flip is False
    assert config.data.split == "a+b"
    for text in ("[3, 4]", "(3, 4)"):
        config = load_config(str(CONFIGS / "quickstart.py"), [f"training.profile={text}"])
        assert config.training.profile == (3, 4)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainning.steps=7", r"no --config\.trainning\.steps; nearest: --config\.training\.steps"),
        ("training.steps=many", "expected int, like 300"),
        ("training.steps=1.5", "expected int, like 300"),
        ("training.profile=(1", r"expected tuple, like \(0, 0\)"),
        ("training=3", "is a section"),
        ("training.steps", "needs a value"),
    ],
)
def test_wrong_overrides_say_what_is_wrong(override, message):
    with pytest.raises(ValueError, match=message):
        load_config(str(CONFIGS / "quickstart.py"), [override])


def test_a_missing_file_and_a_wrong_argument_say_so(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"no configuration .*absent\.py; give a Python file, or one of .*quickstart",
    ):
        load_config(str(tmp_path / "absent.py"))
    with pytest.raises(ValueError, match="runlocal"):
        load_config(f"{CONFIGS / 'quickstart.py'}:fast")


def test_help_and_completion_list_every_configuration():
    assert sorted(command_line.CONFIGS) == sorted(
        path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__"
    )


def test_json_is_written_whole_or_not_at_all(tmp_path):
    write_json({"a": np.float32(1.5), "b": np.arange(2)}, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1.5, "b": [0, 1]}
    with pytest.raises(ValueError, match="JSON"):
        write_json({"a": float("nan")}, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["a"] == 1.5
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_checked_json_comes_back_or_is_refused(tmp_path):
    path, value = tmp_path / "value.json", {"é": [1, 2.5, None], "content": "}\n"}
    write_checked_json(value, path)
    content = path.read_bytes()
    assert read_checked_json(path) == json.loads(content)["content"] == value
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"value\.json: its checksum is missing or does not match"
        ):
            read_checked_json(path)
    write_json(value, path)
    with pytest.raises(ValueError, match="missing or does not match"):
        read_checked_json(path)
    with pytest.raises(FileNotFoundError):
        read_checked_json(tmp_path / "none")
