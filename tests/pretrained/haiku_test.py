# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import pathlib
import subprocess
import sys
import types

import keras
import numpy as np
import pytest

from mmv_tf import backbones, pretrained
from mmv_tf.pretrained.pickle_reader import read_arrays
from tests.pretrained import checkpoints, numpy_reference

FIXTURE = pathlib.Path(__file__).parents[3] / "shared" / "haiku_fixture"
KINDS = ("s3d", "s3d_rgb", "tsm50")
# The reference's name -> ours.
OUTPUTS = {
    "vid_repr": ("video", "before_head"),
    "aud_repr": ("audio", "before_head"),
    "vid_embd.toaud": ("video", "va"),
    "vid_embd.totxt": ("video", "vat"),
    "aud_embd.tovid": ("audio", "va"),
    "aud_embd.totxt": ("audio", "vat"),
    "txt_embd.tovid": ("text", "vat"),
}


def relative_error(got, expected):
    """Largest difference as a share of the reference's root mean square; finiteness first."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert np.isfinite(got).all()
    assert got.shape == expected.shape
    return np.abs(got - expected).max() / np.sqrt(np.mean(expected**2))


# Tiny checkpoints, always.


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """kind -> (path, tree, model)."""
    made = {}

    def get(kind):
        if kind not in made:
            path = tmp_path_factory.mktemp("checkpoints") / f"{kind}.pkl"
            tree = checkpoints.tiny_tree(kind)
            checkpoints.write(path, tree)
            made[kind] = (path, tree, pretrained.import_haiku_checkpoint(path))
        return made[kind]

    return get


@pytest.mark.parametrize("kind", KINDS)
def test_matches_the_numpy_oracle(kind, imported):
    _, tree, model = imported(kind)
    inputs = checkpoints.tiny_inputs()
    expected = numpy_reference.Network(tree)(inputs["video"], inputs["audio"], inputs["text"])
    outputs = model(inputs)
    for modality, spaces in expected.items():
        assert set(outputs[modality]) == set(spaces)
        for space, values in spaces.items():
            assert relative_error(outputs[modality][space], values) < 2e-4


@pytest.mark.parametrize(
    ("kind", "seed", "size", "log_mel", "words"),
    [
        ("s3d", 1, (2, 34, 32), (17, 40), 1),
        ("s3d_rgb", 2, (5, 33, 47), (50, 9), 16),
        ("tsm50", 3, (1, 32, 32), (31, 80), 3),
    ],
)
def test_other_weights_sizes_and_frame_counts_match_too(kind, seed, size, log_mel, words, tmp_path):
    tree = checkpoints.tiny_tree(kind, seed)
    checkpoints.write(tmp_path / "c.pkl", tree, protocol=2)
    model = pretrained.import_haiku_checkpoint(tmp_path / "c.pkl")
    random = np.random.default_rng(seed)
    clips = random.random((1, *size, 3), np.float32)
    mel = random.standard_normal((1, *log_mel, 1)).astype(np.float32)
    ids = random.integers(0, 40, (1, words)).astype(np.int32)
    expected = numpy_reference.Network(tree)(clips, mel, ids)
    for modality, spaces in model({"video": clips, "audio": mel, "text": ids}).items():
        for space, values in spaces.items():
            assert relative_error(values, expected[modality][space]) < 2e-4, (modality, space)


class FlatMapping:
    """Pickles as Haiku's mapping does."""

    def __init__(self, contents):
        self.contents = contents

    def __reduce__(self):
        return FlatMapping, (self.contents,)


@pytest.mark.parametrize("change", ["haiku mappings", "big-endian float64", "float16"])
def test_other_flavours_import_as_the_same_network(change, imported, tmp_path, monkeypatch):
    _, tree, model = imported("s3d")
    if change == "haiku mappings":
        module = "haiku._src.data_structures"
        for name in ("haiku", "haiku._src"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(FlatMapping=FlatMapping))
        monkeypatch.setattr(FlatMapping, "__module__", module)
        other = {
            section: FlatMapping({name: FlatMapping(arrays) for name, arrays in part.items()})
            for section, part in tree.items()
        }
    else:
        dtype = {"big-endian float64": ">f8", "float16": "<f2"}[change]
        other = {
            section: {
                name: {
                    key: array.astype(dtype) if array.dtype.kind == "f" else array
                    for key, array in arrays.items()
                }
                for name, arrays in part.items()
            }
            for section, part in tree.items()
        }
    checkpoints.write(tmp_path / "c.pkl", other)
    again = pretrained.import_haiku_checkpoint(tmp_path / "c.pkl")
    tolerance = 1e-3 if change == "float16" else 0
    for new, old in zip(again.weights, model.weights, strict=True):
        np.testing.assert_allclose(new.numpy(), old.numpy(), rtol=tolerance, atol=tolerance)


def test_the_committed_checkpoint_loads_for_ever(tmp_path):
    path = tmp_path / "tiny_s3d_fac.pkl"
    path.write_bytes(gzip.decompress(checkpoints.COMMITTED.read_bytes()))
    outputs = pretrained.import_haiku_checkpoint(path)(checkpoints.tiny_inputs())
    with np.load(checkpoints.COMMITTED_OUTPUTS) as expected:
        assert len(expected.files) == 8
        for name in expected.files:
            modality, space = name.split(".")
            assert relative_error(outputs[modality][space], expected[name]) < 2e-4


def test_every_weight_of_the_model_is_filled_once(imported):
    _, tree, model = imported("s3d")
    used = sum(len(arrays) for part in tree.values() for arrays in part.values())
    unused = model.metadata["unused_arrays"]
    assert used - len(unused) == len(model.weights)
    averages = sum(name.endswith("_ema") for name in tree["state"])
    # Two heads with a weight and a bias, and of each average "hidden" and "counter".
    assert len(unused) == 4 + 2 * averages
    heads = [name for name in unused if name.startswith("params")]
    assert {name.split("/")[-3] for name in heads} == {"audio2txt_embd", "txt2audio_embd"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_architecture_comes_from_the_arrays(kind, imported):
    model = imported(kind)[2]
    if kind == "tsm50":
        assert isinstance(model.video, backbones.TSMResNet)
        assert (model.video.depth, model.video.width) == (50, 0.0625)
    else:
        assert model.video.stem == {"s3d": "space_to_depth", "s3d_rgb": "rgb"}[kind]
        assert (model.video.width, model.video.blocks) == (0.0625, (1, 1, 1))
    assert model.audio.depth == 18
    assert (model.fine_dim, model.coarse_dim, model.hidden_dim) == (16, 8, 12)
    assert (model.text.vocabulary_size, model.text.embedding_dim, model.text.dim) == (40, 10, 24)


def test_metadata(imported):
    path, _, model = imported("s3d")
    metadata = model.metadata
    assert metadata["licence"] == "CC BY-NC 4.0"
    assert metadata["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert metadata["input_range"] == [0.0, 1.0]
    assert (metadata["frame_rate"], metadata["sample_rate"]) == (10.0, 48_000)
    assert metadata["log_mel"] == {
        "window": 2048,
        "step": 1024,
        "mel_bins": 80,
        "lower_hz": 80.0,
        "upper_hz": 7600.0,
        "compression": "log1p_10000",
    }
    json.dumps(metadata)


def test_a_model_that_was_saved_is_the_same(imported, tmp_path):
    model = imported("tsm50")[2]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.metadata == model.metadata
    inputs = checkpoints.tiny_inputs()
    before, after = model(inputs), loaded(inputs)
    np.testing.assert_array_equal(before["video"]["vat"], after["video"]["vat"])


@pytest.mark.parametrize("kind", ["s3d", "tsm50"])
def test_mixed_bfloat16_features_point_where_float32_ones_do(kind, imported):
    single = imported(kind)[2]
    config = keras.saving.serialize_keras_object(single)
    half = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(config).replace('"float32"', '"mixed_bfloat16"'))
    )
    for weight, source in zip(half.weights, single.weights, strict=True):
        weight.assign(source.value)
    assert half.video.compute_dtype == "bfloat16"
    inputs = checkpoints.tiny_inputs()
    for modality, spaces in half(inputs).items():
        exact = single({modality: inputs[modality]})[modality]
        for space, values in spaces.items():
            assert cosine(values, exact[space]) >= 0.999


def cosine(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()


def test_the_unused_heads_and_state_may_be_missing(tmp_path):
    tree = checkpoints.tiny_tree("s3d")
    for module in [name for name in tree["params"] if "audio2txt" in name or "txt2audio" in name]:
        del tree["params"][module]
    for arrays in tree["state"].values():
        del arrays["hidden"], arrays["counter"]
    checkpoints.write(tmp_path / "c.pkl", tree)
    assert pretrained.import_haiku_checkpoint(tmp_path / "c.pkl").metadata["unused_arrays"] == []


VISUAL = "text_audio_video/visual_module/~/S3D"
BRANCH = f"{VISUAL}/Mixed_4f/Branch_1_Conv2d_0b_3x3"


def drop(section, module, name=None):
    def change(tree):
        if name is None:
            del tree[section][module]
        else:
            del tree[section][module][name]

    return change


def put(section, module, name, values):
    def change(tree):
        tree[section].setdefault(module, {})[name] = np.asarray(values)

    return change


MISTAKES = {
    "a missing kernel": (drop("params", f"{BRANCH}/~/conv3_d_1"), f"{BRANCH}/~/conv3_d_1/w"),
    "a missing average": (
        drop("state", f"{BRANCH}/__cross_replica_batch_norm/~/var_ema", "average"),
        f"{BRANCH}/__cross_replica_batch_norm/~/var_ema/average",
    ),
    "no stem": (drop("params", f"{VISUAL}/Conv2d_1a_7x7/~/conv3_d"), "conv3_d/w is missing"),
    "no text": (
        drop("params", "text_audio_video/text_module/~/embed"),
        "embed/embeddings is missing",
    ),
    "a missing audio block": (
        lambda tree: [
            tree["params"].pop(name) for name in list(tree["params"]) if "group_3/block_1" in name
        ],
        "block_group_0 to 3 have (2, 2, 2, 1) blocks",
    ),
    "an extra array": (
        put("params", f"{VISUAL}/extra", "w", np.ones(2, np.float32)),
        "S3D/extra/w",
    ),
    "an extra state": (
        put("state", f"{BRANCH}/~/other_ema", "average", np.ones(2, np.float32)),
        "other_ema/average",
    ),
    "a wrong shape": (
        put("params", f"{BRANCH}/self_gating", "b", np.ones(3, np.float32)),
        "self_gating/b has shape (3,); expected (20,)",
    ),
    "a shape without its ones": (
        put("params", f"{BRANCH}/__cross_replica_batch_norm", "scale", np.ones(20, np.float32)),
        "scale has shape (20,); expected (1, 1, 1, 1, 20)",
    ),
    "integers": (
        put("params", f"{BRANCH}/self_gating", "b", np.ones(20, np.int32)),
        "self_gating/b is int32; expected floating-point",
    ),
    "not finite": (
        put("params", f"{BRANCH}/self_gating", "b", np.full(20, np.nan, np.float32)),
        "self_gating/b has values that are not finite",
    ),
    "a strange stem": (
        put("params", f"{VISUAL}/Conv2d_1a_7x7/~/conv3_d", "w", np.ones((1, 7, 7, 3, 4), "f4")),
        "the stem's kernel has shape (1, 7, 7, 3, 4)",
    ),
    "two roots": (put("params", "other", "w", np.ones(1, np.float32)), "expected one root module"),
    "another section": (lambda tree: tree.update(optimizer={}), "expected 'params' and 'state'"),
    "a flat section": (
        lambda tree: tree.update(state={"a": np.ones(1, np.float32)}),
        "state of 'a' is not a dict of arrays",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake, tmp_path):
    change, message = MISTAKES[mistake]
    tree = checkpoints.tiny_tree("s3d")
    change(tree)
    checkpoints.write(tmp_path / "c.pkl", tree)
    with pytest.raises(ValueError, match=r"c\.pkl is not a released MMV checkpoint") as caught:
        pretrained.import_haiku_checkpoint(tmp_path / "c.pkl")
    assert message in str(caught.value)


# The released architectures, filled as ../shared/haiku_fixture says.


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """config -> path of its checkpoint."""
    if not FIXTURE.exists():
        pytest.skip("../shared/haiku_fixture is not here")
    folder = tmp_path_factory.mktemp("filled")

    def get(config):
        path = folder / f"{config}.pkl"
        if not path.exists():
            fill = [sys.executable, FIXTURE / "fill.py", FIXTURE / f"{config}.spec.json", path]
            digests = ["--digests", FIXTURE / f"{config}.digests.json"]
            subprocess.run([*fill, *digests], check=True, stdout=subprocess.DEVNULL)
        return path

    yield get
    for path in folder.iterdir():
        path.unlink()


def fixture_inputs(case):
    spec = importlib.util.spec_from_file_location("fixture_inputs", FIXTURE / "inputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.inputs(case)
    return {
        "video": made["images"],
        "audio": made["audio_spectrogram"],
        "text": made["word_ids"],
    }


@pytest.mark.parametrize(
    ("config", "cases"),
    [
        ("mmv_s3d", ["small", "small.f64", "full"]),
        pytest.param("mmv_tsm_resnet_x1", ["small"], marks=pytest.mark.slow),
    ],
)
def test_released_architectures_match_the_reference(config, cases, filled):
    model = pretrained.import_haiku_checkpoint(filled(config))
    for case in cases:
        outputs = model(fixture_inputs(case.split(".")[0]))
        with np.load(FIXTURE / f"{config}.{case}.npz") as reference:
            for name, (modality, space) in OUTPUTS.items():
                # The fixture asks for 1e-3; the reference's own noise is 1.2e-4.
                assert relative_error(outputs[modality][space], reference[name]) < 2e-4, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "case"), [("mmv_s3d", "small.f64"), ("mmv_tsm_resnet_x1", "small")]
)
def test_the_oracle_itself_matches_the_reference(config, case, filled):
    inputs = fixture_inputs("small")
    oracle = numpy_reference.Network(read_arrays(filled(config)))
    outputs = oracle(inputs["video"], inputs["audio"], inputs["text"])
    with np.load(FIXTURE / f"{config}.{case}.npz") as reference:
        for name, (modality, space) in OUTPUTS.items():
            bound = 1e-10 if "f64" in case else 2e-4
            assert relative_error(outputs[modality][space], reference[name]) < bound, name


def mixed_bfloat16(preset, single):
    settings = pretrained.preset_config(preset)
    settings.dtype = "mixed_bfloat16"
    half = pretrained.create_model(settings)
    for weight, source in zip(half.weights, single.weights, strict=True):
        weight.assign(source.value)
    return half


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["s3d_fac", "tsm50_fac"])
def test_new_networks_in_mixed_bfloat16(preset):
    keras.utils.set_random_seed(0)
    single = pretrained.create_model(preset)
    half = mixed_bfloat16(preset, single)
    random = np.random.default_rng(0)
    inputs = {
        "video": random.random((2, 8, 64, 64, 3), np.float32),
        "audio": random.standard_normal((2, 96, 40, 1)).astype(np.float32),
        "text": random.integers(0, 65_536, (2, 16)).astype(np.int32),
    }
    exact = single(inputs)
    for modality, spaces in half(inputs).items():
        for space, values in spaces.items():
            assert cosine(values, exact[modality][space]) >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "preset"), [("mmv_s3d", "s3d_fac"), ("mmv_tsm_resnet_x1", "tsm50_fac")]
)
def test_the_fixture_in_mixed_bfloat16(config, preset, filled):
    # Every convolution in bfloat16 gives 0.994 to 0.996 here: see `mmv_tf.layers.base`.
    single = pretrained.import_haiku_checkpoint(filled(config))
    half = mixed_bfloat16(preset, single)
    inputs = fixture_inputs("small")
    exact = single(inputs)
    for modality, spaces in half(inputs).items():
        assert cosine(spaces["before_head"], exact[modality]["before_head"]) >= 0.999


@pytest.mark.slow
def test_the_largest_network_in_time_and_memory(tmp_path):
    program = (
        "import sys, time\n"
        "import tensorflow as tf\n"
        "from mmv_tf import pretrained\n"
        "from tests.pretrained import checkpoints\n"
        "from benchmarks.process_memory import mebibytes\n"
        "tf.ones([1]) + 1\n"
        "before, start = mebibytes('VmHWM'), time.time()\n"
        "model = pretrained.import_haiku_checkpoint(sys.argv[1])\n"
        "seconds = time.time() - start\n"
        "grown = mebibytes('VmHWM') - before\n"
        "print(seconds, grown, model.video.feature_dim)\n"
    )
    path = tmp_path / "x2.pkl"
    checkpoints.write(path, checkpoints.released_tree("tsm50x2"))
    size = path.stat().st_size / 2**20
    assert 540 < size < 560
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    seconds, megabytes, dim = map(float, done.stdout.split())
    assert dim == 4096
    assert seconds < 60
    assert megabytes < 3 * size
    path.unlink()


@pytest.mark.slow
def test_the_double_width_network_matches_the_oracle(tmp_path):
    tree = checkpoints.released_tree("tsm50x2")
    checkpoints.write(tmp_path / "x2.pkl", tree)
    model = pretrained.import_haiku_checkpoint(tmp_path / "x2.pkl")
    (tmp_path / "x2.pkl").unlink()
    random = np.random.default_rng(5)
    inputs = {
        "video": random.random((2, 5, 48, 40, 3), np.float32),
        "audio": random.standard_normal((2, 50, 80, 1)).astype(np.float32),
        "text": random.integers(0, 65_536, (2, 16)).astype(np.int32),
    }
    expected = numpy_reference.Network(tree)(inputs["video"], inputs["audio"], inputs["text"])
    for modality, spaces in model(inputs).items():
        for space, values in spaces.items():
            assert relative_error(values, expected[modality][space]) < 2e-4, (modality, space)
