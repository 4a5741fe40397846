# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Films stored as video: the frames and sound of JPEGs and floats, in a tenth of the bytes."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from mmv_tf.data import preparation
from mmv_tf.data.integrity import verification
from mmv_tf.data.preparation import pipeline
from mmv_tf.data.records import keys, manifests
from mmv_tf.data.stored_clips.clip_decoder import StoredClip
from mmv_tf.layers import LogMel
from tests import media_samples
from tests.data.preparation.samples import SETTINGS, contents, prepare, records

JPEG = dataclasses.replace(
    SETTINGS, cut="window", window_seconds=1.0, stride_seconds=0.5, block_seconds=24.0
)
VIDEO = dataclasses.replace(JPEG, store="video")


@pytest.fixture
def prepared(film, tmp_path, in_process):
    """The film in both ways."""
    prepare(film, tmp_path / "jpeg", JPEG)
    prepare(film, tmp_path / "video", VIDEO)
    return tmp_path / "jpeg", tmp_path / "video"


def stored(record):
    (data,) = record.context.feature[keys.ENCODED_MEDIA].bytes_list.value
    return StoredClip.parse(data)


def png(planes, record):
    size = (record.context.feature[key].int64_list.value[0] for key in (keys.HEIGHT, keys.WIDTH))
    return planes.rgb(*size)


def test_overlapping_clips_have_the_frames_times_and_sound_of_jpegs(prepared):
    jpegs, videos = (records(folder, "train") for folder in prepared)
    assert len(jpegs) == len(videos) == 5
    for jpeg, video in zip(jpegs, videos, strict=True):
        context, lists = video.context.feature, video.feature_lists.feature_list
        assert set(context) - set(jpeg.context.feature) == {
            keys.ENCODED_MEDIA,
            keys.ENCODED_MEDIA_START,
        }
        assert set(jpeg.feature_lists.feature_list) - set(lists) == {keys.FRAMES, keys.WAVEFORM}
        for key in set(jpeg.context.feature):
            assert context[key] == jpeg.context.feature[key]
        assert lists[keys.FRAME_TIMES] == jpeg.feature_lists.feature_list[keys.FRAME_TIMES]
        start = context[keys.CLIP_START].int64_list.value[0]
        assert context[keys.ENCODED_MEDIA_START].int64_list.value[0] == start
        clip = stored(video)
        times = [step.int64_list.value[0] for step in lists[keys.FRAME_TIMES].feature]
        assert (clip.tracks.video.times + start).tolist() == times
        frames = jpeg.feature_lists.feature_list[keys.FRAMES].feature
        assert clip.num_frames == len(frames) == 10
        for (index, planes), frame in zip(clip.frames(range(10)), frames, strict=True):
            expected = media_samples.decode(frame.bytes_list.value[0]).astype(float)
            found = png(planes, video)
            assert found.shape == expected.shape
            assert np.abs(found - expected).mean() < 4, index
        (floats,) = jpeg.feature_lists.feature_list[keys.WAVEFORM].feature
        expected = np.array(floats.float_list.value)
        found = clip.waveform(len(expected))
        assert np.abs(found - expected).mean() < 0.02
        if np.abs(expected).max() > 0.1:
            assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_the_manifest_says_so_and_the_data_are_clean(prepared):
    jpeg, video = (manifests.read_manifest(folder) for folder in prepared)
    assert (video["format_version"], video["store"], video["video_crf"]) == (2, "video", 22)
    assert video["settings"]["store"] == "video" and "jpeg_quality" not in video
    assert jpeg["format_version"] == 1 and "store" not in jpeg and "store" not in jpeg["settings"]
    sizes = [m["splits"]["train"]["shards"][0]["bytes"] for m in (jpeg, video)]
    assert sizes[1] < 0.6 * sizes[0]
    found = verification.verify(prepared[1], decode=True)
    assert found.clean and found.report.read == 5


def test_the_same_film_gives_the_same_bytes(prepared, film, tmp_path):
    prepare(film, tmp_path / "again", VIDEO)
    assert contents(tmp_path / "again") == contents(prepared[1])


def test_another_store_is_not_mistaken_for_the_same_data(prepared, film):
    with pytest.raises(ValueError, match="store video instead of jpeg"):
        prepare(film, prepared[1], JPEG)
    with pytest.raises(ValueError, match="store jpeg instead of video"):
        prepare(film, prepared[0], VIDEO)


@pytest.mark.parametrize("sound", ["none", "log_mel"])
def test_other_forms_of_audio(film, tmp_path, in_process, sound):
    settings = dataclasses.replace(VIDEO, sound=sound, stride_seconds=1.0, sample_rate=16_000)
    log_mel = (LogMel, (("sample_rate", 16_000),)) if sound == "log_mel" else None
    prepare(film, tmp_path / "data", settings, log_mel=log_mel)
    for record in records(tmp_path / "data", "train"):
        assert stored(record).tracks.sound is None
        assert (keys.LOG_MEL in record.feature_lists.feature_list) == (sound == "log_mel")
    assert verification.verify(tmp_path / "data", decode=True).clean


def test_audio_files(tmp_path, in_process):
    media_samples.write_wav(tmp_path / "a.wav", media_samples.tone(1.5, 16_000, 0.5))
    sources = preparation.find_sources(tmp_path / "a.wav", kind="sound")
    settings = dataclasses.replace(VIDEO, cut="list")
    preparation.prepare(sources, tmp_path / "data", settings)
    (record,) = records(tmp_path / "data", "train")
    clip = stored(record)
    heard = np.abs(clip.waveform(12_000)) > 0.1
    assert clip.num_frames == 0 and abs(int(np.argmax(heard)) - 4_000) < 40
    assert verification.verify(tmp_path / "data", decode=True).clean


def test_images_are_refused(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    sources = preparation.find_sources(tmp_path / "a.png", kind="image")
    with pytest.raises(ValueError, match=r"a\.png: is an image, but store=video is for videos"):
        pipeline.Job(sources, VIDEO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": "tape"}, "store is 'tape'"),
        ({"video_crf": 0}, "video_crf is 0"),
        (
            {"sample_rate": 20_000},
            "sample_rate is 20000; with store=video, use one of 7350, 8000",
        ),
    ],
)
def test_settings_that_no_codec_has(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(VIDEO, **changes)


def test_clips_whose_frames_change_size_are_left_out(monkeypatch):
    from mmv_tf.data.preparation.collecting import VideoCollector
    from mmv_tf.data.preparation.plan import PlannedClip
    from mmv_tf.data.records.shard_writer import ClipSpan

    spans = [ClipSpan("film", start, start + 500, 0, "train") for start in (0, 500)]
    collector = VideoCollector([PlannedClip(span, (), ()) for span in spans], VIDEO)
    for index, time in enumerate(collector.times):
        height = 24 if index == 3 else 32
        collector.take(time, np.zeros((height, 32, 3), np.uint8))
    left_out, kept = collector.clip_frames(None)
    assert left_out is None and (kept.count, kept.height, kept.width) == (5, 32, 32)
