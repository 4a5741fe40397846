# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data import media
from mmv_tf.data.media import decoding, timeline
from tests import media_samples


def test_frames_are_left_out(tmp_path):
    path = media_samples.write_film(tmp_path / "film.mp4", 4.0, codec="libx264", gop=96)
    (part,) = timeline.timeline_of(path).parts
    decoded = decoding.decode_from(path, part, "video", 0.0, lambda start, end: start == 2.0)
    some = [frame for _, frame, _ in decoded]
    assert len(some) < 70
    assert 2.0 in [frame.time for frame in some]


def test_what_is_beyond_a_cut_is_not_sought_for_long(tmp_path, monkeypatch):
    path = media_samples.write_film(tmp_path / "film.mkv", 30.0, frame_rate=4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    decoded = []
    original = decoding._decode

    def noted(*arguments):
        for frame in original(*arguments):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(decoding, "_decode", noted)
    with pytest.raises(media.MediaError, match=r"no frame found|cut off|can't be decoded"):
        list(media.iter_frames(path, 28.0, 29.0, 4, 24))
    assert min(decoded) > 10_000  # Milliseconds: it did not begin at the start.
