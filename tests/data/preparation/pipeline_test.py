# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import io
import os
import shutil
import types

import numpy as np
import pytest
from PIL import Image

from mmv_tf.data import preparation
from mmv_tf.data.preparation import decoding, pipeline, shards
from mmv_tf.data.records import keys, manifests, shard_writer
from mmv_tf.util import locks
from tests import media_samples
from tests.data.preparation.samples import CUES, SETTINGS, contents, prepare, records


def test_clips_of_captions(film, tmp_path, in_process):
    manifest, was_there = prepare(film, tmp_path, labels=film.with_name("labels.tsv"))
    assert not was_there
    assert manifest["labels"] == ["a", "b"]
    assert [(b["start"], b["end"], b["split"]) for b in manifest["blocks"]] == [
        (0.0, 1.5, "train"),
        (1.5, 3.0, "test"),
    ]
    counts = {name: split["num_examples"] for name, split in manifest["splits"].items()}
    assert counts == {"train": 2, "test": 2}
    assert manifest["sources"][0]["status"] == "ok"
    assert not any(manifest["dropped"].values())
    assert not (tmp_path / ".partial").exists()

    third, fourth = records(tmp_path, "test")
    context, lists = third.context.feature, third.feature_lists.feature_list
    assert context[keys.CLIP_START].int64_list.value == [1_600_000]
    assert context[keys.CLIP_END].int64_list.value == [2_300_000]
    assert context[keys.LABEL_INDEX].int64_list.value == [0]
    # Only those of its own block, although the window extends further.
    assert context[keys.CAPTION].bytes_list.value == [b"two", b"three"]
    shown = [
        media_samples.frame_number(step.bytes_list.value[0]) for step in lists[keys.FRAMES].feature
    ]
    assert shown == [int(24 * (1.6 + i / 10) + 1e-6) for i in range(7)]
    waveform = np.array(lists[keys.WAVEFORM].feature[0].float_list.value)
    assert len(waveform) == 5_600
    assert np.flatnonzero(np.abs(waveform) > 0.1)[0] == pytest.approx(3_200, abs=24)
    assert fourth.context.feature[keys.LABEL_INDEX].int64_list.value == [1]


def test_second_run_has_nothing_to_do(film, tmp_path, in_process, monkeypatch):
    prepare(film, tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(pipeline, "plan_clips", None)  # Any work would call it.
    assert prepare(film, tmp_path)[1]
    assert contents(tmp_path) == before


def test_lost_shard_is_made_again(film, tmp_path, in_process):
    prepare(film, tmp_path)
    before = contents(tmp_path)
    (tmp_path / "test-00000-of-00002.tfrecord").unlink()
    assert not prepare(film, tmp_path)[1]
    assert contents(tmp_path) == before


def test_other_settings_need_overwrite(film, tmp_path, in_process):
    prepare(film, tmp_path)
    other = dataclasses.replace(SETTINGS, num_shards=1, jpeg_quality=50)
    with pytest.raises(ValueError, match=r"jpeg_quality 90 instead of 50, num_shards 2 instead"):
        prepare(film, tmp_path, other)
    prepare(film, tmp_path, other, overwrite=True)
    assert [name for name in contents(tmp_path) if name.startswith("train")] == [
        "train-00000-of-00001.tfrecord"
    ]


def test_shards_of_unknown_origin_are_not_replaced(film, tmp_path, in_process):
    (tmp_path / "train-00000-of-00001.tfrecord").write_bytes(b"precious")
    with pytest.raises(ValueError, match="holds shards without a manifest"):
        prepare(film, tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="is a file"):
        prepare(film, tmp_path / "file")


class KilledError(BaseException):
    """Stand-in for a kill, which no `except Exception` catches."""


# Killed while decoding, while writing shards, between moving two of them, before the manifest.
@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [
        (decoding, "write_block", 1),
        (shards, "read_record", 2),
        (os, "replace", 12),
        (manifests, "write_manifest", 0),
    ],
)
def test_resumes_to_the_same_bytes(film, tmp_path, in_process, monkeypatch, owner, name, calls):
    prepare(film, tmp_path / "whole")
    original, count = getattr(owner, name), 0

    def killed(*args, **kwargs):
        nonlocal count
        count += 1
        if count > calls:
            raise KilledError
        return original(*args, **kwargs)

    output = tmp_path / "resumed"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        with pytest.raises(KilledError):
            prepare(film, output)
    assert not (output / "manifest.json").exists()
    kept = len(list(output.glob(".partial/*/blocks/*/*.block")))
    assert kept
    decoded = []
    with monkeypatch.context() as patch:
        write = decoding.write_block
        patch.setattr(decoding, "write_block", lambda *a: decoded.append(a) or write(*a))
        prepare(film, output)
    assert len(decoded) == 2 - kept
    assert contents(output) == contents(tmp_path / "whole")
    assert not (output / ".partial").exists()


def test_cut_off_block_file_is_decoded_again(film, tmp_path, in_process, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "publish", lambda *a: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            prepare(film, tmp_path / "data")
    block = sorted((tmp_path / "data").glob(".partial/*/blocks/*/*.block"))[0]
    block.write_bytes(block.read_bytes()[:-10])
    prepare(film, tmp_path / "data")
    prepare(film, tmp_path / "whole")
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("files", "place", "said"),
    [
        (".partial/*/blocks/*/*.block", 0.5, "1 of 2 decoded units are damaged"),  # a record
        (".partial/*/blocks/*/*.block", 0.999, "1 of 2 decoded units are damaged"),  # its index
        (".partial/*/shards/*.tfrecord", 0.5, "its SHA-256 differs from that of the written file"),
        (".partial/*/shards/*.json", 0.3, "its checksum is missing or does not match"),
        ("*.tfrecord", 0.5, "its SHA-256 differs from that of the written file"),
    ],
)
def test_damage_to_what_an_interrupted_run_left_is_told_and_mended(
    film, tmp_path, in_process, monkeypatch, caplog, files, place, said
):
    prepare(film, tmp_path / "whole")
    original, moved = os.replace, []

    def killed(source, target):
        moved.append(target)
        if len([t for t in moved if str(t).endswith(".tfrecord")]) > 6:
            raise KilledError
        original(source, target)

    output = tmp_path / "resumed"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KilledError):
            prepare(film, output)
    flip(min(output.glob(files)), place)
    prepare(film, output)
    assert caplog.text.count(said) == 1
    assert contents(output) == contents(tmp_path / "whole")


def test_a_record_damaged_while_the_run_goes_is_not_written(
    film, tmp_path, in_process, monkeypatch
):
    decode = pipeline.decode

    def damaging(plan, options, runner, known):
        outcomes = decode(plan, options, runner, known)
        flip(min(options.folder.path.glob("blocks/*/*.block")), 0.5)
        return outcomes

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "decode", damaging)
        with pytest.raises(ValueError, match=r"block: is damaged; rerun the same"):
            prepare(film, tmp_path / "data")
    prepare(film, tmp_path / "data")
    prepare(film, tmp_path / "whole")
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")


def test_folder_reports_each_source(film, tmp_path, in_process):
    videos = tmp_path / "videos"
    (videos / "deep").mkdir(parents=True)
    shutil.copy(film, videos / "a.mp4")
    shutil.copy(film.with_suffix(".vtt"), videos / "a.vtt")
    media_samples.write_film(videos / "deep" / "b.mp4", 3.0, audio=None)
    media_samples.write_vtt(videos / "deep" / "b.vtt", CUES)
    media_samples.write_film(videos / "c é.mkv", 3.0, audio="silence")
    (videos / "c é.json3").write_text(
        '{"events": [{"tStartMs": 0, "dDurationMs": 900, "segs": [{"utf8": "x"}]}]}'
    )
    shutil.copy(film, videos / "d.mp4")
    (videos / "e.mp4").write_bytes(film.read_bytes()[:5_000])
    shutil.copy(film, videos / "f.mp4")
    (videos / "f.srt").write_text("nonsense")
    media_samples.write_film(videos / "g.mp4", 0.25)
    media_samples.write_vtt(videos / "g.vtt", [(0.0, 0.2, "x")])
    (videos / "notes.txt").write_text("no video")

    manifest, _ = prepare(videos, tmp_path / "data")
    assert {row["media_id"]: row["status"] for row in manifest["sources"]} == {
        "a": "ok",
        "c é": "silent",
        "d": "no captions",
        "deep/b": "no audio",
        "e": "corrupt",
        "f": "no captions",
        "g": "too short",
    }
    reasons = {row["media_id"]: row["reason"] for row in manifest["sources"]}
    assert "line 1: got 'nonsense'" in reasons["f"]
    clips = {row["media_id"]: row["clips"] for row in manifest["sources"]}
    assert sum(clips.values()) == sum(s["num_examples"] for s in manifest["splits"].values())
    assert clips == {"a": 4, "c é": 1, "d": 0, "deep/b": 4, "e": 0, "f": 0, "g": 0}
    table = preparation.format_report(manifest)
    assert "deep/b  no audio" in table
    assert preparation.format_dropped(manifest["dropped"]) == "1 clips too short"
    assert len(table.splitlines()) == 1 + 7 + 2
    manifest["sources"][0]["left_out"] = {"captions_without_length": 2}
    assert "left out: 2 captions without length" in preparation.format_report(manifest)
    manifest["sources"][0]["media_id"] = "a\nb"
    assert "a\\nb" in preparation.format_report(manifest)


def test_too_little_space_is_seen_before_the_work(film, tmp_path, in_process, monkeypatch):
    usage = types.SimpleNamespace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"about 0.00 GB are needed, but only 0.00 GB are free"):
        prepare(film, tmp_path)
    assert not list(tmp_path.glob("*.tfrecord"))


def test_full_disk_is_one_clear_error(film, tmp_path, in_process, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard_writer, "write_shard", full)
    with pytest.raises(ValueError, match="the disk is full; free some space"):
        prepare(film, tmp_path)


def test_two_runs_do_not_share_a_folder(film, tmp_path, in_process):
    held = locks.held(tmp_path / ".partial" / "lock", tmp_path, "busy")
    with held, pytest.raises(ValueError, match="is preparing data there"):
        prepare(film, tmp_path)


def test_spectrograms_instead_of_samples(film, tmp_path, in_process):
    from mmv_tf.layers import LogMel

    arguments = (("sample_rate", 8_000), ("window", 512), ("step", 256), ("upper_hz", 3_800.0))
    settings = dataclasses.replace(SETTINGS, sound="log_mel")
    with pytest.raises(ValueError, match="the layer that computes it together"):
        prepare(film, tmp_path / "mel", settings)
    manifest, _ = prepare(film, tmp_path / "mel", settings, log_mel=(LogMel, arguments))
    prepare(film, tmp_path / "wave")
    assert manifest["log_mel"] == dict(arguments)
    assert manifest["splits"]["test"]["num_with_audio"] == 2
    layer = LogMel(**dict(arguments))
    pairs = zip(records(tmp_path / "mel", "test"), records(tmp_path / "wave", "test"), strict=True)
    for mel, wave in pairs:
        assert keys.WAVEFORM not in mel.feature_lists.feature_list
        steps = mel.feature_lists.feature_list[keys.LOG_MEL].feature
        samples = wave.feature_lists.feature_list[keys.WAVEFORM].feature[0]
        expected = layer(np.array([samples.float_list.value], np.float32))[0, :, :, 0]
        np.testing.assert_allclose([s.float_list.value for s in steps], expected, atol=1e-5)
        assert mel.context.feature[keys.LOG_MEL_RATE].float_list.value == [31.25]


def test_no_sound(film, tmp_path, in_process):
    manifest, _ = prepare(film, tmp_path, dataclasses.replace(SETTINGS, sound="none"))
    assert manifest["sources"][0]["status"] == "ok"
    assert manifest["splits"]["test"]["num_with_audio"] == 0
    for record in records(tmp_path, "test"):
        assert keys.WAVEFORM not in record.feature_lists.feature_list
        assert keys.FRAMES in record.feature_lists.feature_list


def test_pictures_of_tensorflow_datasets(tmp_path, in_process, monkeypatch):
    from mmv_tf.data.datasets import tfds_images

    buffers = [io.BytesIO(), io.BytesIO()]
    for buffer, size in zip(buffers, ((40, 30), (30, 60)), strict=True):
        Image.new("RGB", size).save(buffer, "PNG")
    images = [buffer.getvalue() for buffer in buffers]
    monkeypatch.setattr(tfds_images, "read_images", lambda *arguments: iter(images))
    clips = tuple(
        preparation.ListedClip(labels=(name,), example_id=f"train/{name}") for name in "ab"
    )
    source = preparation.Source(
        "x:train[0:2]", tmp_path, kind="tensorflow_datasets", split="train", clips=clips
    )
    settings = dataclasses.replace(SETTINGS, cut="list")
    manifest, _ = preparation.prepare([source], tmp_path / "data", settings)
    assert manifest["splits"]["train"]["num_with_video"] == 2
    sizes = {}
    for record in records(tmp_path / "data", "train"):
        context = record.context.feature
        (name,) = context[keys.LABEL_STRING].bytes_list.value
        (frame,) = record.feature_lists.feature_list[keys.FRAMES].feature
        size = (context[keys.HEIGHT], context[keys.WIDTH])
        sizes[name] = tuple(value.int64_list.value[0] for value in size)
        assert media_samples.decode(frame.bytes_list.value[0]).shape[:2] == sizes[name]
    assert sizes == {b"a": (24, 32), b"b": (48, 24)}
    monkeypatch.setattr(tfds_images, "read_images", lambda *arguments: iter(images[:1]))
    with pytest.raises(ValueError, match="got 1 images; expected 2"):
        preparation.prepare([source], tmp_path / "other", settings)
