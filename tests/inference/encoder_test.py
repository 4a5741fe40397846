# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The encoder against naive calls of the network, one window, sound or sentence at a time."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib

import keras
import ml_collections
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmv_tf import deflation
from mmv_tf.data import media
from mmv_tf.data.images import image_pixels
from mmv_tf.data.reading.augmentation import CROP_SHARE
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, GraphNetwork, ModuleNetwork, reading
from mmv_tf.pretrained import create_model
from tests import media_samples, modules, small_world

SENTENCES = ["a red square", "grey circle moves", "the circle falls down"]
CLIPS = np.random.default_rng(0).integers(0, 256, (5, 4, 32, 32, 3), np.uint8)
RATE = 48_000


@dataclasses.dataclass(frozen=True)
class World:
    """A tiny network, its deflated one, and films of 3, 0.3 and 1.2 seconds.

    `encoder` has the deflated network too, `video_only` has not.
    """

    model: EmbeddingGraph
    image_model: deflation.ImageEncoder
    films: list[pathlib.Path]
    folder: pathlib.Path

    encoder: Encoder
    video_only: Encoder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    films = [
        media_samples.write_film(folder / f"{seconds}.mp4", seconds=seconds, tone_start=0.1)
        for seconds in (3.0, 0.3, 1.2)
    ]
    media_samples.write_film(folder / "silent.mp4", seconds=1.0, audio=None)
    (folder / "text.mp4").write_text("no film")
    colors = np.random.default_rng(0).integers(0, 256, (3, 6, 9, 3), np.uint8)
    for number, pixels in enumerate(colors):
        Image.fromarray(pixels).resize((90, 60)).save(folder / f"{number}.png")
    image_model = deflation.deflate_naively(model)
    both, alone = GraphNetwork(model, image_model), GraphNetwork(model)
    return World(model, image_model, films, folder, Encoder(both), Encoder(alone))


@functools.cache
def wordless():
    return Encoder(GraphNetwork(create_model(small_world.model_config())))


@functools.cache
def without(modality):
    config = small_world.model_config()
    del config[modality]
    vectors = np.ones((len(small_world.WORDS), 6), np.float32)
    words = () if modality == "text" else (small_world.WORDS, vectors)
    return Encoder(GraphNetwork(create_model(config, *words)))


def one_by_one(model, modality, rows):
    """The model's own outputs of rows, each called alone."""
    found = [model({modality: np.asarray(row)[np.newaxis]})[modality] for row in rows]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def assert_same(found, wanted):
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=2e-5, err_msg=name)


def naive_starts(duration, most, step=0.4, seconds=0.8):
    """Windows of 4 frames at 5 a second, evenly spaced and half a window apart or more."""
    room = duration - seconds
    if room <= 0:
        return [0.0]
    count = min(most, 1 + math.floor(room / step))
    return [room / 2] if count == 1 else [index * room / (count - 1) for index in range(count)]


# Arrays.


def test_clips_are_embedded_as_the_network_does(world):
    scaled = CLIPS.astype(np.float32) / 255
    wanted = one_by_one(world.model, "video", scaled)
    assert_same(world.encoder.embed_video(CLIPS), wanted)
    assert_same(world.encoder.embed_video(scaled), wanted)
    assert_same(world.encoder.embed_video(scaled.astype(np.float64)), wanted)
    assert_same(world.encoder.embed_video(tf.constant(scaled)), wanted)


def test_sounds_are_embedded_as_the_network_does(world):
    waves = np.random.default_rng(1).uniform(-1, 1, (3, 20_000)).astype(np.float32)
    log_mel = world.model.log_mel(waves).numpy()
    wanted = one_by_one(world.model, "audio", log_mel)
    assert_same(world.encoder.embed_audio(waves), wanted)
    assert_same(world.encoder.embed_audio(log_mel), wanted)
    assert_same(world.encoder.embed_audio(log_mel[..., 0]), wanted)


def test_sentences_are_embedded_as_the_network_does(world):
    ids = world.model.tokenizer(SENTENCES).numpy()
    wanted = one_by_one(world.model, "text", ids)
    assert list(wanted) == ["before_head", "vat"]
    encoder = world.encoder
    for given in (
        SENTENCES,
        tuple(SENTENCES),
        np.array(SENTENCES),
        [s.encode() for s in SENTENCES],
    ):
        assert_same(encoder.embed_text(given), wanted)
    for given in (ids, ids.astype(np.int64), ids.tolist(), tf.constant(ids)):
        assert_same(encoder.embed_text(given), wanted)
    first = {name: values[:1] for name, values in wanted.items()}
    assert_same(encoder.embed_text(SENTENCES[0]), first)
    assert_same(encoder.embed_text(SENTENCES[0].encode()), first)


def test_images_are_embedded_by_the_deflated_network_or_as_clips_that_stand_still(world):
    images = CLIPS[:, 0].astype(np.float32) / 255
    outputs = {name: value.numpy() for name, value in world.image_model(images).items()}
    by_network, by_clip = world.encoder, world.video_only
    assert by_network.image_by == "deflated network"
    wanted = {name: outputs[name] for name in ("before_head", "va", "vat")}
    found = by_network.embed_image(CLIPS[:, 0])
    assert_same({name: found[name] for name in wanted}, wanted)
    assert by_clip.image_by == "static clip"
    wanted = one_by_one(world.model, "video", [np.stack([image] * 4) for image in images])
    assert_same(by_clip.embed_image(images), wanted)
    assert_same(by_clip.embed_image(CLIPS[:, 0]), wanted)
    assert wordless().image_by == "static clip"


# Files.


@pytest.mark.parametrize("most", [10, 3, 1])
def test_a_film_is_the_mean_of_its_windows(world, most):
    cut = world.encoder.windows()
    clips, owners, starts = [], [], []
    for index, film in enumerate(world.films):
        for start in naive_starts(media.probe(str(film)).duration, most):
            clip, _ = reading.span_clips(str(film), cut, start, start + cut.seconds)
            clips += list(clip[:1])
            owners.append(index)
            starts.append(start)
    rows = one_by_one(world.model, "video", np.stack(clips).astype(np.float32) / 255)
    owners = np.array(owners)
    means = {
        name: np.stack([values[owners == index].mean(0) for index in range(3)])
        for name, values in rows.items()
    }
    assert_same(world.encoder.embed_video(world.films, windows=most), means)
    found = world.encoder.embed_video(world.films, windows=most, per_window=True)
    assert found["item"].tolist() == owners.tolist()
    np.testing.assert_allclose(found["start"], starts, atol=1e-9)
    np.testing.assert_allclose(found["end"] - found["start"], 0.8)
    assert_same({name: found[name] for name in rows}, rows)


@pytest.mark.parametrize("most", [10, 2])
def test_a_sound_is_the_mean_of_its_windows(world, most):
    model = world.model
    waves, owners = [], []
    for index, film in enumerate(world.films):
        for start in naive_starts(media.probe(str(film), "sound").duration, most):
            waves.append(media.read_waveform(str(film), start, start + 0.8, RATE)[: RATE * 4 // 5])
            owners.append(index)
    rows = one_by_one(model, "audio", model.log_mel(np.stack(waves)).numpy())
    means = {
        name: np.stack([values[np.array(owners) == index].mean(0) for index in range(3)])
        for name, values in rows.items()
    }
    assert_same(world.encoder.embed_audio(world.films, windows=most), means)
    found = world.encoder.embed_audio(world.films, windows=most, per_window=True)
    assert found["item"].tolist() == owners
    assert_same({name: found[name] for name in rows}, rows)


def test_image_files_are_cut_as_frames_are(world):
    paths = [world.folder / f"{number}.png" for number in range(3)]
    side = round(32 / CROP_SHARE)
    edge = (side - 32) // 2
    pixels = []
    for path in paths:
        picture = image_pixels(str(path), side, False, "picture")
        left = (picture.shape[1] - 32) // 2
        pixels.append(picture[edge : edge + 32, left : left + 32])
    for encoder in (world.encoder, world.video_only):
        assert_same(encoder.embed_image(paths), encoder.embed_image(np.stack(pixels)))


def test_one_path_is_a_list_of_one(world):
    film, picture = world.films[0], world.folder / "0.png"
    encoder = world.encoder
    for one in (film, str(film)):
        assert_same(encoder.embed_video(one), encoder.embed_video([film]))
        assert_same(encoder.embed_audio(one), encoder.embed_audio([film]))
    assert_same(encoder.embed_image(str(picture)), encoder.embed_image([picture]))
    assert_same(encoder.embed_video(np.array([str(film)])), encoder.embed_video([film]))


def test_of_nothing_there_are_no_rows(world):
    sizes = {"before_head": 64, "va": 16, "vat": 8}
    for encoder in (world.encoder, world.video_only):
        for found in (
            encoder.embed_video([]),
            encoder.embed_video(CLIPS[:0]),
            encoder.embed_video(CLIPS[:0].astype(np.float32)),
            encoder.embed_image([]),
            encoder.embed_image(CLIPS[:0, 0]),
        ):
            assert {name: value.shape for name, value in found.items()} == {
                name: (0, size) for name, size in sizes.items()
            }
    for found in (
        world.encoder.embed_audio([]),
        world.encoder.embed_audio(np.zeros([0, 900], np.float32)),
        world.encoder.embed_audio(np.zeros([0, 9, 80], np.float32)),
    ):
        assert {name: value.shape for name, value in found.items()} == {
            "before_head": (0, 32), "va": (0, 16), "vat": (0, 8),
        }  # fmt: skip
    for found in (world.encoder.embed_text([]), wordless().embed_text(np.zeros([0, 3], int))):
        assert found["vat"].shape == (0, 8)
    found = world.encoder.embed_video([], per_window=True)
    assert [len(found[name]) for name in ("va", "item", "start", "end")] == [0, 0, 0, 0]


# Spaces.


@pytest.mark.parametrize(
    ("graph", "spaces", "common"),
    [
        (
            "fac",
            {"video": ("va", "vat"), "audio": ("va", "vat"), "text": ("vat",)},
            {"video audio": "va", "video text": "vat", "audio text": "vat"},
        ),
        (
            "shared",
            {"video": ("vat",), "audio": ("vat",), "text": ("vat",)},
            {"video audio": "vat", "video text": "vat", "audio text": "vat"},
        ),
        (
            "disjoint",
            {"video": ("va", "vt"), "audio": ("va",), "text": ("vt",)},
            {"video audio": "va", "video text": "vt", "audio text": None},
        ),
    ],
)
def test_spaces_of_each_graph(graph, spaces, common):
    config = small_world.model_config()
    sizes = {"fine_dim": 16, "coarse_dim": 8} if graph == "fac" else {"dim": 8}
    config.graph = ml_collections.ConfigDict({"name": graph, "hidden_dim": 16, **sizes})
    encoder = Encoder(GraphNetwork(create_model(config)))
    assert encoder.modalities == ("video", "audio", "text", "image")
    assert {name: encoder.spaces(name) for name in spaces} == spaces
    assert encoder.spaces("image") == spaces["video"]
    for pair, space in common.items():
        first, second = pair.split()
        for one, other in ((first, second), (second, first)):
            if space is not None:
                assert encoder.common_space(one, other) == space
                continue
            with pytest.raises(ValueError, match="share no space"):
                encoder.common_space(one, other)
    assert encoder.common_space("image", "text") == common["video text"]


def test_similarities_are_cosines_in_the_finest_space_that_both_have(world):
    encoder = world.encoder
    clips, texts = encoder.embed_video(CLIPS), encoder.embed_text(SENTENCES)
    sounds = encoder.embed_audio(np.random.default_rng(0).uniform(-1, 1, (2, 9000)))

    def cosines(first, second):
        return [
            [float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)) for b in second.astype(np.float64)]
            for a in first.astype(np.float64)
        ]

    for first, second, space in (
        (clips, texts, "vat"),
        (texts, clips, "vat"),
        (clips, sounds, "va"),
        (clips, clips, "va"),
    ):
        found = encoder.similarity(first, second)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, cosines(first[space], second[space]), atol=1e-6)
    zeros = {"vat": np.zeros([1, 8], np.float32)}
    np.testing.assert_array_equal(encoder.similarity(zeros, texts), np.zeros([1, 3]))


def test_what_shares_no_space_is_not_compared(world):
    rows = world.encoder.embed_video(world.films, per_window=True)
    assert world.encoder.similarity(rows, rows).shape == (len(rows["va"]),) * 2
    # Their items and times are no space.
    other = {"vt": rows["vat"], "item": rows["item"], "start": rows["start"]}
    with pytest.raises(ValueError, match="one has va, vat, the other vt"):
        world.encoder.similarity(rows, other)


# What is taken.


def test_accepted_are_media_and_sentences_that_can_be_turned_into_inputs(world, monkeypatch):
    assert world.encoder.accepts == ("video", "audio", "text", "image")
    assert wordless().modalities == ("video", "audio", "text", "image")
    assert wordless().accepts == ("video", "audio", "image")
    assert without("audio").accepts == ("video", "text", "image")
    monkeypatch.setattr(world.model, "log_mel", None)
    deaf = Encoder(GraphNetwork(world.model))
    assert deaf.accepts == ("video", "text", "image")
    assert deaf.embed_audio(np.zeros([1, 9, 80], np.float32))["va"].shape == (1, 16)
    images = Encoder(GraphNetwork(image_model=world.image_model))
    assert images.accepts == images.modalities == ("image",)
    assert images.embed_image([world.folder / "0.png"])["va"].shape == (1, 16)


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return modules.write_tf1(tmp_path_factory.mktemp("module") / "module")


def test_a_module_that_does_not_tell_its_settings_takes_arrays(module, world):
    encoder = Encoder(ModuleNetwork(module), "hub/module")
    assert encoder.accepts == ("video", "text", "image")
    colors = (CLIPS / 255).mean((1, 2, 3))
    wanted = colors @ modules.weights()["video_va"]
    np.testing.assert_allclose(encoder.embed_video(CLIPS)["va"], wanted, rtol=1e-4, atol=1e-5)
    assert encoder.embed_audio(np.zeros([2, 800], np.float32))["va"].shape == (2, 5)
    for embed, missing in (
        (lambda: encoder.embed_video(world.films), "num_frames, frame_rate, size,"),
        (lambda: encoder.embed_audio(world.films), "num_frames, frame_rate, sample_rate,"),
        (lambda: encoder.embed_image(CLIPS[:, 0]), "num_frames,"),
    ):
        with pytest.raises(
            ValueError, match=f"hub/module does not specify {missing} so .*; pass load"
        ):
            embed()
    told = {"num_frames": 4, "frame_rate": 5.0, "size": 16, "sample_rate": 8000}
    encoder = Encoder(ModuleNetwork(module, **told))
    assert encoder.accepts == encoder.modalities
    clips, starts = reading.span_clips(str(world.films[0]), encoder.windows(), most=10)
    assert clips.shape == (len(starts), 4, 16, 16, 3)
    wanted = (clips / 255).mean((0, 1, 2, 3)) @ modules.weights()["video_va"]
    found = encoder.embed_video(world.films[0])["va"][0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert encoder.embed_audio(world.films)["va"].shape == (3, 5)


def refused(call):
    """The one line of a ValueError."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


NAN = np.full((2, 4, 32, 32, 3), np.nan, np.float32)
LATE = np.zeros((20, 32, 32, 3), np.float32)
LATE[17, 3, 3, 1] = 200


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("video", CLIPS[0], r"has shape \(4, 32, 32, 3\); expected 5 dimensions"),
        ("video", CLIPS[..., :1], "expected no dimension of size 0, and a last dimension of 3"),
        ("video", CLIPS[:, :0], "expected no dimension of size 0"),
        ("video", CLIPS.astype(np.int64), "is int64; expected floats from 0 to 1, or uint8"),
        ("video", CLIPS.astype(np.float32), "Row 0 of the video .* finite values from 0 to 1"),
        ("video", NAN, "Row 0 of the video .* finite values from 0 to 1"),
        ("video", [CLIPS[0]], "Got ndarray among the paths; .* one array"),
        ("video", ["nothing.mp4"], "nothing.mp4: no such file"),
        ("image", LATE, "Row 17 of the image .* finite values from 0 to 1"),
        ("image", CLIPS[0, 0], "expected 4 dimensions"),
        ("image", ["nothing.png"], "nothing.png: no such file"),
        ("audio", np.zeros(900, np.float32), "expected 2 dimensions"),
        ("audio", np.zeros((1, 0), np.float32), "expected no dimension of size 0"),
        ("audio", np.zeros((1, 900), np.int16), "is int16 .* divide 16-bit samples by 32768"),
        ("audio", np.full((1, 900), 2.0), "values reach 2"),
        ("audio", np.full((1, 900), np.nan), "not finite"),
        ("audio", np.full((1, 9, 80), np.inf), "Row 0 of the log_mel .* finite values"),
        ("audio", np.zeros((1, 9, 80), int), "log_mel is int64; expected floats"),
        ("audio", np.zeros((1, 9, 80, 2)), "and a last dimension of 1"),
        ("audio", ["nothing.wav"], "nothing.wav: no such file"),
        ("text", ["red", "quo vadis"], "none of the words in 'quo vadis' .*; use other words"),
        ("text", ["quo", "red", ""], "'quo' .* 1 more of the 3 sentences; .* allow_unknown"),
        ("text", [None], "Got None instead of a sentence; expected a string"),
        ("text", [["red"]], "lists instead of sentences; expected strings, or word ids"),
        ("text", [[1, 2], [3]], "the same number in each row"),
        ("text", np.zeros((2, 3)), "lists instead of sentences"),
        ("text", [b"caf\xe9"], "is not UTF-8"),
        ("text", ["caf\udce9"], "is not UTF-8"),
        ("text", np.array([1, 2]), "expected 2 dimensions"),
        ("text", np.array([[1, 99]]), "range from 1 to 99; expected rows .* 0 to 13"),
        ("text", np.array([[-1, 2**40]]), "range from -1 to"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_in_one_line(world, method, given, message):
    for encoder in (world.encoder, world.video_only):
        call = getattr(encoder, f"embed_{method}")
        with pytest.raises(ValueError, match=message):
            call(given)
        refused(lambda call=call: call(given))


def test_files_of_another_kind_are_refused_in_one_line(world):
    encoder, folder = world.encoder, world.folder
    silent = refused(lambda: encoder.embed_audio([world.films[0], folder / "silent.mp4"]))
    assert "silent.mp4: no audio stream" in silent
    assert "can't be decoded" in refused(lambda: encoder.embed_video([folder / "text.mp4"]))
    assert "can't be decoded" in refused(lambda: encoder.embed_image([world.films[0]]))
    assert "windows is 0" in refused(lambda: encoder.embed_video(world.films, windows=0))
    assert "windows is -1" in refused(lambda: encoder.embed_audio(world.films, windows=-1))


def test_modalities_that_a_network_lacks_are_refused_in_one_line(world, monkeypatch):
    words = refused(lambda: wordless().embed_text(["red"]))
    assert "has a table of word vectors but not their words" in words and "--vocabulary" in words
    assert wordless().embed_text([[1, 2]])["vat"].shape == (1, 8)
    mute = without("text")
    assert "none for text; use a model" in refused(lambda: mute.embed_text(["red"]))
    assert "accepts video, audio, not text" in refused(lambda: mute.embed_text([[1, 2]]))
    assert "not smell" in refused(lambda: mute.spaces("smell"))
    deaf = without("audio")
    for sounds in (world.films, np.zeros([1, 900], np.float32), np.zeros([1, 9, 80], np.float32)):
        message = refused(lambda sounds=sounds: deaf.embed_audio(sounds))
        assert message.startswith("The model accepts video, text, not audio; use one")
    monkeypatch.setattr(world.model, "log_mel", None)
    message = refused(lambda: Encoder(GraphNetwork(world.model)).embed_audio(world.films))
    assert "no log-mel settings" in message and "pass log-mels" in message
    images = Encoder(GraphNetwork(image_model=world.image_model))
    assert "accepts image, not video" in refused(lambda: images.embed_video(world.films))
    assert "accepts image, not text" in refused(lambda: images.embed_text(["red"]))


def test_sentences_without_known_words_share_an_embedding_if_allowed(world):
    found = world.encoder.embed_text(["red", "quo vadis", ""], allow_unknown=True)["vat"]
    np.testing.assert_array_equal(found[1], found[2])
    assert not np.allclose(found[0], found[1])
