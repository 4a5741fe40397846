# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/security.md: every line of its tables is shown to be true."""

from __future__ import annotations

import json
import pathlib
import pickle
import re
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import load_encoder, load_model, pretrained
from mmv_tf.data import Input, captions, images, media, preparation
from mmv_tf.pretrained.word_lists import read_words
from mmv_tf.search import approximate
from mmv_tf.search.edit_lists import FORMATS, Entry, Film, list_bytes
from mmv_tf.search.page_settings import PageSettings
from mmv_tf.serving.settings import ServerSettings
from mmv_tf.training import workers
from mmv_tf.util import addresses
from tests import records, running, stored_clips
from tests.documentation import pages

_PAGE = pages.ROOT / "docs" / "security.md"


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.fixture
def touched(tmp_path):
    """Path of a file that appears when code of an input runs."""
    return tmp_path / "touched"


def inputs(section: str) -> list[str]:
    """First cells of the table of a section."""
    text = _PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    return [row for row in re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE) if row != "input"]


def video_and_audio(folder: pathlib.Path, touched: pathlib.Path) -> None:
    secret = folder / "secret.ts"
    secret.write_bytes(b"G" * 188)
    for text in (
        f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret}\n",
    ):
        (folder / "film.mp4").write_text(text)
        with pytest.raises(media.MediaError, match=r"film\.mp4"):
            media.probe(folder / "film.mp4", "video")


def images_(folder: pathlib.Path, touched: pathlib.Path) -> None:
    # Ghostscript would write the file.
    program = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n({touched}) (w) file closefile\n"
    (folder / "photo.jpg").write_text(program)
    with pytest.raises(media.MediaError, match=r"photo\.jpg"):
        images.image_pixels(folder / "photo.jpg", 8)


def captions_(folder: pathlib.Path, touched: pathlib.Path) -> None:
    for number, text in enumerate(("[" * 100_000, '{"events": [{"tStartMs": 1e999}]}', "\0" * 99)):
        path = folder / f"{number}.json3"
        path.write_text(text)
        with pytest.raises(ValueError, match=path.name):
            captions.read_captions(path)


def lists_of_clips(folder: pathlib.Path, touched: pathlib.Path) -> None:
    (folder / "secret").write_text("root:x:0:0\n")
    for row in ("../secret,", "../secret,../secret"):
        (folder / "lists").mkdir(exist_ok=True)
        (folder / "lists" / "clips.csv").write_text(f"path,captions\n{row}\n")
        (source,) = preparation.read_listing(folder / "lists" / "clips.csv")
        with pytest.raises(media.MediaError, match="secret"):
            media.probe(source.path, "video")
        if source.captions:
            with pytest.raises(ValueError, match="secret"):
                captions.read_captions(source.captions)


def word_lists_and_word_vectors(folder: pathlib.Path, touched: pathlib.Path) -> None:
    np.save(folder / "words.npy", np.array([Touch(touched)], object), allow_pickle=True)
    for read in (read_words, pretrained.load_word_vectors):
        with pytest.raises(ValueError, match=r"words\."):
            read(folder / "words.npy")


def released_pickles_and_pth_files(folder: pathlib.Path, touched: pathlib.Path) -> None:
    (folder / "a.pkl").write_bytes(pickle.dumps({"params": Touch(touched)}))
    with zipfile.ZipFile(folder / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"conv1.weight": Touch(touched)}))
        archive.writestr("a/version", "3\n")
    for name in ("a.pkl", "a.pth"):
        with pytest.raises(ValueError, match=name):
            load_encoder(folder / name)


def keras_files(folder: pathlib.Path, touched: pathlib.Path) -> None:
    inputs = keras.Input([1])
    code = f"__import__('pathlib').Path({str(touched)!r}).touch()"
    outputs = keras.layers.Lambda(eval(f"lambda x: x if {code} is None else x"))(inputs)
    keras.Model(inputs, outputs).save(folder / "lambda.keras")
    touched.unlink(missing_ok=True)  # Building it ran it.
    with zipfile.ZipFile(folder / "call.keras", "w") as archive:
        config = {"args": [str(touched)], "name": "touch"}
        call = {"module": "os", "class_name": "mkdir", "config": config, "registered_name": None}
        archive.writestr("config.json", json.dumps(call))
        archive.writestr("metadata.json", json.dumps({"keras_version": keras.__version__}))
        archive.writestr("model.weights.h5", b"")
    for name in ("lambda.keras", "call.keras"):
        with pytest.raises(ValueError, match=name):
            load_model(folder / name)


def training_runs(folder: pathlib.Path, touched: pathlib.Path) -> None:
    keras_files(folder, touched)
    run = folder / "run"
    run.mkdir()
    (run / "config.json").write_text(f"__import__('pathlib').Path({str(touched)!r}).touch()")
    (folder / "lambda.keras").rename(run / "model.keras")
    with pytest.raises(ValueError, match=r"model\.keras"):
        load_encoder(run)


def shards_and_manifests(folder: pathlib.Path, touched: pathlib.Path) -> None:
    data = records.write(folder / "data")
    data.path(0).rename(folder / "elsewhere")
    text = (folder / "data" / "manifest.json").read_text()
    manifest = text.replace(f'"{data.path(0).name}"', '"../elsewhere"')
    assert manifest != text
    (folder / "data" / "manifest.json").write_text(manifest)
    with pytest.raises(ValueError, match=r"manifest\.json.*elsewhere"):
        Input(data.config())
    clips = stored_clips.write(folder / "clips", (2,))

    def state_endless_samples(example: tf.train.SequenceExample) -> None:
        media = example.context.feature["clip/encoded_media_bytes"].bytes_list.value
        place = media[0].index(b"stsz") + 8
        media[0] = media[0][:place] + b"\0\0\0\1\x7f\xff\xff\xff" + media[0][place + 8 :]

    clips.change(0, 1, state_endless_samples)
    with pytest.raises(ValueError, match="2147483647 samples"):
        Input(clips.config()).evaluate()


def requests_to_a_server(folder: pathlib.Path, touched: pathlib.Path) -> None:
    # The limits themselves have tests beside the servers'.
    assert ServerSettings(folder).is_loopback
    with pytest.raises(ValueError, match="everybody"):
        PageSettings(host="0.0.0.0")
    assert addresses.is_loopback(PageSettings().host)


def names_and_captions_in_lists(folder: pathlib.Path, touched: pathlib.Path) -> None:
    # More such texts are in tests/search/edit_lists/writing_test.py.
    evil = f"=cmd|' /C touch {touched}'!A0\n* FROM CLIP NAME: x </note>"
    film = Film(evil, "a.mp4", 9.0, 25.0)
    entry = Entry("k", film, 1.0, 2.0, [captions.Caption(1.0, 2.0, evil)])
    lists = {format: list_bytes(format, evil, [entry]).decode() for format in FORMATS}
    assert '"=' not in lists["csv"] and "\"'=cmd" in lists["csv"]
    assert "</note>" not in lists["fcpxml"].replace("</note>\n", "")
    assert not [line for line in lists["edl"].splitlines() if line == "* FROM CLIP NAME: x </note>"]


def config_files(folder: pathlib.Path, touched: pathlib.Path) -> None:
    code = f"import pathlib\n\npathlib.Path({str(touched)!r}).touch()\n"
    (folder / "config.py").write_text(code)
    running.run_forked("train", f"--config={folder / 'config.py'}", f"--output={folder / 'run'}")
    assert touched.exists()


def savedmodels_and_tf_hub_modules(folder: pathlib.Path, touched: pathlib.Path) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def text(self, sentences):
            tf.io.write_file(str(touched), "")
            return {"vat": tf.strings.to_hash_bucket_fast(sentences, 9)[:, None] * [1, 2]}

    module = Module()
    tf.saved_model.save(module, str(folder / "module"), signatures={"text": module.text})
    load_encoder(folder / "module").embed_text(["hello"], allow_unknown=True)
    assert touched.exists()


def search_indexes(folder: pathlib.Path, touched: pathlib.Path) -> None:
    assert "faiss.read_index(" in pathlib.Path(approximate.__file__).read_text(encoding="utf-8")


def other_workers(folder: pathlib.Path, touched: pathlib.Path) -> None:
    assert tf.data.experimental.service.DispatcherConfig().protocol == "grpc"  # not "grpc+tls"


def environment_variables(folder: pathlib.Path, touched: pathlib.Path) -> None:
    cluster = {"cluster": {"worker": ["stranger:1"]}, "task": {"type": "worker", "index": 0}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CONFIG", json.dumps(cluster))
        assert workers.find_cluster().cluster_spec().as_dict()["worker"] == ["stranger:1"]


_SAFE = {
    "video and audio files": video_and_audio,
    "images": images_,
    "captions": captions_,
    "lists of clips": lists_of_clips,
    "word lists and word vectors": word_lists_and_word_vectors,
    "released pickles and .pth files": released_pickles_and_pth_files,
    ".keras files": keras_files,
    "training runs": training_runs,
    "shards and manifests": shards_and_manifests,
    "requests to a server": requests_to_a_server,
    "names and captions in lists": names_and_captions_in_lists,
}
_TRUSTED = {
    "config files": config_files,
    "SavedModels and TF-Hub modules": savedmodels_and_tf_hub_modules,
    "search indexes": search_indexes,
    "other workers": other_workers,
    "environment variables": environment_variables,
}


@pytest.mark.parametrize("name", _SAFE)
def test_an_input_of_a_stranger_runs_no_code(name, tmp_path, touched):
    _SAFE[name](tmp_path, touched)
    assert not touched.exists()


@pytest.mark.parametrize("name", _TRUSTED)
def test_an_input_that_is_trusted_can_do_harm(name, tmp_path, touched):
    _TRUSTED[name](tmp_path, touched)


def test_every_line_of_the_page_has_its_test():
    assert inputs("Inputs that may be untrusted") == list(_SAFE)
    assert inputs("Inputs that must be trusted") == list(_TRUSTED)
