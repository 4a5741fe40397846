# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Damage of clips stored as video is found, counted, left out and repaired."""

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data import DamagedDataError, Reader
from mmv_tf.data.integrity import decoding, verification
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.records import keys, manifests
from mmv_tf.data.stored_clips import clip_encoder
from mmv_tf.data.stored_clips.clip_decoder import StoredClip
from tests import records, stored_clips


@pytest.fixture
def data(tmp_path):
    return stored_clips.write(tmp_path / "data", (3, 3))


def media(example):
    return example.context.feature[keys.ENCODED_MEDIA].bytes_list.value


def replaced(make):
    """An edit that replaces a record's file by what `make` makes of it."""

    def edit(example):
        media(example)[0] = make(media(example)[0])

    return edit


def numbers(example, key):
    return example.context.feature[key].int64_list.value


def test_good_data_are_clean_with_everything_decoded(data):
    found = verification.verify(data.directory, decode=True)
    assert found.clean and found.report.read == 6 and found.notes == {}


def test_audio_alone_and_frames_alone(tmp_path):
    heard = stored_clips.write(tmp_path / "heard", (2,), frames=False)
    heard.add_to_split(num_with_video=0)
    shown = stored_clips.write(tmp_path / "shown", (2,), sound=False)
    assert verification.verify(heard.directory, decode=True).clean
    found = verification.verify(shown.directory, decode=True)
    assert found.clean and found.notes == {"no audio": 2}


def no_video(example):
    media(example)[0] = stored_clips.clip(None, np.zeros(9600, np.float32), 8_000)


def short_audio(example):
    frames = stored_clips.video(stored_clips.moving(6, 24, 32), records.FRAME_RATE)
    media(example)[0] = clip_encoder.with_sound(frames, np.zeros(4000, np.float32), 8_000)


def other_rate(example):
    frames = stored_clips.video(stored_clips.moving(6, 24, 32), records.FRAME_RATE)
    media(example)[0] = clip_encoder.with_sound(frames, np.zeros(19200, np.float32), 16_000)


DAMAGE = {
    "not an MP4": replaced(lambda data: b"RIFF" + data),
    "truncated MP4": replaced(lambda data: data[:-200]),
    "unsupported MP4": replaced(lambda data: data.replace(b"mvhd", b"mvex")),
    "missing key": lambda example: example.feature_lists.feature_list.pop(keys.FRAME_TIMES),
    "no frames": no_video,
    "frame times": replaced(
        lambda data: stored_clips.video(stored_clips.moving(5, 24, 32), records.FRAME_RATE)
    ),
    "wrong frame size": lambda example: numbers(example, keys.HEIGHT).__setitem__(0, 26),
    "audio length": short_audio,
    "wrong sample rate": other_rate,
    "wrong type": lambda example: example.context.feature[
        keys.ENCODED_MEDIA
    ].int64_list.value.append(1),
}


@pytest.mark.parametrize("reason", DAMAGE)
def test_damage_is_named_and_repaired(data, tmp_path, reason):
    data.change(1, 1, DAMAGE[reason])
    found = verification.verify(data.directory)
    assert [finding.reason for finding in found.report.findings] == [reason]
    assert found.report.findings[0].example_id
    assert (found.report.written, found.report.read) == (6, 5)
    clean = verification.repair(data.directory, tmp_path / "clean")
    assert clean.clean and clean.report.read == 5
    manifest = manifests.read_manifest(tmp_path / "clean")
    split = manifest["splits"]["train"]
    assert (manifest["store"], manifest["format_version"]) == ("video", 2)
    assert (split["num_with_video"], split["num_with_audio"]) == (5, 5)
    reader = Reader(data.config(on_bad_record="skip", max_bad_fraction=0.5), None, None)
    assert reader.num_examples() == 5
    with pytest.raises(DamagedDataError, match=reason):
        Reader(data.config(), None, None).evaluate()


def test_what_only_decoding_shows(data):
    def break_slices(content):
        damaged = bytearray(content)
        track = StoredClip.parse(content).tracks.video
        start = int(track.starts[2]) + 5
        damaged[start : start + 30] = b"\xff" * 30
        return bytes(damaged)

    data.change(0, 1, replaced(break_slices))
    assert verification.verify(data.directory).clean
    found = verification.verify(data.directory, decode=True)
    assert [finding.reason for finding in found.report.findings] == [decoding.UNDECODABLE_VIDEO]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(frames=5), "too many frames"),
        (Limits(frame_pixels=700), "frame too large"),
        (Limits(samples=9000), "audio length"),
    ],
)
def test_limits_hold_before_decoding(data, limits, reason):
    found = verification.verify(data.directory, limits=limits)
    assert {finding.reason for finding in found.report.findings} == {reason}


@pytest.mark.parametrize("pixels", ["tensorflow", "opencv"])
@pytest.mark.parametrize(
    ("reason", "told"),
    [("truncated MP4", "truncated MP4"), ("wrong frame size", "wrong frame size")],
)
def test_without_inspection_reading_stops_at_the_record(data, pixels, reason, told):
    data.change(1, 1, DAMAGE[reason])
    reader = Reader(data.config(inspect="never", pixels=pixels), None, None)
    with pytest.raises(DamagedDataError, match=told), reader.explained():
        for _ in reader.evaluate():
            pass


def test_a_reader_of_jpegs_says_what_the_data_are(data, monkeypatch):
    monkeypatch.setattr(manifests, "_READ", (1, 1))
    with pytest.raises(ValueError, match="its format version is 2"):
        manifests.read_manifest(data.directory)


def test_another_store_in_the_manifest(data):
    data.write_manifest(store="tape")
    with pytest.raises(ValueError, match="store is 'tape'; expected one of jpeg, video"):
        manifests.read_manifest(data.directory)


def test_frames_that_are_stored_twice_are_read_as_video(data):
    """A JPEG beside the video is ignored."""
    data.change(
        0,
        0,
        lambda example: (
            example.feature_lists.feature_list[keys.FRAMES]
            .feature.add()
            .bytes_list.value.append(b"x")
        ),
    )
    reader = Reader(data.config(), None, None)
    assert sum(len(batch["video"]) for batch in reader.evaluate()) == 6
    assert isinstance(next(iter(reader.evaluate()))["video"], tf.Tensor)
