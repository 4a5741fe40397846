# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data import media
from tests import clock_samples


def test_damage(film, tmp_path):
    content = film.read_bytes()
    cases = {"cut.mp4": content[: len(content) // 2], "text.mp4": b"not a film", "zero.mp4": b""}
    for name, damaged in cases.items():
        path = tmp_path / name
        path.write_bytes(damaged)
        with pytest.raises(media.MediaError, match="can't be decoded") as raised:
            media.probe(path)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
    with pytest.raises(media.MediaError, match="no such file"):
        media.probe(tmp_path / "none.mp4")
    with pytest.raises(media.MediaError, match="is a folder"):
        media.probe(tmp_path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_play_lists_are_no_videos(film, tmp_path, suffix):
    """Play lists would read other files, for which their author may have no permission."""
    lists = {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile other.mp4\n",
    }
    (tmp_path / "other.mp4").write_bytes(film.read_bytes())
    for name, text in lists.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_text(text)
        with pytest.raises(media.MediaError, match="can't be decoded"):
            media.probe(path)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize(("default", "played"), [(None, 0), (0, 0), (1, 1)])
def test_the_default_track_is_played(tmp_path, suffix, default, played):
    path = tmp_path / f"film.{suffix}"
    clock_samples.write(path, 3.0, sounds=2, default=default)
    heard = clock_samples.heard(media.read_waveform(path, 0.5, 2.5, clock_samples.RATE))
    assert [second for _, second in heard] == [10 * played + 1, 10 * played + 2]


def test_a_film_with_a_name_that_is_no_text(tmp_path):
    path = clock_samples.write(tmp_path / "film.mp4", 1.0)
    odd = path.rename(tmp_path / "caf\udce9.mp4")  # A byte that is not UTF-8, in Python's form.
    assert media.probe(odd).duration == pytest.approx(1.0)
    assert len(list(media.iter_pixels_at(odd, [0.5], 48))) == 1


def test_a_part_of_a_file_may_have_any_name(tmp_path):
    path = clock_samples.write(tmp_path / "film.ts", 1.0, format="mpegts")
    data = path.read_bytes()
    for name in ("a,b:c.ts", "end,0,,:x.ts", "sp ace é.ts"):
        joined = tmp_path / name
        joined.write_bytes(2 * data)
        assert media.probe(joined).duration == pytest.approx(2.0, abs=0.05)
        assert len(list(media.iter_pixels_at(joined, [0.5, 1.5], 48))) == 2
