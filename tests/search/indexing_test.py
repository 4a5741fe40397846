# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import copy
import dataclasses
import os
import shutil

import keras
import numpy as np
import pytest

from mmv_tf.data import media
from mmv_tf.search import Embedder, merging, update_index
from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.files import Shard
from mmv_tf.search.indexing import Options
from mmv_tf.search.store import HEARD, SPANS, open_index
from mmv_tf.search.video_rows import VideoRows
from mmv_tf.util import locks
from tests import media_samples, small_world
from tests.search.conftest import EVIL_NAME, HERE


def touch(path):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def rows_of(index, name, matrix):
    (video,) = [video for video in index.manifest.videos if video.name == name]
    array = index.segments[video.segment].array(matrix)
    return np.array(array[video.first : video.first + video.count])


def naive_vision(embedder, path, start):
    """A window's embeddings, from its own frames, one by one, by a call of the network."""
    windows = embedder.windows
    times = [start + i / windows.frame_rate for i in range(windows.num_frames)]
    side = round(windows.size * 224 / 200)
    frames = [f for _, f in media.iter_pixels_at(path, times, side, not windows.square_crop, 9.0)]
    top, left = (frames[0].shape[0] - 32) // 2, (frames[0].shape[1] - 32) // 2
    clip = np.stack(frames)[:, top : top + 32, left : left + 32] / np.float32(255)
    return embedder.encoder.network.model({"video": clip[np.newaxis]}, training=False)["video"]


def naive_sound(embedder, path, start):
    windows = embedder.windows
    sound = media.read_waveform(path, start, start + windows.seconds, windows.sample_rate)
    log_mel = embedder.encoder.network.model.log_mel(sound[np.newaxis])
    return embedder.encoder.network.model({"audio": log_mel}, training=False)["audio"]


def test_every_window_has_its_own_embeddings(library):
    index = open_index(library.index)
    for name in ("long.mp4", "sub/silent.mkv"):
        spans = rows_of(index, name, SPANS)
        picked = sorted({0, len(spans) // 2, len(spans) - 2, len(spans) - 1})
        for row in picked:
            start = float(spans[row, 0])
            path = library.videos / name
            expected = {
                f"video.{k}": v for k, v in naive_vision(library.embedder, path, start).items()
            }
            if name == "long.mp4":
                found = naive_sound(library.embedder, path, start)
                expected |= {f"audio.{k}": v for k, v in found.items()}
            for matrix in index.manifest.matrices:
                got = rows_of(index, name, matrix)[row]
                if matrix not in expected:
                    assert not got.any(), "a video without sound"
                    continue
                vector = expected[matrix].numpy()[0]
                cosine = got @ vector / np.linalg.norm(vector)
                # float16 has 11 bits
                assert cosine == pytest.approx(1.0, abs=3e-4), (name, row, matrix)


def test_windows_overlap_and_cover_the_videos(library):
    index = open_index(library.index)
    names = [video.name for video in index.manifest.videos]
    assert names == sorted(["long.mp4", EVIL_NAME, "sub/silent.mkv"])
    for video in index.manifest.videos:
        spans = rows_of(index, video.name, SPANS)
        assert spans[0, 0] == 0
        assert spans[-1, 1] == pytest.approx(video.duration, abs=0.25)
        assert (spans[1:, 0] < spans[:-1, 1]).all(), "each overlaps the next"
        assert rows_of(index, video.name, HEARD).any() == video.has_audio
    assert index.manifest.videos[1].captions == "long.vtt"


def test_silence_is_not_heard(library):
    index = open_index(library.index)
    # The tone starts after a second.
    heard, spans = (rows_of(index, EVIL_NAME, name) for name in (HEARD, SPANS))
    assert heard.tolist() == (spans[:, 1] > 1.0).tolist()
    assert not heard[0]
    assert not rows_of(index, EVIL_NAME, "audio.va")[0].any()


def test_a_corrupt_video_is_listed_and_skipped(library):
    index = open_index(library.index)
    (entry,) = index.manifest.skipped
    assert entry.name == "damaged.mp4"
    assert "can't be decoded" in entry.reason
    assert str(library.videos) not in entry.reason


def test_new_changed_and_removed_files_are_noticed(library, tmp_path, monkeypatch):
    library = library.copy(tmp_path)
    # The copy lies elsewhere: an index is of one folder.
    with pytest.raises(ValueError, match="another folder"):
        update_index(library.videos, library.index, library.embedder, options=HERE)
    index = tmp_path / "new"
    first = update_index(library.videos, index, library.embedder, options=HERE)
    assert len(first.added) == 3
    before = {name: rows_of(open_index(index), name, "video.va") for name in first.added}

    embedded = []
    whole = VideoRows._embed
    monkeypatch.setattr(VideoRows, "_embed", lambda self, b: embedded.append(b) or whole(self, b))
    again = update_index(library.videos, index, library.embedder, options=HERE)
    assert sorted(again.unchanged) == sorted(first.added)
    assert not embedded, "nothing is embedded twice, and the damaged one is not tried again"
    assert again.skipped.keys() == {"damaged.mp4"}

    (library.videos / "sub" / "silent.mkv").unlink()
    media_samples.write_film(library.videos / EVIL_NAME, seconds=4)
    touch(library.videos / "long.mp4")
    media_samples.write_film(library.videos / "new.mp4", seconds=2)
    media_samples.write_film(library.videos / "damaged.mp4", seconds=2)
    (library.videos / "long.vtt").unlink()
    report = update_index(library.videos, index, library.embedder, options=HERE)
    assert report.added == ["damaged.mp4", "new.mp4"]
    assert report.changed == [EVIL_NAME]
    assert report.removed == ["sub/silent.mkv"]
    assert report.unchanged == ["long.mp4"]
    assert not report.skipped
    opened = open_index(index)
    assert opened.manifest.rows == report.windows
    assert {v.captions for v in opened.manifest.videos} == {None}
    np.testing.assert_array_equal(rows_of(opened, "long.mp4", "video.va"), before["long.mp4"])
    assert len(rows_of(opened, EVIL_NAME, SPANS)) > len(before[EVIL_NAME])


def test_a_stopped_run_is_gone_on_with(library, tmp_path, monkeypatch):
    calls = []
    whole = VideoRows._embed

    def stops(self, block):
        calls.append(block)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, block)

    monkeypatch.setattr(VideoRows, "_embed", stops)
    options = dataclasses.replace(HERE, commit_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        update_index(library.videos, tmp_path, library.embedder, options=options)
    done = {video.name for video in open_index(tmp_path).manifest.videos}
    assert 0 < len(done) < 3
    monkeypatch.setattr(VideoRows, "_embed", whole)
    report = update_index(library.videos, tmp_path, library.embedder, options=options)
    assert set(report.unchanged) == done
    assert len(report.added) == 3 - len(done)
    mine, theirs = open_index(tmp_path), open_index(library.index)
    for video in theirs.manifest.videos:
        for matrix in theirs.manifest.matrices:
            np.testing.assert_allclose(
                rows_of(mine, video.name, matrix), rows_of(theirs, video.name, matrix), atol=1e-5
            )


def test_a_file_that_changes_meanwhile_is_left_for_the_next_run(library, tmp_path, monkeypatch):
    videos = tmp_path / "videos"
    videos.mkdir()
    film = media_samples.write_film(videos / "a.mp4", seconds=2)
    whole = VideoRows._embed
    monkeypatch.setattr(VideoRows, "_embed", lambda s, b: touch(film) or whole(s, b))
    report = update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    assert report.windows == 0
    assert "a.mp4 changed while it was read" in report.notes[0]


def test_a_damaged_state_is_mended(library, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4"):
        media_samples.write_film(videos / name, seconds=2)
        update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    max((tmp_path / "index").glob("manifest-*")).write_text("{")
    report = update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    assert (report.unchanged, report.added) == (["a.mp4"], ["b.mp4"])
    assert "manifest-00000002.json can't be used" in report.notes[0]
    max((tmp_path / "index").glob("manifest-*")).write_text("{")
    (videos / "b.mp4").unlink()
    assert update_index(videos, tmp_path / "index", library.embedder, options=HERE).notes
    assert not update_index(videos, tmp_path / "index", library.embedder, options=HERE).notes


def test_the_second_indexer_refuses(library, tmp_path):
    held = locks.held(tmp_path / "lock", tmp_path, "busy")
    with held, pytest.raises(ValueError, match="is writing this index"):
        update_index(library.videos, tmp_path, library.embedder, options=HERE)


def another(embedder):
    """The same network, said to be another one."""
    other = copy.copy(embedder)
    other.fingerprint, other.path = "0" * 64, "other.keras"
    return other


def test_another_network_is_refused_with_the_reason(library):
    with pytest.raises(ValueError, match=r"made with the model .*; got .*other\.keras"):
        update_index(library.videos, library.index, another(library.embedder), options=HERE)


def test_an_index_of_another_network_can_be_overwritten(library, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    media_samples.write_film(videos / "a.mp4", seconds=2)
    update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    options = dataclasses.replace(HERE, overwrite=True)
    report = update_index(videos, tmp_path / "index", another(library.embedder), options=options)
    assert report.added == ["a.mp4"]
    index = open_index(tmp_path / "index")
    assert index.manifest.fingerprint == "0" * 64
    assert len(index.segments) == 1


def test_other_windows_are_refused(library):
    other = library.embedder.with_step(0.2)
    with pytest.raises(ValueError, match="windows every 2 frames; got 1"):
        update_index(library.videos, library.index, other, options=HERE)
    for seconds in (0.0, 1.2, -1.0):
        with pytest.raises(ValueError, match="The step between windows is"):
            library.embedder.with_step(seconds)


def test_a_network_is_told_by_its_weights_only(library):
    again = Embedder.load(library.model)
    assert again.fingerprint == library.embedder.fingerprint
    keras.utils.set_random_seed(1)
    assert Embedder(small_world.tiny_model(), "x").fingerprint != again.fingerprint


def test_segments_are_merged(library, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "_MOST_SEGMENTS", 1)
    options = dataclasses.replace(HERE, commit_seconds=0.0)
    update_index(library.videos, tmp_path, library.embedder, options=options)
    index = open_index(tmp_path)
    assert len(index.segments) == 1
    for video in index.manifest.videos:
        np.testing.assert_allclose(
            rows_of(index, video.name, "video.va"),
            rows_of(open_index(library.index), video.name, "video.va"),
            atol=1e-5,
        )


def test_what_can_be_compared(embedder):
    assert embedder.space("text", VISION) == "vat"
    assert embedder.space("text", SOUND) == "vat"
    assert embedder.space(SOUND, VISION) == embedder.space(VISION, SOUND) == "va"
    assert embedder.space(VISION, VISION) == embedder.space(SOUND, SOUND) == "va"
    assert embedder.matrices == {"video.va": 16, "video.vat": 8, "audio.va": 16, "audio.vat": 8}


def test_a_network_that_does_not_say_how_it_sees_is_refused():
    model = small_world.tiny_model()
    del model.metadata["frame_rate"]
    with pytest.raises(ValueError, match=r"does not specify frame_rate, .* settings="):
        Embedder(model, "x")


@pytest.mark.slow
def test_child_processes_give_the_same(library, tmp_path):
    update_index(library.videos, tmp_path, library.embedder, options=Options(processes=2))
    mine, theirs = open_index(tmp_path), open_index(library.index)
    assert [v.name for v in mine.manifest.videos] == [v.name for v in theirs.manifest.videos]
    assert [e.name for e in mine.manifest.skipped] == ["damaged.mp4"]
    for video in theirs.manifest.videos:
        for matrix in theirs.manifest.matrices:
            np.testing.assert_allclose(
                rows_of(mine, video.name, matrix), rows_of(theirs, video.name, matrix), atol=1e-5
            )


def test_names_that_are_no_utf8(library, tmp_path):
    odd = tmp_path / "videos" / os.fsdecode(b"caf\xe9.mp4")
    odd.parent.mkdir()
    shutil.copy(library.videos / EVIL_NAME, odd)
    odd.with_name(os.fsdecode(b"br\xfbl\xe9.mp4")).write_bytes(b"no film")
    report = update_index(odd.parent, tmp_path / "index", library.embedder, options=HERE)
    assert report.added == [odd.name]
    assert report.skipped.keys() == {os.fsdecode(b"br\xfbl\xe9.mp4")}
    again = update_index(odd.parent, tmp_path / "index", library.embedder, options=HERE)
    assert again.unchanged == [odd.name]
    (video,) = open_index(tmp_path / "index").manifest.videos
    assert (odd.parent / video.name).is_file()


def test_renamed_files_and_added_folders_are_not_embedded_again(library, tmp_path, monkeypatch):
    library = library.copy(tmp_path)
    index, more = tmp_path / "new", tmp_path / "more"
    first = update_index(library.videos, index, library.embedder, options=HERE)
    before = {name: rows_of(open_index(index), name, "video.va") for name in first.added}
    monkeypatch.setattr(VideoRows, "_embed", None)
    (library.videos / "long.mp4").rename(library.videos / "sub" / "longer.mp4")
    (library.videos / "long.vtt").rename(library.videos / "sub" / "longer.vtt")
    report = update_index(library.videos, index, library.embedder, options=HERE)
    assert report.renamed == {"sub/longer.mp4": "long.mp4"}
    assert not report.added and not report.removed
    opened = open_index(index)
    np.testing.assert_array_equal(rows_of(opened, "sub/longer.mp4", "video.va"), before["long.mp4"])
    (video,) = [v for v in opened.manifest.videos if v.name == "sub/longer.mp4"]
    assert video.captions == "sub/longer.vtt"

    more.mkdir()
    (library.videos / EVIL_NAME).rename(more / "a.mp4")
    with pytest.raises(ValueError, match=r"another folder.*--videos=.*--videos=.* to add"):
        update_index(more, index, library.embedder, options=HERE)
    report = update_index([library.videos, more], index, library.embedder, options=HERE)
    assert report.renamed == {"more/a.mp4": f"videos/{EVIL_NAME}"}
    assert report.skipped.keys() == {"videos/damaged.mp4"}
    manifest = open_index(index).manifest
    assert [v.name for v in manifest.videos] == [
        "more/a.mp4",
        "videos/sub/longer.mp4",
        "videos/sub/silent.mkv",
    ]
    assert manifest.videos[1].captions == "videos/sub/longer.vtt"
    for one in manifest.videos:
        assert manifest.folders.inside(one.name).is_file()
    # A folder that is not given is kept, even if it is not there now.
    more.rename(tmp_path / "away")
    report = update_index(library.videos, index, library.embedder, options=HERE)
    assert report.unchanged == ["videos/sub/longer.mp4", "videos/sub/silent.mkv"]
    assert not report.removed
    assert open_index(index).manifest.rows == report.windows


def test_an_index_of_another_share_is_refused(library):
    options = dataclasses.replace(HERE, shard=Shard(1, 2))
    with pytest.raises(ValueError, match="index of all files; got the share 1/2"):
        update_index(library.videos, library.index, library.embedder, options=options)


def test_folders_that_are_moved_or_forgotten(library, tmp_path, monkeypatch):
    library = library.copy(tmp_path)
    index, more = tmp_path / "new", tmp_path / "more"
    more.mkdir()
    (library.videos / EVIL_NAME).rename(more / "a.mp4")
    first = update_index([library.videos, more], index, library.embedder, options=HERE)
    monkeypatch.setattr(VideoRows, "_embed", None)
    more.rename(tmp_path / "away")
    (tmp_path / "away" / "a.mp4").rename(tmp_path / "away" / "b.mp4")
    options = dataclasses.replace(HERE, moved=True)
    report = update_index(tmp_path / "away", index, library.embedder, options=options)
    assert report.renamed == {"more/b.mp4": "more/a.mp4"} and report.windows == first.windows
    manifest = open_index(index).manifest
    assert manifest.roots["more"] == str(tmp_path / "away")
    assert manifest.folders.inside("more/b.mp4").is_file()
    with pytest.raises(ValueError, match="0 new folders for 0 missing folders"):
        update_index(library.videos, index, library.embedder, options=options)

    options = dataclasses.replace(HERE, forget=(tmp_path / "away",))
    report = update_index(library.videos, index, library.embedder, options=options)
    assert report.unchanged == ["long.mp4", "sub/silent.mkv"]
    manifest = open_index(index).manifest
    assert manifest.roots == {"": str(library.videos)}
    assert {video.name for video in manifest.videos} == {"long.mp4", "sub/silent.mkv"}
    with pytest.raises(ValueError, match="is not a folder of the index"):
        update_index(library.videos, index, library.embedder, options=options)


def test_a_folder_that_is_gone_is_not_taken_for_another(library, tmp_path):
    library = library.copy(tmp_path)
    index = tmp_path / "new"
    update_index(library.videos, index, library.embedder, options=HERE)
    library.videos.rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="or --moved if"):
        update_index(tmp_path / "elsewhere", index, library.embedder, options=HERE)
    options = dataclasses.replace(HERE, moved=True)
    report = update_index(tmp_path / "elsewhere", index, library.embedder, options=options)
    assert len(report.unchanged) == 3 and not report.added
