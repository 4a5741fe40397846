# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.captions import CaptionFiles, sidecar
from mmv_tf.data.captions.finding import language_rank


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ("soup.vtt", "soup.vtt"),
        ("soup.SRT", "soup.SRT"),
        ("soup.en.vtt", "soup.en.vtt"),
        ("soup.en-orig.json3", "soup.en-orig.json3"),
        ("soup.zh-Hans.srt", "soup.zh-Hans.srt"),
        ("soup.pt_BR.sdh.srt", "soup.pt_BR.sdh.srt"),
        ("soup.mp4.vtt", "soup.mp4.vtt"),
        ("soup.srt soup.vtt soup.en.vtt", "soup.vtt soup.srt soup.en.vtt"),
        ("soup.srt soup.SRT", "soup.srt soup.SRT"),
        ("soup.de.vtt soup.en.srt soup.fr.vtt", "soup.en.srt soup.de.vtt soup.fr.vtt"),
        ("soup.de-orig.vtt soup.en.vtt", "soup.de-orig.vtt soup.en.vtt"),
        ("soup.en.forced.srt soup.fr.srt", "soup.fr.srt soup.en.forced.srt"),
        ("soup.en.srt soup.en.vtt", "soup.en.vtt soup.en.srt"),
        ("soup.live_chat.json soup.info.json soup.txt soup.one.vtt soup2.vtt Soup.vtt", ""),
        ("soup.b.vtt soup.b.mp4", ""),
        ("soup.en.vtt soup.en.mp4", ""),
        ("soup.en.de.vtt soup.en.mkv", ""),
        ("soup.en.vtt soup.de.vtt soup.de.wav", "soup.en.vtt"),
    ],
)
def test_captions_of_a_video(tmp_path, files, expected):
    for name in ("soup.mp4", *files.split()):
        (tmp_path / name).touch()
    found = [path.name for path in CaptionFiles().beside(tmp_path / "soup.mp4")]
    assert found == expected.split()
    taken = sidecar(tmp_path / "soup.mp4")
    assert (taken.name if taken else "") == (expected.split() or [""])[0]


def test_a_video_whose_name_ends_like_a_language(tmp_path):
    for name in ("soup.mp4", "soup.en.mp4", "soup.en.vtt", "soup.en.de.vtt"):
        (tmp_path / name).touch()
    files = CaptionFiles()
    found = [path.name for path in files.beside(tmp_path / "soup.en.mp4")]
    assert found == ["soup.en.vtt", "soup.en.de.vtt"]
    assert files.beside(tmp_path / "nowhere" / "a.mp4") == []


def test_languages():
    assert language_rank("en") is not None
    assert language_rank("EN-us") is not None
    assert language_rank("eng") is not None
    for text in ("", "e", "b", "xx", "part", "one", "v2", "live_chat", "en.part2", "1080p"):
        assert language_rank(text) is None, text
