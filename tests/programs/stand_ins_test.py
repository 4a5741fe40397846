# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the published models, through the programs as users start them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import urllib.request

import keras
import numpy as np
import pytest
from PIL import Image

from benchmarks.server_process import ServerProcess
from mmv_tf import publishing
from mmv_tf.data import media
from mmv_tf.deflation import load_image_model
from mmv_tf.inference import load_encoder, similarity, unit
from mmv_tf.inference.reading import span_clips
from tests import modules, running, small_world
from tests.evaluation import small_benchmarks
from tests.pretrained import checkpoints, mil_nce_checkpoints
from tests.programs.program import Program

SENTENCES = ["a red square", "the grey circle falls"]
SETTINGS = {"num_frames": 4, "frame_rate": 5.0, "size": 32}
VIEWS = [
    f"--protocol.test_views.{setting}"
    for setting in ("num_frames=4", "frame_rate=5.0", "short_side=36", "size=32", "windows=2")
]


@dataclasses.dataclass(frozen=True)
class StandIn:
    """A network in the place of published ones, and how a program opens it.

    Attributes:
      model: its path.
      space: of sentences and clips.
      vocabulary: the file of its words, if it lacks them.
      settings: those that are given by hand.
    """

    model: pathlib.Path
    space: str
    vocabulary: pathlib.Path | None = None
    settings: dict[str, float] = dataclasses.field(default_factory=dict)

    def flags(self, settings=True):
        found = [f"--model={self.model}"]
        if self.vocabulary is not None:
            found.append(f"--vocabulary={self.vocabulary}")
        given = self.settings if settings else {}
        return found + [f"--settings.{name}={value}" for name, value in given.items()]

    def load(self, **options):
        if self.vocabulary is not None:
            options["vocabulary"] = self.vocabulary
        return load_encoder(self.model, settings=self.settings, **options)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of stand-ins, films, lists and sentences."""
    root = tmp_path_factory.mktemp("stand_ins")
    small_benchmarks.msrvtt(root / "msrvtt")
    small_benchmarks.youcook2(root / "youcook2")
    for number in range(3):
        small_benchmarks.image(root / "images" / f"{number}.png", number, number)
    (root / "lines.txt").write_text("\n".join(SENTENCES) + "\n")
    return root


@pytest.fixture(scope="module")
def stand_in(root):
    """Makes stand-ins by their kinds, each once."""
    made = {}

    def get(kind):
        if kind not in made:
            keras.utils.set_random_seed(0)
            folder = root / kind
            folder.mkdir()
            made[kind] = {
                "pickle": pickle, "torch": torch, "module": module, "export": export
            }[kind](folder)  # fmt: skip
        return made[kind]

    return get


def pickle(folder):
    checkpoints.write(folder / "mmv.pkl", checkpoints.tiny_tree("s3d"))
    words = folder / "words.txt"
    words.write_text("\n".join(["<pad>", *small_world.WORDS]) + "\n")
    return StandIn(folder / "mmv.pkl", "vat", words, SETTINGS)


def torch(folder):
    path = mil_nce_checkpoints.write(folder / "s3d.pth", mil_nce_checkpoints.small_state())
    count = len(mil_nce_checkpoints.WORDS)
    words = folder / "words.txt"
    words.write_text("\n".join([*small_world.WORDS, *mil_nce_checkpoints.WORDS][:count]) + "\n")
    return StandIn(path, "vt", words, SETTINGS)


def module(folder):
    path = modules.write_tf1(folder / "module")
    return StandIn(path, "vat", None, {**SETTINGS, "sample_rate": 8000})


def export(folder):
    publishing.export(small_world.tiny_model(), folder / "served", version=1)
    return StandIn(folder / "served", "vat")


KINDS = ["pickle", "torch", "module", "export"]


def run(name, *arguments):
    """A program, which has to end well."""
    done = running.run(name, *arguments, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_features(folder):
    with np.load(folder / "part-00000.npz") as part:
        return dict(part)


@pytest.fixture(scope="module")
def embed():
    program = Program("embed")
    yield program
    program.close()


@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=pytest.mark.slow) for one in ("pickle", "torch", "module")]
)
def test_sentences_are_embedded_by_published_networks(kind, stand_in, embed, root, tmp_path):
    network = stand_in(kind)
    done = embed(
        *network.flags(), f"--sentences={root / 'lines.txt'}", f"--names={network.space}",
        f"--output={tmp_path}",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    found = read_features(tmp_path)
    assert found["id"].tolist() == SENTENCES
    wanted = network.load().embed_text(SENTENCES)[network.space]
    np.testing.assert_allclose(found[network.space], wanted, rtol=1e-4, atol=1e-5)
    assert not np.allclose(wanted[0], wanted[1])


@pytest.mark.slow
def test_what_a_network_cannot_do_is_told_before_anything_is_embedded(
    stand_in, embed, root, tmp_path
):
    lines, films = root / "lines.txt", root / "msrvtt"
    for kind, arguments, message in (
        ("pickle", [f"--sentences={lines}"], "has no text input: it has a table of word vectors"),
        ("torch", [f"--audio={films}"], "accepts video, text, not audio"),
        ("module", [f"--audio={films}"], "does not specify sample_rate"),
        ("module", [f"--videos={films}"], "does not say how long its clips are"),
        ("module", [f"--sentences={lines}", "--dtype=bfloat16"], "leave dtype out"),
    ):
        done = embed(
            f"--model={stand_in(kind).model}", *arguments, "--names=vat", f"--output={tmp_path}"
        )
        assert done.status in (1, 2), (kind, arguments)
        assert message in done.stderr.splitlines()[-1]
        assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_found(kind, stand_in, root, tmp_path):
    network = stand_in(kind)
    index = f"--index={tmp_path / 'index'}"
    run("search", "index", f"--videos={root / 'msrvtt'}", *network.flags(), index)
    encoder = network.load()
    films = sorted((root / "msrvtt").glob("*.mp4"))
    # The index's windows, each read alone.
    cut = encoder.windows()
    clips, owners = [], []
    for film in films:
        for start in np.array(cut.starts(media.probe(str(film)).duration)) / cut.frame_rate:
            clip, _ = span_clips(str(film), cut, start, start + cut.seconds)
            clips += list(clip)
            owners.append(film.name)
    windows = encoder.embed_video(np.stack(clips))
    (best,) = json.loads(
        run("search", "query", index, f"--text={SENTENCES[1]}", "--json", "--limit=1")
    )["moments"]
    (cosines,) = similarity(encoder.embed_text(SENTENCES[1]), windows)
    of_best = cosines[np.array(owners) == best["file"]]
    # The index has float16.
    assert best["score"] == pytest.approx(cosines.max(), abs=2e-3)
    assert of_best.max() == pytest.approx(cosines.max(), abs=2e-3)
    assert 0 <= best["start"] < best["end"] <= 1.25
    # An image is compared with frames.
    ((_, pixels),) = media.iter_pixels_at(str(films[-1]), [0.5], 48, hold_seconds=0.1)
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    (best,) = json.loads(
        run("search", "query", index, f"--image={tmp_path / 'frame.png'}", "--json", "--limit=1")
    )["moments"]
    assert best["score"] > 0.95  # several of these films have such a frame


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_videos_are_embedded(kind, stand_in, root, tmp_path):
    network = stand_in(kind)
    run(
        *("embed", *network.flags(), f"--videos={root / 'msrvtt'}", f"--output={tmp_path}"),
        f"--names=before_head,{network.space}",
    )
    found = read_features(tmp_path)
    assert len(found["id"]) == len(list((root / "msrvtt").glob("*.mp4")))
    dims = network.load().network.dims("video")
    for name in ("before_head", network.space):
        assert found[name].shape == (len(found["id"]), dims[name])
        assert np.isfinite(found[name]).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", ["msrvtt", "youcook2"])
def test_retrieval_is_measured(kind, protocol, stand_in, root, tmp_path):
    network = stand_in(kind)
    output = tmp_path / "results.json"
    run(
        *("evaluate", f"--protocol={protocol}_retrieval", *network.flags(), *VIEWS),
        *(f"--data={root / protocol}", f"--output={output}"),
    )
    results = json.loads(output.read_text())
    encoder = network.load()
    assert results["model"]["sha256"] == encoder.fingerprint
    metrics = results["metrics"]["text -> video"]
    assert metrics["space"] == network.space
    items = {"msrvtt": 6, "youcook2": 5}[protocol]
    assert results["counts"]["scored"]["test"] == items
    assert 1 <= metrics["mean_rank"]["value"] <= items
    assert ("audio -> video" in results["metrics"]) == (kind != "torch")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dtype"), [("pickle", "mixed_bfloat16"), ("torch", None)])
def test_a_sentence_is_served(kind, dtype, stand_in, tmp_path):
    network = stand_in(kind)
    run(
        *("export", *network.flags(settings=False), f"--output={tmp_path}", "--version=1"),
        *([] if dtype is None else [f"--dtype={dtype}"]),
    )
    with ServerProcess(tmp_path) as server:
        body = json.dumps({"signature_name": "text", "inputs": SENTENCES}).encode()
        address = f"http://127.0.0.1:{server.rest}/v1/models/tiny:predict"
        with urllib.request.urlopen(address, data=body, timeout=60) as response:
            found = np.array(json.load(response)["outputs"], np.float32)
    wanted = network.load().embed_text(SENTENCES)[network.space]
    if dtype is None:
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    else:
        assert (unit(found) * unit(wanted)).sum(-1).min() >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dtype"), [("pickle", "float32"), ("torch", "mixed_bfloat16")])
def test_an_image_network_is_made(kind, dtype, stand_in, root, tmp_path):
    network = stand_in(kind)
    output = tmp_path / "image.keras"
    small_benchmarks.image_folder(tmp_path / "pictures")
    run(
        *("deflate", *network.flags(settings=False), f"--dtype={dtype}", f"--output={output}"),
        *(f"--images={tmp_path / 'pictures'}", "--num_images=10", "--epochs=1"),
        *("--size=32", "--num_frames=4"),
    )
    computes = {layer.compute_dtype for layer in load_image_model(output).network.layers}
    assert ("bfloat16" in computes) == (dtype == "mixed_bfloat16")
    pictures = sorted((root / "images").iterdir())
    found = network.load(image_model=output).embed_image(pictures)[network.space]
    wanted = network.load().embed_image(pictures)[network.space]
    assert (unit(found) * unit(wanted)).sum(-1).min() > 0.5


@pytest.mark.slow
def test_other_programs_say_what_they_need_in_one_line(stand_in, root, tmp_path):
    model = f"--model={stand_in('module').model}"
    videos, output = f"--videos={root / 'msrvtt'}", f"--output={tmp_path / 'o'}"
    data = f"--data={root / 'msrvtt'}"
    for arguments, message in (
        (["search", "index", model, videos, f"--index={tmp_path / 'i'}"], "does not specify num_"),
        (["export", model, output], "is a SavedModel, which can embed but not be changed"),
        (["deflate", model, f"{output}.keras", f"--images={root}"], "is a SavedModel"),
        (["evaluate", model, "--protocol=narrated_film", data, output], "is a SavedModel"),
        (["evaluate", model, "--protocol=ucf101_fine_tune", data, output], "a SavedModel can't be"),
        (
            ["evaluate", f"--model={stand_in('pickle').model}", "--protocol=msrvtt_retrieval", data,
             output], "has no text input",
        ),
        (["search", "index", "--model=mmv_s3x", videos, f"--index={tmp_path / 'i'}"], "did you"),
    ):  # fmt: skip
        done = running.run(*arguments)
        assert done.returncode in (1, 2), arguments
        assert message in done.stderr.splitlines()[-1], arguments
    assert list(tmp_path.iterdir()) == []
