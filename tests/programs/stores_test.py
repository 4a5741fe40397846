# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Programs whose inputs and outputs are in a store, as on a machine that has nothing else."""

import ast
import collections
import json
import pathlib
import re

import keras
import numpy as np
import pytest

from mmv_tf.data.file_types import is_media
from mmv_tf.deflation import deflate_naively
from mmv_tf.training.opening import open_weights
from mmv_tf.util.storage import media, mirror
from mmv_tf.util.storage.placeholders import is_placeholder
from mmv_tf.util.storage.store import open_store
from tests import running, small_world
from tests.evaluation import small_benchmarks
from tests.pretrained import mil_nce_checkpoints
from tests.storage_servers import SECRET, at_random

# What a network that was never trained does not say.
SETTINGS = [f"--settings.{one}" for one in ("num_frames=4", "frame_rate=4", "size=32")]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A network, its deflated one, and a few files of each kind."""
    root = tmp_path_factory.mktemp("local")
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    (root / "run").mkdir()
    model.save(root / "run" / "model.keras")
    deflate_naively(model).save(root / "image.keras")
    for number in range(3):
        small_benchmarks.image(root / "images" / "class" / f"{number}.png", number, number)
        small_benchmarks.film(root / "videos" / f"{number}.mp4", number, root)
    (root / "lines.txt").write_text("a red square\nthe circle falls\n")
    return root


@pytest.fixture
def uploaded(local, s3_store):
    """The same in a store, with the checkpoint of a run beside its model."""
    store = open_store(s3_store.url)
    for path in sorted(local.rglob("*")):
        if path.is_file():
            store.upload(path, str(path.relative_to(local)))
    store.write("run/checkpoints/00000001/data", b"not needed")
    return store


# Flags that name files or folders and have no role in `storage_flags`.
NO_ROLE = {
    "labels": "prepare_data takes the URL",
    "moment": "FILE is a video in the index",
    "repaired": "verify_data takes the URL",
    "shard": "no path",
}


def _calls(tree):
    """Yields each call's function name, its constant arguments and its keywords' lists."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            constants = [one.value for one in node.args if isinstance(one, ast.Constant)]
            lists = {
                word.arg: [getattr(item, "value", "") for item in word.value.elts]
                for word in node.keywords
                if isinstance(word.value, ast.List)
            }
            yield name, [one for one in constants if isinstance(one, str)], lists


def test_every_flag_of_a_path_says_how_it_takes_urls():
    roles, flags = collections.defaultdict(set), []
    for path in (running.ROOT / "mmv_tf").rglob("*.py"):
        for name, texts, lists in _calls(ast.parse(path.read_text())):
            if name == "storage_flags":
                for kind, flag in [(k, one) for k, named in lists.items() for one in named]:
                    roles[flag].add(kind)
                    roles[path, flag].add(kind)
            elif re.fullmatch(r"DEFINE_(multi_)?(string|list)", name) and len(texts) > 1:
                flags.append((path, *texts[:2]))
    assert len(flags) > 80
    for path, flag, described in flags:
        if re.search(r"\b(file|folder)s?\b", described[:40].lower()):
            assert roles[flag] or flag in NO_ROLE, f"{path.stem} --{flag}: {described}"
        if described.startswith("Folder"):
            assert roles[path, flag] != {"outputs"}, f"{path.stem} --{flag}: not a file"


def test_a_released_file_and_its_words_in_a_store(s3_store, tmp_path):
    store, words = open_store(s3_store.url), np.array(mil_nce_checkpoints.WORDS)
    file = mil_nce_checkpoints.write(tmp_path / "s3d.pth", mil_nce_checkpoints.small_state())
    np.save(tmp_path / "words.npy", words)
    store.upload(file, "alone/s3d.pth")
    store.upload(file, "both/s3d.pth")
    store.upload(tmp_path / "words.npy", "words.npy")
    store.upload(tmp_path / "words.npy", "both/s3d_dict.npy")
    assert open_weights(f"{s3_store.url}/alone/s3d.pth").tokenizer is None
    for name, vocabulary in (("alone", f"{s3_store.url}/words.npy"), ("both", None)):
        model = open_weights(f"{s3_store.url}/{name}/s3d.pth", vocabulary)
        assert model.tokenizer(["Open the door"]).numpy()[0, :4].tolist() == [1, 5, 3, 0]


@pytest.mark.slow
def test_a_download_fetches_nothing_else(s3_store, monkeypatch):
    open_store(s3_store.url).write("films/another.mp4", b"much")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    done = _run("download", "film", f"--output={s3_store.url}/films")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"{s3_store.url}/films" in done.stderr or "package index" in done.stderr
    assert not list(s3_store.cache.rglob("another.mp4"))
    assert list(open_store(s3_store.url).list()) == ["films/another.mp4"]


@pytest.mark.slow
def test_evaluate_keeps_features_in_the_store(local, uploaded, s3_store, tmp_path):
    data = small_benchmarks.hmdb51(tmp_path / "hmdb")
    for path in data.rglob("*.*"):
        if path.is_file():
            uploaded.upload(path, f"hmdb/{path.relative_to(data)}")
    url = s3_store.url
    views = [
        f"--protocol.{views}.{one}"
        for views in ("train_views", "test_views")
        for one in ("num_frames=4", "size=32", "short_side=36", "windows=2")
    ]
    arguments = ["evaluate", "--protocol=hmdb51_linear", f"--model={url}/run",
                 f"--data={url}/hmdb", f"--output={url}/made/a.json", *views]  # fmt: skip
    first = _run(*arguments)
    assert first.returncode == 0, first.stderr
    names = list(uploaded.list())
    assert {"made/a.json", "made/a.items.npz"} <= set(names)
    assert any(re.fullmatch(r"made/features/.*/sums\.json", name) for name in names)
    results, items = uploaded.read("made/a.json"), uploaded.read("made/a.items.npz")
    s3_store.fresh_machine()
    again = _run(*arguments)
    assert again.returncode == 0, again.stderr
    # The features were there, so that no film was fetched.
    folder = media.outline(f"{url}/hmdb", is_media)
    assert all(is_placeholder(path) for path in folder.rglob("*.avi"))
    assert uploaded.read("made/a.items.npz") == items
    assert uploaded.read("made/a.json") == results


def _run(*arguments):
    done = running.run(*arguments, timeout=300)
    assert SECRET not in done.stdout + done.stderr
    return done


def _features(folder):
    parts = [np.load(part) for part in sorted(folder.glob("part-*.npz"))]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0].files}


@pytest.mark.slow
def test_embed(local, uploaded, s3_store, tmp_path):
    arguments = ["--names=va", "--num_frames=4", "--frame_rate=4", "--size=32"]
    here = _run("embed", f"--model={local}/run", f"--videos={local}/videos",
                f"--output={tmp_path}/out", *arguments)  # fmt: skip
    assert here.returncode == 0, here.stderr
    url = s3_store.url
    with s3_store.faulty(at_random(3, 0.2, ["500", "cut", "lost"])):
        there = _run("embed", f"--model={url}/run", f"--videos={url}/videos",
                     f"--output={url}/out", *arguments)  # fmt: skip
    assert there.returncode == 0, there.stderr
    assert there.stderr.splitlines()[-1].startswith("storage: ")
    assert f"{url}/out has the va features of 3 items." in there.stdout
    assert not (s3_store.cache / "s3" / uploaded.root.bucket / "run" / "checkpoints").exists()
    s3_store.fresh_machine()
    features = _features(mirror.fetch_folder(f"{url}/out"))
    for name, values in _features(tmp_path / "out").items():
        if name != "version":
            np.testing.assert_array_equal(features[name], values, err_msg=name)
    again = _run("embed", f"--model={url}/run", f"--videos={url}/videos", f"--output={url}/out",
                 *arguments)  # fmt: skip
    assert again.returncode == 0, again.stderr
    # All is there already, so that no film was fetched.
    folder = media.outline(f"{url}/videos", is_media)
    assert all(is_placeholder(path) for path in folder.iterdir())


@pytest.mark.slow
def test_search(uploaded, s3_store):
    url = s3_store.url
    done = _run("search", "index", f"--videos={url}/videos", f"--model={url}/run",
                f"--index={url}/index", "--processes=0", *SETTINGS)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"--index={url}/index" in done.stdout
    (name,) = [name for name in uploaded.list() if "/manifest-" in name]
    manifest = uploaded.read(name).decode()
    assert f'"{url}/videos"' in manifest and f'"{url}/run"' in manifest
    assert str(s3_store.cache) not in manifest and SECRET not in manifest
    assert not [name for name in uploaded.list() if "lock" in name or ".claims" in name]
    s3_store.fresh_machine()
    found = _run("search", "query", f"--index={url}/index", f"--video={url}/videos/1.mp4",
                 "--json")  # fmt: skip
    assert found.returncode == 0, found.stderr
    moments = {one["file"]: one for one in json.loads(found.stdout)["moments"]}
    assert sorted(moments) == ["0.mp4", "1.mp4", "2.mp4"]
    moment = moments["1.mp4"]
    cut = _run("search", "cut", f"--index={url}/index", f"--moment={moment['id']}",
               f"--output={url}/cut.mp4")  # fmt: skip
    assert cut.returncode == 0, cut.stderr
    assert uploaded.stat("cut.mp4").size > 500


@pytest.mark.slow
def test_deflate_export_and_serve_the_bytes_of_local_programs(local, uploaded, s3_store, tmp_path):
    url = s3_store.url
    done = _run("deflate", f"--model={url}/run", f"--images={url}/images", "--num_images=10",
                "--epochs=1", f"--output={url}/made/image.keras")  # fmt: skip
    assert done.returncode == 0 or "images" in done.stderr, done.stderr
    done = _run("export", f"--model={url}/run", f"--image_model={url}/image.keras",
                f"--output={url}/saved")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{url}/saved" in done.stdout
    assert "saved/saved_model.pb" in uploaded.list()
    refused = _run("export", f"--model={url}/run", f"--output={url}/saved")
    assert refused.returncode == 1 and "--overwrite" in refused.stderr
    s3_store.fresh_machine()
    embedded = _run("embed", f"--model={url}/saved", f"--images={url}/images", "--names=vat",
                    f"--output={tmp_path}/out")  # fmt: skip
    assert embedded.returncode == 0, embedded.stderr
    assert len(_features(tmp_path / "out")["id"]) == 3


@pytest.mark.slow
def test_classify(uploaded, s3_store):
    url, rows = s3_store.url, ["path,label"]
    for number in range(12):
        path = pathlib.Path(s3_store.cache.parent, f"{number}.png")
        small_benchmarks.image(path, number % 2, number)
        uploaded.upload(path, f"listed/{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]}")
    uploaded.write("listed/list.csv", "\n".join(rows).encode())
    done = _run("classify", "fit", f"--list={url}/listed/list.csv", f"--model={url}/run",
                f"--image_model={url}/image.keras", "--folds=2",
                f"--output={url}/made/shapes.keras")  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = [name for name in uploaded.list() if name.startswith("made/")]
    assert {"made/shapes.html", "made/shapes.json", "made/shapes.keras"} <= set(names)
    s3_store.fresh_machine()
    done = _run("classify", "predict", f"--classifier={url}/made/shapes.keras",
                f"--data={url}/listed", f"--output={url}/made/scores.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = json.loads(uploaded.read("made/scores.json"))
    assert scores["counts"]["read"] == 12
