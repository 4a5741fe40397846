# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Films that are odd or partly damaged: good parts are used, the rest is counted."""

import io

import numpy as np
import pytest
from PIL import Image

from mmv_tf.data import preparation
from mmv_tf.data.integrity import verification
from mmv_tf.data.preparation import cutting
from mmv_tf.data.records import keys as keys_lib
from tests import clock_samples, media_samples
from tests.data.media.packets_test import damage
from tests.data.media.rgb_test import write_of_sizes
from tests.data.preparation.samples import records

SETTINGS = preparation.Settings(
    short_side=clock_samples.HEIGHT, sample_rate=clock_samples.RATE, min_clip_seconds=0.5
)
CUES = [(0.2, 1.7, "first"), (1.8, 3.2, "second"), (3.3, 3.9, "third")]


@pytest.fixture
def prepare(tmp_path, in_process):
    """Prepare one or more films in a folder with an ordinary one; return the manifest."""

    def run(cues=CUES):
        films = [path for path in tmp_path.iterdir() if path.suffix != ".vtt"]
        for path in films:
            media_samples.write_vtt(path.with_suffix(".vtt"), cues)
        clock_samples.write(tmp_path / "ordinary.mp4")
        media_samples.write_vtt(tmp_path / "ordinary.vtt", CUES)
        found = preparation.find_sources(tmp_path)
        return preparation.prepare(found, tmp_path / "data", SETTINGS)[0]

    return run


def row(manifest, name):
    (found,) = [row for row in manifest["sources"] if row["media_id"] == name]
    return found


def test_a_damaged_packet_costs_nothing_else_and_is_counted(tmp_path, prepare):
    path = clock_samples.write(tmp_path / "film.mp4")
    assert damage(path, "audio", lambda time: 1.995 < time < 2.016) == 1
    manifest = prepare()
    found = row(manifest, "film")
    assert (found["status"], found["clips"]) == ("ok", 3)
    assert found["left_out"] == {"packets_of_sound_not_decoded": 1}
    assert manifest["dropped"]["packets_of_sound_not_decoded"] == 1
    assert "left out: 1 packets of sound not decoded" in preparation.format_report(manifest)
    assert "1 packets of sound not decoded" in preparation.format_dropped(manifest["dropped"])
    assert row(manifest, "ordinary")["left_out"] == {}


def test_a_piece_with_much_damage_is_left_out(tmp_path, prepare, monkeypatch):
    monkeypatch.setattr(cutting, "_UNIT_SECONDS", 1.5)
    path = clock_samples.write(tmp_path / "film.mp4")
    assert damage(path, "audio", lambda time: 0.5 < time < 1.0) > 20
    found = row(prepare(), "film")
    assert (found["status"], found["clips"]) == ("corrupt", 2)
    assert found["left_out"]["clips_not_decoded"] == 1
    assert "packets of audio between 0.2 and 1.7 s can't be decoded" in found["reason"]


def test_few_clips_lost_leave_a_film_ok(tmp_path, prepare, monkeypatch):
    monkeypatch.setattr(cutting, "_UNIT_SECONDS", 0.5)
    path = clock_samples.write(tmp_path / "film.mp4", 8.0)
    assert damage(path, "audio", lambda time: 0.5 < time < 1.0) > 20
    cues = [(index / 2, index / 2 + 0.5, str(index)) for index in range(16)]
    found = row(prepare(cues), "film")
    assert (found["status"], found["clips"]) == ("ok", 15)
    assert found["left_out"]["clips_not_decoded"] == 1
    assert found["reason"].startswith("1 blocks lost, the first because: ")


def test_clips_in_which_the_size_changes_are_left_out(tmp_path, prepare):
    write_of_sizes(tmp_path / "call.webm", [(160, 120), (120, 160)], 2.0)
    found = row(prepare(), "call")
    assert (found["status"], found["clips"]) == ("no audio", 2)
    assert found["left_out"] == {"clips_of_changing_size": 1}
    assert verification.verify(tmp_path / "data").clean
    for record in records(tmp_path / "data", "train"):
        keys = (keys_lib.WIDTH, keys_lib.HEIGHT)
        size = tuple(record.context.feature[key].int64_list.value[0] for key in keys)
        frames = record.feature_lists.feature_list[keys_lib.FRAMES].feature
        shown = {Image.open(io.BytesIO(f.bytes_list.value[0])).size for f in frames}
        assert shown == {size}


def test_joined_films_are_prepared_to_their_end(tmp_path, prepare):
    film = clock_samples.write(tmp_path / "joined.ts", 2.0, format="mpegts")
    film.write_bytes(2 * film.read_bytes())
    found = row(prepare(), "joined")
    assert (found["status"], found["clips"], found["seconds"]) == ("ok", 3, 4.0)
    for record in records(tmp_path / "data", "train"):
        feature = record.context.feature
        if feature[keys_lib.MEDIA_ID].bytes_list.value[0] != b"joined":
            continue
        start = feature[keys_lib.CLIP_START].int64_list.value[0] / 1e6
        frames = record.feature_lists.feature_list[keys_lib.FRAMES].feature
        for index, frame in enumerate(frames):
            time = (start + index / 10 + 0.001) % 2.0
            shown = clock_samples.number(media_samples.decode(frame.bytes_list.value[0]))
            assert abs(shown - int(time * 25)) <= 1


@pytest.mark.parametrize(("share", "status"), [(0.5, "corrupt"), (0.94, "ok")])
def test_a_film_that_was_cut_off_is_told(tmp_path, prepare, share, status):
    path = clock_samples.write(tmp_path / "film.flv", 30.0, 5)
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    found = row(prepare(), "film")
    assert found["status"] == status and found["clips"] == 3
    assert found["left_out"]["seconds_cut_off_at_the_end"] >= 1


def without_decoder(path, which):
    """Give some audio tracks of an MP4 a codec that FFmpeg doesn't know."""
    data = bytearray(path.read_bytes())
    at = 0
    for index in range(max(which) + 1):
        at = data.find(b"mp4a", data.find(b"stsd", data.find(b"soun", at)))
        if index in which:
            data[at : at + 4] = b"apac"
            esds = data.find(b"esds", at)
            data[esds : esds + 4] = b"skip"
    path.write_bytes(data)


def test_sound_without_a_decoder(tmp_path, prepare):
    without_decoder(clock_samples.write(tmp_path / "film.mp4"), {0})
    found = row(prepare(), "film")
    assert (found["status"], found["clips"]) == ("no audio", 3)
    assert found["reason"] == "its audio can't be decoded (unknown codec)"


def test_sound_of_which_one_track_has_no_decoder(tmp_path, prepare):
    clock_samples.write(tmp_path / "film.mp4", sounds=2)
    without_decoder(tmp_path / "film.mp4", {0})
    found = row(prepare(), "film")
    assert (found["status"], found["clips"]) == ("ok", 3)
    assert found["left_out"] == {"sound_tracks_not_decoded": 1}
    heard = [
        record.feature_lists.feature_list[keys_lib.WAVEFORM].feature[0].float_list.value
        for record in records(tmp_path / "data", "train")
    ]
    assert max(np.abs(np.array(sound)).max() for sound in heard) > 0.5
