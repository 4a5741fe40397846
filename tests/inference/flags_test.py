# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest
from absl import flags

from mmv_tf.deflation import deflate_naively
from mmv_tf.inference import GraphNetwork
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.util.command_line import UsageError, gather_overrides


def parse(*arguments, **options):
    values = flags.FlagValues()
    define_network_flags(values=values, **options)
    values(gather_overrides(["program", *arguments], values))
    return network_flags(values)


def test_only_what_is_given_is_an_option():
    found = parse("--model=runs/mine")
    assert (found.model, found.options) == ("runs/mine", {})
    assert parse(required=False).model is None


def test_files_are_told_by_absolute_paths_so_that_an_index_can_keep_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = parse(
        "--model=mmv_s3d", "--dtype=bfloat16", "--vocabulary=words.txt", "--image_model=i.keras",
        image_model=True,
    )  # fmt: skip
    here = pathlib.Path.cwd()
    assert found.model == "mmv_s3d"
    assert found.options == {
        "dtype": "bfloat16",
        "vocabulary": str(here / "words.txt"),
        "image_model": str(here / "i.keras"),
    }


def test_settings_have_kinds():
    found = parse(
        "--model=m",
        *("--settings.num_frames=8", "--settings.frame_rate=12.5", "--settings.square_crop=False"),
        *("--settings.size=64", "--settings.sample_rate=16000", "--settings.size=96"),
    )
    assert found.options["settings"] == {
        "num_frames": 8, "frame_rate": 12.5, "square_crop": False, "size": 96, "sample_rate": 16000
    }  # fmt: skip
    assert type(found.options["settings"]["num_frames"]) is int


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("fps=3", r"There is no --settings\.fps; nearest: --settings\.\w+"),
        ("size", "--settings.size needs a value: --settings.size=value"),
        ("size=0", "--settings.size=0: expected a number above 0"),
        ("size=None", "--settings.size=None: expected int"),
        ("num_frames=2.5", "--settings.num_frames=2.5: expected int"),
        ("frame_rate=nan", "--settings.frame_rate=nan: expected a number above 0"),
        ("square_crop=2", "--settings.square_crop=2: expected bool"),
    ],
)
def test_wrong_settings_are_wrong_usage(setting, message):
    with pytest.raises(UsageError, match=message):
        parse("--model=m", f"--settings.{setting}")


def test_programs_that_need_a_keras_model_take_no_settings():
    with pytest.raises(UsageError, match="--settings can't be used here"):
        parse("--model=m", "--settings.size=3").open_model()
    with pytest.raises(UsageError, match="--settings can't be used here"):
        parse("--model=m", "--settings.size=3").open_models()
    with pytest.raises(UsageError, match="--image_model can't be used here"):
        parse("--model=m", "--image_model=i.keras", image_model=True).open_model()


@pytest.mark.slow
def test_a_network_and_its_deflated_one_are_opened_in_one_precision(tmp_path, tiny_model):
    image_model = deflate_naively(tiny_model)
    tiny_model.save(tmp_path / "m.keras")
    image_model.save(tmp_path / "i.keras")
    model, image = f"--model={tmp_path / 'm.keras'}", f"--image_model={tmp_path / 'i.keras'}"
    opened, images = parse(model, image, "--dtype=mixed_bfloat16", image_model=True).open_models()
    assert opened.video.compute_dtype == "bfloat16"
    assert "bfloat16" in {layer.compute_dtype for layer in images.network.layers}
    found = parse(model, image_model=True).open_models()
    assert GraphNetwork(found[0]).fingerprint == GraphNetwork(tiny_model).fingerprint
    assert found[1] is None
    with pytest.raises(ValueError, match=r"i\.keras is a deflated, image-only network; pass"):
        parse(f"--model={tmp_path / 'i.keras'}").open_model()


def test_a_precision_that_there_is_not_is_named_with_those_there_are():
    with pytest.raises(flags.IllegalFlagValueError, match=r"float32.*mixed_bfloat16"):
        parse("--model=m", "--dtype=float8")
    with pytest.raises(flags.UnrecognizedFlagError):
        parse("--model=m", "--settings.size=3", settings=False)
