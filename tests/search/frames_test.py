# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import av
import numpy as np
import pytest

from mmv_tf.data.media import iter_frames_at
from mmv_tf.inference.windows import Windows
from mmv_tf.search import Query, Searcher, frames, update_index
from mmv_tf.search.exact import RangesTerm, best, scores
from mmv_tf.search.queries import embed_query
from mmv_tf.search.store import open_index
from tests import media_samples
from tests.search.conftest import HERE


def encode(pictures):
    """A vector a frame, the angle of its first pixel."""
    angle = pictures[:, 0, 0, 0] / 100
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


@pytest.mark.parametrize("rate", [1, 2.5, 4, 5, 10, 30])
def test_windows_have_their_frames(rate):
    """The frames of a window, naively: all described ones in it, alike ones once."""
    windows = Windows(8, 5.0, 2, True, 4, 0)
    sampler = frames.FrameSampler(encode, rate, windows)
    starts, generator = [4, 8, 12, 14], np.random.default_rng(0)
    number = (starts[-1] + 8 - starts[0]) * sampler.finer
    values = np.sort(generator.integers(0, 200, number))
    pictures = np.zeros([number, 2, 2, 3], np.uint8)
    pictures[:, 0, 0, 0] = values
    table = sampler.table(pictures, starts)
    described = np.arange(0, number, sampler._stride)
    assert 5 * sampler.finer / sampler._stride >= min(rate, 5 * sampler.finer) * 0.99
    for start, (first, end) in zip(starts, table.ranges, strict=True):
        low = (start - starts[0]) * sampler.finer
        inside = described[(described >= low) & (described < low + 8 * sampler.finer)]
        cosines = encode(pictures[inside]) @ table.vectors[first:end].T
        assert cosines.max(axis=1).min() >= 0.999 and cosines.max(axis=0).min() >= 0.999
    assert (np.sum(table.vectors[1:] * table.vectors[:-1], axis=1) < 0.999).all()


def ranges_term(generator, rows=50, vectors=90, dim=6):
    firsts = np.sort(generator.integers(0, vectors - 5, rows))
    ranges = np.stack([firsts, firsts + generator.integers(1, 6, rows)], axis=1)
    ranges[-1] = vectors - 1, vectors
    values = generator.standard_normal((vectors, dim)).astype(np.float16)
    return RangesTerm(values, ranges, generator.standard_normal(dim).astype(np.float32) / 9, 1.0)


def test_the_best_frame_counts():
    term = ranges_term(np.random.default_rng(0))
    naive = np.array(
        [max(term.vectors[a:b].astype(np.float32) @ term.vector) for a, b in term.ranges]
    )
    np.testing.assert_allclose(term.cosines(slice(None)), naive, atol=1e-6)
    np.testing.assert_allclose(term.cosines(slice(7, 21)), naive[7:21], atol=1e-6)
    some = np.array([3, 49, 3, 20])
    np.testing.assert_allclose(term.cosines(some), naive[some], atol=1e-6)
    assert term.cosines(np.zeros(0, np.int64)).shape == (0,)
    rows, values = best([term], 4)
    np.testing.assert_array_equal(rows, np.argsort(-naive, kind="stable")[:4])
    np.testing.assert_allclose(values, scores([term], rows))


def test_a_vector_has_content_and_layout(library):
    encoder = frames.FrameEncoder(library.embedder.encoder)
    size = library.embedder.windows.size
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    pictures[2] = 0
    found = encoder(pictures)
    assert found.shape == (3, frames.SIZE)
    np.testing.assert_allclose(np.linalg.norm(found[:2], axis=1), 1, atol=1e-6)
    fields = pictures[0].mean(-1).reshape(8, size // 8, 8, size // 8).mean((1, 3)).ravel()
    fields = fields - fields.mean()
    np.testing.assert_allclose(
        found[0, :64], np.sqrt(0.3) * fields / np.linalg.norm(fields), atol=1e-5
    )
    assert (found[2] == 0).all() or np.linalg.norm(found[2]) == pytest.approx(1)
    windows = library.embedder.windows
    black = frames.FrameSampler(encoder, 4.0, windows)
    table = black.table(np.zeros_like(pictures, shape=(40, size, size, 3)), [0, 4])
    assert len(table.vectors) == 1 and table.ranges.tolist() == [[0, 1], [0, 1]]


def test_a_frame_finds_its_moment(library, tmp_path):
    """A film of scenes of random fields, in each of which a white bar moves."""
    generator = np.random.default_rng(0)
    write_scenes(tmp_path / "scenes.mp4", generator.integers(0, 256, (20, 6, 8, 3), np.uint8))
    update_index(tmp_path, tmp_path / "index", library.embedder, options=HERE)
    searcher = Searcher(tmp_path / "index")
    searcher._embedder = library.embedder
    times = generator.uniform(0.1, 19.9, 100)
    times.sort()
    right = 0
    for time, (_, jpeg) in zip(
        times, iter_frames_at(tmp_path / "scenes.mp4", times.tolist(), 64), strict=True
    ):
        query = Query("image", jpeg)
        assert embed_query(query, library.embedder, frames=True).matrix == frames.FRAMES
        (moment,) = searcher.search([query], 1).moments
        right += moment.start <= time <= moment.end
    assert right >= 99


def write_scenes(path, scenes, frame_rate=10):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=frame_rate)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for scene in scenes:
            for at in range(frame_rate):
                pixels = scene.repeat(12, 0).repeat(12, 1)
                pixels[:, at * 9 : at * 9 + 8] = 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


@pytest.mark.slow
def test_frames_are_kept_by_merges_and_left_out_on_request(library, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in "abc":
        media_samples.write_film(videos / f"{name}.mp4", seconds=3)
        update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    before = open_index(tmp_path / "index")
    tables = {
        v.name: frames._copied(frames_move(before, v)).ranges.tolist()
        for v in before.manifest.videos
    }
    (videos / "a.mp4").unlink()
    update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    for number in range(9):  # Many segments are merged.
        media_samples.write_film(videos / f"d{number}.mp4", seconds=2)
        update_index(videos, tmp_path / "index", library.embedder, options=HERE)
    after = open_index(tmp_path / "index")
    assert len(after.segments) < 9
    for video in after.manifest.videos:
        table = frames._copied(frames_move(after, video))
        assert len(table.ranges) == video.count
        if video.name in tables:
            assert table.ranges.tolist() == tables[video.name]

    none = dataclasses.replace(HERE, frames_per_second=0.0)
    update_index(videos, tmp_path / "none", library.embedder, options=none)
    update_index(videos, tmp_path / "none", library.embedder, options=HERE)
    index = open_index(tmp_path / "none")
    assert index.manifest.frames_per_second == 0
    assert all(s.file("frames.npy") is None for s in index.segments.values())
    with pytest.raises(ValueError, match="expected 0"):
        dataclasses.replace(HERE, frames_per_second=-1.0)


def frames_move(index, video):
    from mmv_tf.search.parts import Moved

    return Moved(index.segments[video.segment], video.first, video.count, 0)
