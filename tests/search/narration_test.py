# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import os
import pathlib
import shutil

import pytest

from mmv_tf.data.captions import Caption
from mmv_tf.data.transcription import Transcripts
from mmv_tf.search import Query, Searcher, narration, spoken, update_index
from mmv_tf.search.embedder import VISION
from mmv_tf.search.files import Shard
from mmv_tf.search.joining import join_indexes
from mmv_tf.search.queries import ALL, SPEECH
from mmv_tf.search.speech import SpeechPart
from mmv_tf.search.store import Writer, open_index
from mmv_tf.util import sqlite
from tests import media_samples
from tests.killing import killed_at_each_step
from tests.search.conftest import EVIL_NAME, HERE


@pytest.fixture
def own(library, tmp_path):
    """A copy of the library whose index knows that the videos are elsewhere."""
    copy = library.copy(tmp_path)
    Writer(copy.index, open_index(copy.index).manifest).commit(roots={"": str(copy.videos)})
    return copy


def update(own, **options):
    return update_index(
        own.videos, own.index, own.embedder, options=dataclasses.replace(HERE, **options)
    )


def search(own, text, within=SPEECH, limit=10):
    searcher = Searcher(own.index)
    searcher._embedder = own.embedder
    return searcher.search([Query("text", text, within=within)], limit)


def texts(answer):
    return [evidence.text for moment in answer.moments for evidence in moment.found]


CAKE = (Caption(0.5, 1.5, " We bake a cake. "),)


class Scribe:
    """Transcriber that hears the same words in every film, or what is written for its length."""

    key = "scribe 1"

    def __init__(self, captions=CAKE, language="en"):
        self.captions = captions
        self.language = language
        self.calls = []

    def transcribe(self, samples, language):
        self.calls.append((len(samples), language))
        return language or self.language, iter(self.captions)


class TestCaptions:
    def test_a_new_index_has_them(self, library):
        answer = search(library, "something FALLS")
        (moment,) = answer.moments
        assert (moment.video, moment.start, moment.end) == ("long.mp4", 6.0, 12.0)
        assert texts(answer) == ["it falls down"]
        assert not moment.found[0].transcribed and moment.score == moment.found[0].score > 0

    def test_changed_ones_are_indexed_without_embedding(self, own, monkeypatch):
        before = {v.name: v.segment for v in open_index(own.index).manifest.videos}
        media_samples.write_vtt(own.videos / "long.vtt", [(2, 3, "a purple elephant")])
        monkeypatch.setattr(own.embedder, "clips", None)
        report = update(own)
        assert report.captioned == ["long.mp4"] and report.cues == 1
        assert not report.changed and not report.added
        assert texts(search(own, "elephant")) == ["a purple elephant"]
        assert texts(search(own, "falls")) == []
        assert {v.name: v.segment for v in open_index(own.index).manifest.videos} == before
        assert update(own).captioned == []

    def test_new_and_removed_ones(self, own):
        media_samples.write_vtt(own.videos / "sub" / "silent.srt", [(0, 1, "quiet words")])
        (own.videos / "long.vtt").unlink()
        assert update(own).captioned == ["sub/silent.mkv"]
        assert [m.video for m in search(own, "quiet").moments] == ["sub/silent.mkv"]
        assert search(own, "falls").moments == ()

    def test_those_of_a_removed_film_are_not_found(self, own):
        for name in ("a", "b", "c", "d", "e", "f"):
            media_samples.write_film(own.videos / f"{name}.mp4", seconds=2)
            media_samples.write_vtt(own.videos / f"{name}.vtt", [(0, 1, f"film {name} is here")])
        update(own)
        assert len(search(own, "film").moments) == 6
        (own.videos / "a.mp4").unlink()
        update(own)
        found = {m.video for m in search(own, "film").moments}
        assert found == {f"{name}.mp4" for name in "bcdef"}
        # One dead cue of eight stays in its file.
        parts = [SpeechPart(path) for path in open_index(own.index).speech.values()]
        assert sum(part.passages for part in parts) == 8

    def test_an_index_of_before_gets_them(self, own):
        index = open_index(own.index)
        videos = tuple(dataclasses.replace(v, said=None) for v in index.manifest.videos)
        writer = Writer(own.index, index.manifest)
        writer.commit(videos=videos, speech={})
        assert list((own.index / "speech").iterdir()) != []  # Of the manifest before.
        with pytest.raises(ValueError, match="This index has no speech"):
            search(own, "falls")
        assert {m.found for m in search(own, "red", ALL).moments} == {()}
        report = update(own)
        assert report.captioned == ["long.mp4"] and texts(search(own, "falls")) == ["it falls down"]

    def test_those_that_cannot_be_read_are_told(self, own):
        (own.videos / "long.vtt").write_bytes(b"\xff\xfe\x00 broken \x1b[31m")
        report = update(own)
        (note,) = [note for note in report.notes if "captions" in note]
        assert note.startswith("the captions of long.mp4 can't be used:") and not report.captioned
        with pytest.raises(ValueError, match="This index has no speech"):
            search(own, "falls")

    def test_broken_times_and_control_characters(self, own):
        (own.videos / "long.vtt").write_text(
            "WEBVTT\n\n00:00:03.000 --> 00:00:01.000\nbackwards in time\n\n"
            "00:00:01.000 --> 00:00:02.000\n\x1b]0;evil\x07 title \u202e\n\n"
            "00:00:04.000 --> 00:00:05.000\nanother cue\n\n"
            "90:00:01.000 --> 90:00:02.000\nafter the end evil\n"
        )
        report = update(own)
        assert any("1 captions of long.mp4 are left out" in note for note in report.notes)
        assert texts(search(own, "evil")) == ["]0;evil title"]
        assert search(own, "backwards").moments == search(own, "after").moments == ()

    def test_films_that_are_not_there_now_keep_them(self, own, monkeypatch):
        def gone(folders, video):
            raise FileNotFoundError(2, "gone")

        monkeypatch.setattr(narration, "captions_path", gone)
        report = update(own)
        assert not [note for note in report.notes if "captions" in note]
        assert texts(search(own, "falls")) == ["it falls down"]

    def test_many_files_are_merged(self, own, monkeypatch):
        monkeypatch.setattr(narration, "_MOST_PARTS", 2)
        monkeypatch.setattr(narration, "_DEAD_SHARE", 0.9)
        counts = []
        for name in ("a", "b", "c", "d"):
            media_samples.write_film(own.videos / f"{name}.mp4", seconds=2)
            media_samples.write_vtt(own.videos / f"{name}.vtt", [(0, 1, f"film {name} is here")])
            update(own)
            counts.append(len(open_index(own.index).manifest.speech))
        assert counts == [2, 1, 2, 1]
        assert {m.video for m in search(own, "film").moments} == {f"{n}.mp4" for n in "abcd"}
        assert texts(search(own, "falls")) == ["it falls down"]

    def test_a_damaged_file_is_the_state_before(self, own):
        media_samples.write_vtt(own.videos / "long.vtt", [(2, 3, "a purple elephant")])
        update(own)
        (path,) = open_index(own.index).speech.values()
        path.write_bytes(path.read_bytes()[:-1])
        index = open_index(own.index)
        assert index.warnings and texts(search(own, "falls")) == ["it falls down"]

    def test_files_of_no_manifest_are_deleted(self, own):
        stray = own.index / "speech" / ".x.partial-1.sqlite"
        stray.write_bytes(b"left behind")
        media_samples.write_vtt(own.videos / "long.vtt", [(2, 3, "a purple elephant")])
        update(own)
        assert not stray.exists()

    def test_without_fts5_the_rest_is_indexed(self, own, monkeypatch):
        monkeypatch.setattr(narration, "has_fts5", lambda: False)
        media_samples.write_vtt(own.videos / "long.vtt", [(2, 3, "a purple elephant")])
        assert any("lacks FTS5" in note for note in update(own).notes)

    def test_without_fts5_an_index_with_speech_finds_what_is_seen(self, library, monkeypatch):
        monkeypatch.setattr(spoken, "has_fts5", lambda: False)
        seen = search(library, "it falls down", None)
        assert seen.moments == search(library, "it falls down", VISION).moments
        monkeypatch.setattr(sqlite, "has_fts5", lambda: False)
        with pytest.raises(ValueError, match="lacks FTS5"):
            search(library, "it falls down", SPEECH)

    def test_joined_indexes(self, own, tmp_path):
        media_samples.write_vtt(own.videos / "sub" / "silent.vtt", [(0, 1, "quiet words")])
        for number in (1, 2):
            options = dataclasses.replace(HERE, shard=Shard.parse(f"{number}/2"))
            update_index(own.videos, tmp_path / f"i{number}", own.embedder, options=options)
        join_indexes([tmp_path / "i1", tmp_path / "i2"], tmp_path / "joined")
        joined = dataclasses.replace(own, index=tmp_path / "joined")
        assert texts(search(joined, "quiet")) == ["quiet words"]
        assert texts(search(joined, "falls")) == ["it falls down"]
        assert len(open_index(tmp_path / "joined").speech) == 1


class TestTranscripts:
    def test_films_without_captions_are_transcribed_once(self, own, tmp_path):
        scribe = Scribe()
        transcripts = Transcripts(tmp_path / "kept", scribe)
        report = update(own, transcripts=transcripts)
        assert report.transcribed == [EVIL_NAME]  # The others have captions, or no audio.
        answer = search(own, "cake")
        (moment,) = answer.moments
        assert (moment.video, moment.start, moment.end) == (EVIL_NAME, 0.5, 1.5)
        assert moment.found[0].transcribed and texts(answer) == ["We bake a cake."]
        assert scribe.calls == [(48_000, None)]
        assert update(own, transcripts=transcripts).transcribed == []
        # Without the flag they stay.
        update(own)
        assert texts(search(own, "cake")) == ["We bake a cake."]

    def test_another_model_transcribes_again(self, own, tmp_path):
        update(own, transcripts=Transcripts(tmp_path / "kept", Scribe()))
        other = Scribe((Caption(0, 1, "We make a pie."),))
        other.key = "scribe 2"
        report = update(own, transcripts=Transcripts(tmp_path / "kept", other))
        assert report.transcribed == [EVIL_NAME] and texts(search(own, "pie")) != []
        assert search(own, "cake").moments == ()

    def test_a_film_without_speech(self, own, tmp_path):
        scribe = Scribe(())
        transcripts = Transcripts(tmp_path / "kept", scribe)
        assert update(own, transcripts=transcripts).transcribed == [EVIL_NAME]
        (video,) = (v for v in open_index(own.index).manifest.videos if v.name == EVIL_NAME)
        assert (video.said.count, video.said.part) == (0, "")
        assert update(own, transcripts=transcripts).transcribed == [] and len(scribe.calls) == 1

    def test_captions_take_the_place_of_a_transcript(self, own, tmp_path):
        transcripts = Transcripts(tmp_path / "kept", Scribe())
        update(own, transcripts=transcripts)
        captions = (own.videos / EVIL_NAME).with_suffix(".vtt")
        media_samples.write_vtt(captions, [(0, 1, "words of a human")])
        update(own, transcripts=transcripts)
        assert texts(search(own, "human")) == ["words of a human"]
        assert search(own, "cake").moments == ()

    def test_a_film_that_cannot_be_transcribed_is_told(self, own, tmp_path):
        class Broken(Scribe):
            def transcribe(self, samples, language):
                raise OSError(5, "the disk is broken")

        report = update(own, transcripts=Transcripts(tmp_path / "kept", Broken()))
        assert f"{EVIL_NAME} can't be transcribed: the disk is broken" in report.notes

    def test_after_an_interruption_finished_films_are_there(self, own, tmp_path):
        media_samples.write_film(own.videos / "b.mp4", seconds=2)
        update(own)

        class Stopped(Scribe):
            def transcribe(self, samples, language):
                if self.calls:
                    raise KeyboardInterrupt
                return super().transcribe(samples, language)

        stopped = Stopped()
        with pytest.raises(KeyboardInterrupt):
            update(own, transcripts=Transcripts(tmp_path / "kept", stopped))
        assert len(search(own, "cake").moments) == 1
        scribe = Scribe()
        update(own, transcripts=Transcripts(tmp_path / "kept", scribe))
        assert len(scribe.calls) == 1 and len(search(own, "cake").moments) == 2


class TestMixed:
    def test_what_is_seen_and_said(self, library):
        answer = search(library, "it falls down", ALL, limit=3)
        best = answer.moments[0]
        assert best.video == "long.mp4" and best.end >= 7
        kinds = {evidence.kind for moment in answer.moments for evidence in moment.found}
        assert kinds == {"seen", "said"}
        default = search(library, "it falls down", None, limit=3)
        assert default.moments == answer.moments

    def test_without_a_passage_the_answer_is_that_of_vision(self, library):
        seen = search(library, "red", VISION)
        assert search(library, "red xylophone", VISION).moments  # "red" is known.
        only = search(library, "a square xylophone", None)
        assert only.unknown_words == ("xylophone",)
        assert search(library, "circle", ALL).moments == search(library, "circle", VISION).moments
        assert all(moment.found == () for moment in seen.moments)

    def test_unknown_words_are_searched_in_what_is_said(self, own):
        media_samples.write_vtt(own.videos / "long.vtt", [(2, 3, "xylophone of the zither")])
        update(own)
        answer = search(own, "the Xylophone, and zither!", ALL)
        assert answer.unknown_words == ("Xylophone", "zither")
        assert texts(answer) == ["xylophone of the zither"]
        with pytest.raises(ValueError, match="knows none of the words"):
            search(own, "xylophone", VISION)

    def test_speech_needs_no_model(self, own):
        searcher = Searcher(own.index, model="/nothing")
        (moment,) = searcher.search([Query("text", "falls", within=SPEECH)]).moments
        assert moment.video == "long.mp4"
        assert [cue.text for cue in searcher.cues("long.mp4", 5.0, 7.0)][1:] == ["it falls down"]
        assert searcher.cues(EVIL_NAME, 0, 9) == []

    def test_rules_hold_for_passages(self, library):
        searcher = Searcher(library.index)
        query = [Query("text", "falls", within=SPEECH)]
        assert searcher.search(query, only=lambda video: video.name == "long.mp4").moments
        assert not searcher.search(query, only=lambda video: video.name != "long.mp4").moments

    def test_a_negative_weight_is_not_looked_for(self, library):
        searcher = Searcher(library.index)
        searcher._embedder = library.embedder
        queries = [Query("text", "red"), Query("text", "falls", -1.0)]
        said = [e.text for m in searcher.search(queries).moments for e in m.found if e.text]
        assert said and all("red" in text for text in said)

    def test_only_sentences_are_said(self):
        with pytest.raises(ValueError, match="only with a sentence; got a query of kind 'image'"):
            Query("image", "a.png", within=SPEECH)


def test_captions_given_by_the_user_may_be_elsewhere(own, tmp_path):
    media_samples.write_vtt(tmp_path / "other.vtt", [(2, 3, "a purple elephant")])
    update_index(
        own.videos / "long.mp4",
        tmp_path / "index2",
        own.embedder,
        tmp_path / "other.vtt",
        options=HERE,
    )
    other = dataclasses.replace(own, index=tmp_path / "index2")
    assert texts(search(other, "elephant")) == ["a purple elephant"]
    video = open_index(other.index).manifest.videos[0]
    assert os.path.isabs(video.captions) and pathlib.Path(video.captions).name == "other.vtt"


@pytest.mark.slow
def test_killed_at_any_step_there_are_the_captions_before_or_after(own, tmp_path):
    media_samples.write_vtt(own.videos / "long.vtt", [(2, 3, "a purple elephant falls")])
    work = tmp_path / "work"

    def prepare():
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(own.index, work)
        return work

    def run():
        writer = Writer(work, open_index(work).manifest)
        narration.update_speech(writer, writer.manifest.folders)

    said = []
    for folder in killed_at_each_step(run, prepare, every=2):
        assert open_index(folder).warnings == ()
        said += texts(search(dataclasses.replace(own, index=folder), "falls"))
        # Again, it is done.
        run()
        after = texts(search(dataclasses.replace(own, index=folder), "falls"))
        assert after == ["a purple elephant falls"]
        assert not list((folder / "speech").glob(".*"))
    assert set(said) == {"it falls down", "a purple elephant falls"}
