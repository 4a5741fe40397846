# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data import media


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
    """They would read other files, which whoever wrote them need not be allowed to see."""
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
