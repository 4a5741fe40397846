# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Packets that can't be decoded are skipped and counted; decoding continues after them."""

import av
import numpy as np
import pytest

from mmv_tf.data import media
from tests import clock_samples


def damage(path, kind, chosen):
    """Overwrite the packets of a track with `chosen` times; return their number."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        packets = [
            bytes(packet)
            for packet in container.demux(stream)
            if packet.size and chosen(float(packet.pts * packet.time_base))
        ]
    for packet in packets:
        at = data.find(packet)
        assert at > 0
        data[at : at + len(packet)] = b"\xff" * len(packet)
    path.write_bytes(data)
    return len(packets)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_packet_of_sound(tmp_path, suffix):
    path = clock_samples.write(tmp_path / f"film.{suffix}", 4.0)
    assert damage(path, "audio", lambda time: 1.995 < time < 2.016) == 1
    tally = media.Tally()
    sound = media.read_waveform(path, 0.0, 4.0, clock_samples.RATE, tally=tally)
    heard = clock_samples.heard(sound)
    # Of the one in the damage half is left.
    assert [(round(time, 2), k) for time, k in heard][::2] == [(1, 1), (3, 3)]
    assert len(tally.damaged) == 1 and tally.damaged[0] == pytest.approx(2.0, abs=0.02)
    assert len(tally.decoded) > 180


def test_a_packet_of_the_picture(tmp_path):
    path = clock_samples.write(tmp_path / "film.mp4", 4.0, video="mpeg4", gop=10, b_frames=0)
    damage(path, "video", lambda time: 1.99 < time < 2.01)
    tally = media.Tally()
    times = [0.02 + index / 25 for index in range(100)]
    found = [clock_samples.number(pixels) for _, pixels in media.iter_pixels_at(path, times, 64)]
    assert found[:49] == list(range(49)) and found[-20:] == list(range(80, 100))
    list(media.iter_frames_at(path, times, 64, tally=tally))
    assert len(tally.damaged) == 1 and tally.damaged[0] == pytest.approx(2.0, abs=0.05)


def test_what_lies_before_the_wanted_time_is_not_counted(tmp_path):
    path = clock_samples.write(tmp_path / "film.mp4", 4.0)
    damage(path, "audio", lambda time: 0.9 < time < 1.1)
    tally = media.Tally()
    media.read_waveform(path, 1.5, 3.0, tally=tally)
    assert not tally.damaged


def test_the_first_packet_after_a_seek_begins_inside_a_frame(tmp_path):
    """MPEG program streams; players skip it."""
    path = clock_samples.write(
        tmp_path / "film.mpg", 12.0, video="mpeg2video", audio="ac3", format="mpeg"
    )
    for start in np.arange(2.0, 11.0, 0.7):
        tally = media.Tally()
        media.read_waveform(path, start, start + 0.5, tally=tally)
        assert not tally.damaged and tally.decoded
    assert not clock_samples.misplaced(path, (12.0,), spans=[(7.3, 9.1), (10.2, 11.8)])


def test_a_track_that_can_not_be_decoded_at_all(tmp_path):
    path = clock_samples.write(tmp_path / "film.mp4", 2.0)
    damage(path, "audio", lambda time: True)
    info = media.probe(path)
    assert not info.has_audio and info.timeline.undecodable == ("aac",)
    path = clock_samples.write(tmp_path / "other.mp4", 2.0, video="mpeg4")
    damage(path, "video", lambda time: True)
    with pytest.raises(media.MediaError, match="no video stream found"):
        media.probe(path)
    assert media.probe(path, "sound").duration == pytest.approx(2.0, abs=0.1)
