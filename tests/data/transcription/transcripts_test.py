# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from mmv_tf.data.captions import Caption
from mmv_tf.data.file_types import MediaError
from mmv_tf.data.preparation.sources import IMAGE, Source
from mmv_tf.data.preparation.transcribing import transcribed
from mmv_tf.data.transcription import SAMPLE_RATE, Transcripts, transcripts
from tests import media_samples


class Scribe:
    """Transcriber that returns given captions, and keeps what it was given."""

    def __init__(self, captions=(), key="scribe"):
        self.captions, self.key = captions, key
        self.heard = []

    def transcribe(self, samples, language):
        assert samples.dtype == np.float32 and np.abs(samples).max() <= 1
        self.heard.append((samples, language))
        return language or "de", iter(self.captions)


@pytest.fixture
def film(tmp_path):
    media_samples.write_film(tmp_path / "film.mp4", seconds=3)
    return tmp_path / "film.mp4"


def test_a_film_is_transcribed_once(film, tmp_path):
    scribe = Scribe([Caption(1.0, 2.0, "  zwei\n Wörter "), Caption(0.0, 1.0, "eins")])
    heard = []
    first = Transcripts(tmp_path / "kept", scribe).of(film, heard.append)
    assert first.captions == (Caption(0.0, 1.0, "eins"), Caption(1.0, 2.0, "zwei Wörter"))
    assert (first.language, first.damaged) == ("de", 0)
    assert heard[-1] == pytest.approx(3, abs=0.1)
    ((samples, language),) = scribe.heard
    assert len(samples) == pytest.approx(3 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)
    assert language is None
    # Also under another name.
    renamed = film.rename(film.with_name("other.mp4"))
    assert Transcripts(tmp_path / "kept", scribe).of(renamed) == first
    assert len(scribe.heard) == 1


def test_another_model_language_or_content_is_another_transcript(film, tmp_path):
    scribe = Scribe()
    kept = tmp_path / "kept"
    Transcripts(kept, scribe).of(film)
    Transcripts(kept, scribe, "fr").of(film)
    assert scribe.heard[1][1] == "fr"
    other = Scribe(key="other")
    Transcripts(kept, other).of(film)
    media_samples.write_film(film, seconds=2)
    Transcripts(kept, scribe).of(film)
    assert (len(scribe.heard), len(other.heard)) == (3, 1)
    assert len(list(kept.iterdir())) == 4


def test_a_film_without_speech_is_kept_too(film, tmp_path):
    scribe = Scribe()
    for _ in range(2):
        found = Transcripts(tmp_path / "kept", scribe).of(film)
        assert (found.captions, found.language) == ((), "")
    assert len(scribe.heard) == 1


def test_a_damaged_transcript_is_made_again(film, tmp_path):
    scribe = Scribe([Caption(0.0, 1.0, "eins")])
    found = Transcripts(tmp_path / "kept", scribe)
    found.of(film)
    (path,) = (tmp_path / "kept").iterdir()
    values = json.loads(path.read_text())
    for text in ("", "{", "[]", json.dumps({**values, "key": "other"}), '{"captions": 1}'):
        path.write_text(text)
        assert found.of(film).captions == (Caption(0.0, 1.0, "eins"),)
        assert json.loads(path.read_text()) == values
    assert len(scribe.heard) == 6


def test_a_hostile_transcript(film, tmp_path):
    found = Transcripts(tmp_path / "kept", Scribe([Caption(0.0, 1.0, "eins")]))
    found.of(film)
    (path,) = (tmp_path / "kept").iterdir()
    values = json.loads(path.read_text())
    values["captions"] += [
        {"start": -5, "end": 1, "text": "before"},
        {"start": 2, "end": 1, "text": "backwards"},
        {"start": 1, "end": 2, "text": "a" * 20_000},
    ]
    path.write_text(json.dumps(values))
    assert found.of(film).captions == (Caption(0.0, 1.0, "eins"),)


def test_odd_segments_are_left_out(film, tmp_path):
    odd = [(0, 0, "no length"), (2, 1, "back"), (0, 1, " "), (0, float("nan"), "nan"), (1, 9, "ok")]
    scribe = Scribe([Caption(*values) for values in odd])
    (only,) = Transcripts(tmp_path / "kept", scribe).of(film).captions
    assert (only.start, only.text) == (1, "ok") and only.end == pytest.approx(3, abs=0.1)


def test_long_films_are_transcribed_in_pieces(film, tmp_path, monkeypatch):
    monkeypatch.setattr(transcripts, "_PIECE_SECONDS", 1.0)
    scribe = Scribe([Caption(0.25, 0.5, "wieder")])
    found = Transcripts(tmp_path / "kept", scribe).of(film)
    assert [caption.start for caption in found.captions[:3]] == [0.25, 1.25, 2.25]
    assert [language for _, language in scribe.heard[:3]] == [None, "de", "de"]


def test_a_film_without_audio_and_a_damaged_one(tmp_path):
    media_samples.write_film(tmp_path / "silent.mkv", seconds=1, audio=None)
    (tmp_path / "damaged.mp4").write_bytes(b"no film" * 100)
    found = Transcripts(tmp_path / "kept", Scribe())
    for name in ("silent.mkv", "damaged.mp4"):
        with pytest.raises(MediaError):
            found.of(tmp_path / name)
    assert not (tmp_path / "kept").exists()


def test_sources_without_captions_get_transcripts(film, tmp_path):
    media_samples.write_film(tmp_path / "silent.mkv", seconds=1, audio=None)
    given = (Caption(0.0, 1.0, "given"),)
    sources = [
        Source("film", film),
        Source("captioned", film, captions=tmp_path / "film.vtt"),
        Source("told", film, narrations=given),
        Source("silent", tmp_path / "silent.mkv"),
        Source("image", tmp_path / "a.png", kind=IMAGE),
    ]
    scribe = Scribe([Caption(0.0, 1.0, "eins")])
    found, notes = transcribed(sources, Transcripts(tmp_path / "kept", scribe))
    one = (Caption(0.0, 1.0, "eins"),)
    assert [source.narrations for source in found] == [one, (), given, (), ()]
    assert [source.media_id for source in found] == [source.media_id for source in sources]
    (note,) = notes
    assert note.startswith("silent can't be transcribed:") and "no audio stream" in note


def test_damaged_audio_is_counted(film, tmp_path):
    path = tmp_path / "damaged.wav"
    media_samples.write_wav(path, media_samples.tone(1.0, 16_000, 0.0))
    data = bytearray(film.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 4] = bytes(len(data) // 4)
    film.write_bytes(data)
    found = Transcripts(tmp_path / "kept", Scribe())
    assert found.of(path).damaged == 0
    try:
        damaged = found.of(film).damaged
    except MediaError:
        return
    assert damaged > 0
