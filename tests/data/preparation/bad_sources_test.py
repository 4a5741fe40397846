# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Bad sources of every kind: each is a row of the report, not a hang or a silent loss."""

import shutil

import av
import numpy as np
import pytest
from PIL import Image

from mmv_tf.data import Reader, default_config, preparation
from mmv_tf.data.integrity import verification
from mmv_tf.data.preparation import cutting
from mmv_tf.layers import LogMel
from tests import media_samples
from tests.data.preparation.samples import prepare_sources

CUES = [(0.2, 0.7, "one"), (0.8, 1.3, "two")]
SETTINGS = preparation.Settings(
    frame_rate=5.0, short_side=16, sample_rate=8_000, min_clip_seconds=0.4, num_shards=1
)


def no_frames(path):
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def png(path):
    Image.new("RGB", (64, 48)).save(path, "PNG")


def wide_png(path):
    Image.new("RGB", (640, 8)).save(path, "PNG")


def film(**kwargs):
    return lambda path: media_samples.write_film(path, 1.5, **{"tone_start": 0.1, **kwargs})


def cut_off(path):
    media_samples.write_film(path, 1.5)
    path.write_bytes(path.read_bytes()[:3_000])


# File name: (how it is made, status, part of the reason).
VIDEOS = {
    "fine.mp4": (film(), "ok", ""),
    "path with spaces é 日本.mp4": (film(), "ok", ""),
    "colon: in.mp4": (film(), "ok", ""),
    "variable.mkv": (film(frame_times=[0.0, 0.1, 0.9, 0.95, 1.4]), "ok", ""),
    "rotated.mp4": (film(rotation=90), "ok", ""),
    "one pixel.mkv": (film(size=(1, 1), codec="ffv1"), "ok", ""),
    "late.ts": (film(offset=5.0), "ok", ""),
    "no audio.mp4": (film(audio=None), "no audio", "no audio stream"),
    "silent.mp4": (film(audio="silence"), "silent", "only silence"),
    "one sample.mp4": (film(sound_seconds=1 / 44_100), "silent", "only silence"),
    "short.mp4": (
        lambda path: media_samples.write_film(path, 0.2),
        "too short",
        "no clip fits into its 0.",
    ),
    "no frames.mkv": (no_frames, "corrupt", "no frames.mkv: "),
    "empty.mp4": (lambda path: path.touch(), "corrupt", "can't be decoded"),
    "text.mp4": (lambda path: path.write_text("no film"), "corrupt", "can't be decoded"),
    "cut off.mp4": (cut_off, "corrupt", "can't be decoded"),
    "picture.mp4": (png, "corrupt", "picture.mp4: "),
    "folder.mp4": (lambda path: path.mkdir(), "corrupt", "is a folder"),
    "gone.mp4": (lambda path: path.symlink_to("nowhere"), "missing", "no such file"),
    "sound.mp4": (
        lambda path: media_samples.write_wav(path, np.ones(8_000)),
        "corrupt",
        "no video stream",
    ),
    "stripe.mkv": (film(size=(640, 8), codec="ffv1"), "corrupt", "aspect ratio of at most 16"),
}
CAPTIONS = {
    "out of order": ("ok", "", 2, [(0.8, 1.3, "two"), (0.2, 0.7, "one")]),
    "past the end": ("ok", "", 1, [(0.2, 0.7, "one"), (7.0, 8.0, "late")]),
    "over the end": ("ok", "", 1, [(1.0, 9.0, "long")]),
    "all past the end": ("too short", "no clip fits", 0, [(7.0, 8.0, "late")]),
    "negative": ("no captions", "line 3: got", 0, "WEBVTT\n\n-00:01.000 --> 00:02.000\nx\n"),
    "odd": ("ok", "", 1, [(0.2, 0.7, "one"), (0.9, 0.9, "x")]),
    "reversed": ("no captions", "ends at 1 s but", 0, [(2.0, 1.0, "x")]),
    "ten megabytes": ("no captions", "characters", 0, [(0.1, 1.0, "x" * 10_000_000)]),
    "endless": ("no captions", "at most 67108864 are read", 0, None),
    "none": ("no captions", "no captions to cut by", 0, False),
    "bytes": ("no captions", "is not UTF-8", 0, b"WEBVTT\n\n00:01.000 --> 00:02.000\n\xff\n"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    for name, (make, *_) in VIDEOS.items():
        make(path / name)
        media_samples.write_vtt((path / name).with_suffix(".vtt"), CUES)
    for name, (*_, cues) in CAPTIONS.items():
        shutil.copy(path / "fine.mp4", path / f"captions {name}.mp4")
        beside = path / f"captions {name}.vtt"
        if isinstance(cues, list):
            media_samples.write_vtt(beside, cues)
        elif isinstance(cues, str | bytes):
            beside.write_bytes(cues if isinstance(cues, bytes) else cues.encode())
        elif cues is None:
            with open(beside, "wb") as file:
                file.truncate((64 << 20) + 1)
    return path


@pytest.fixture(scope="module")
def manifest(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        from mmv_tf.util import worker_pool
        from tests.data.preparation.conftest import run_here

        patch.setattr(worker_pool.WorkerPool, "run", run_here)
        sources = preparation.find_sources(folder)
        return preparation.prepare(
            sources, tmp_path_factory.mktemp("data"), SETTINGS, deadline_seconds=20.0
        )[0]


@pytest.mark.parametrize("name", VIDEOS)
def test_video(manifest, name):
    _, status, reason = VIDEOS[name]
    row = next(row for row in manifest["sources"] if row["media_id"] == name.rpartition(".")[0])
    assert row["status"] == status, row
    assert reason in row["reason"]
    assert "\n" not in row["reason"]
    gives_clips = status in ("ok", "no audio", "silent")
    assert row["clips"] == (2 if gives_clips else 0)


@pytest.mark.parametrize("name", CAPTIONS)
def test_captions(manifest, name):
    status, reason, clips, _ = CAPTIONS[name]
    row = next(row for row in manifest["sources"] if row["media_id"] == f"captions {name}")
    assert (row["status"], row["clips"]) == (status, clips), row
    assert reason in row["reason"]
    assert len(row["reason"]) < 500


def test_nothing_is_lost(manifest, folder):
    clips = sum(row["clips"] for row in manifest["sources"])
    assert clips == sum(split["num_examples"] for split in manifest["splits"].values())
    assert len(manifest["sources"]) == len(VIDEOS) + len(CAPTIONS)
    assert manifest["dropped"]["captions_past_the_end"] == 3


def test_damage_inside_a_film_costs_the_pieces_that_it_is_in(tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(cutting, "_UNIT_SECONDS", 2.0)
    for name in ("a", "b"):
        media_samples.write_film(tmp_path / f"{name}.ts", 12.0, frame_rate=4, gop=4)
    path = tmp_path / "b.ts"
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : third + third // 10] = bytes(third // 10)
    path.write_bytes(content)
    sources = preparation.find_sources(tmp_path)
    manifest = prepare_sources(
        sources, tmp_path / "data", cut="window", window_seconds=2.0, frame_rate=2.0
    )
    whole, damaged = manifest["sources"]
    clips = damaged["clips"] + manifest["dropped"].get("clips_not_decoded", 0)
    # FFmpeg conceals some damage; the rest is reported.
    assert clips == whole["clips"]
    assert damaged["clips"] >= 3


@pytest.mark.parametrize(
    ("samples", "status"),
    [
        (np.zeros(8_000), "silent"),
        (np.full(1, 0.5), "too short"),
        (np.zeros(0), "too short"),
        (np.full(8_000, np.nan), "corrupt"),
        (np.full(8_000, 0.5), "ok"),
    ],
)
def test_sound(tmp_path, in_process, samples, status):
    media_samples.write_wav(tmp_path / "a.wav", samples)
    media_samples.write_wav(tmp_path / "fine.wav", np.full(8_000, 0.5))
    sources = preparation.find_sources(tmp_path, kind="sound")
    manifest = prepare_sources(sources, tmp_path / "data", cut="list", sample_rate=16_000)
    assert manifest["sources"][0]["status"] in (status, "corrupt" if not len(samples) else status)
    clips = 2 if status in ("ok", "silent") else 1
    assert manifest["splits"]["train"]["num_with_audio"] == clips
    assert manifest["splits"]["train"]["num_with_video"] == 0
    assert verification.verify(tmp_path / "data").clean


def test_sound_alone_is_read(tmp_path, in_process):
    media_samples.write_wav(tmp_path / "a.wav", np.full(8_000, 0.5))
    sources = preparation.find_sources(tmp_path, kind="sound")
    prepare_sources(sources, tmp_path / "data", cut="list", sample_rate=16_000)
    log_mel = LogMel(sample_rate=16_000, window=256, step=160, upper_hz=7_000.0)
    config = default_config()
    config.update(
        directory=str(tmp_path / "data"), num_frames=2, frame_rate=5.0, size=8, inspect="never"
    )
    (batch,) = Reader(config, None, log_mel).evaluate()
    assert batch["video"].shape == (1, 1, 2, 8, 8, 3)
    assert not batch["valid/video"].numpy().any() and batch["valid/audio"].numpy().all()
    assert np.ptp(batch["audio"].numpy()) > 0


def test_images(tmp_path, in_process):
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    Image.new("CMYK", (48, 64)).save(tmp_path / "b.jpg")
    Image.new("L", (1, 1)).save(tmp_path / "c.gif")
    wide_png(tmp_path / "d.png")
    (tmp_path / "e.jpg").write_text("no image")
    (tmp_path / "f.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    Image.new("1", (9_000, 9_000)).save(tmp_path / "g.png")
    manifest = prepare_sources(
        preparation.find_sources(tmp_path, kind="image"), tmp_path / "data", cut="list"
    )
    assert {row["media_id"]: row["status"] for row in manifest["sources"]} == {
        **dict.fromkeys("abc", "ok"),
        **dict.fromkeys("defg", "corrupt"),
    }
    reasons = {row["media_id"]: row["reason"] for row in manifest["sources"]}
    assert "aspect ratio of at most 16" in reasons["d"]
    assert "no image" in reasons["e"]
    assert "9000 x 9000 pixels" in reasons["g"]
    assert manifest["splits"]["train"]["num_with_video"] == 3
    assert verification.verify(tmp_path / "data").clean


def test_listed_files_that_are_missing_are_rows(tmp_path, in_process):
    media_samples.write_film(tmp_path / "a.mp4", 0.5, tone_start=0.1)
    (tmp_path / "list.csv").write_text("path,label\na.mp4,x\nnone.mp4,y\n")
    sources = preparation.read_listing(tmp_path / "list.csv")
    manifest = prepare_sources(sources, tmp_path / "data", cut="list")
    assert [row["status"] for row in manifest["sources"]] == ["ok", "missing"]
    assert manifest["labels"] == ["x"]
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(ValueError, match="None of the 2 sources yields a clip"):
        prepare_sources(sources, tmp_path / "other", cut="list")
