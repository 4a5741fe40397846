# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from mmv_tf.data import media
from tests import media_samples


def test_probe(film):
    info = media.probe(film)
    assert (info.width, info.height, info.has_audio, info.audio_rate) == (64, 48, True, 44_100)
    assert info.duration == pytest.approx(2.5, abs=0.01)
    assert info.frame_rate == pytest.approx(24.0)


def test_no_audio(tmp_path):
    path = media_samples.write_film(tmp_path / "film.mp4", 0.5, audio=None)
    assert not media.probe(path).has_audio
    with pytest.raises(media.MediaError, match="no audio stream"):
        media.read_waveform(path, 0.0, 0.5)


def test_sound_alone_is_no_video(film, tmp_path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(film)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(media.MediaError, match="no video stream"):
        media.probe(path)
    assert np.abs(media.read_waveform(path, 1.5, 2.0)).max() > 0.4


def test_sound_and_images_are_looked_at(film, tmp_path):
    info = media.probe(film, "sound")
    assert (info.width, info.has_audio, info.audio_rate) == (0, True, 44_100)
    assert info.duration == pytest.approx(2.5, abs=0.05)
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "a.png")
    info = media.probe(tmp_path / "a.png", "image")
    assert (info.width, info.height, info.duration) == (40, 30, 0.0)
    with pytest.raises(media.MediaError, match="no image"):
        media.probe(film, "image")
