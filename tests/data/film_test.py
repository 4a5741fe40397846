# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Half a minute of the quickstart's film, if `make quickstart` has fetched it."""

import itertools
import pathlib

import av
import pytest

from mmv_tf.data import Reader, captions, default_config, preparation
from mmv_tf.data.integrity import verification
from mmv_tf.data.records import manifests
from mmv_tf.layers import LogMel, WordTokenizer
from tests import media_samples

ROOT = pathlib.Path(__file__).parents[2]
FILM = ROOT / "runs" / "quickstart" / "downloads" / "bbb.mp4"
NARRATION = ROOT / "mmv_tf" / "quickstart" / "bbb_narration.vtt"
START, SECONDS = 120.0, 36.0


def cut(film, start, seconds, target):
    """Copy packets without decoding, from the key frame before `start`; return its time."""
    with av.open(str(film)) as source, av.open(str(target), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
        source.seek(int(start * av.time_base))
        first = None
        for packet in source.demux():
            if packet.dts is None or packet.stream_index not in streams:
                continue
            time = float(packet.pts * packet.time_base)
            if first is None:
                first = time
            if time > first + seconds:
                break
            shift = round(first / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream_index]
            copy.mux(packet)
    return first


@pytest.fixture(scope="module")
def piece(tmp_path_factory):
    if not FILM.exists():
        pytest.skip("the film is not here; make quickstart fetches it")
    folder = tmp_path_factory.mktemp("film")
    first = cut(FILM, START, SECONDS, folder / "piece.mp4")
    cues = [
        (cue.start - first, cue.end - first, cue.text)
        for cue in captions.read_captions(NARRATION)
        if first <= cue.start and cue.end <= first + SECONDS
    ]
    assert len(cues) > 4
    media_samples.write_vtt(folder / "piece.vtt", cues)
    return folder, len(cues)


def test_a_piece_of_the_film_becomes_shards_and_batches(piece, tmp_path):
    folder, cues = piece
    settings = preparation.Settings(
        short_side=64, block_seconds=12.0, split_pattern=("train", "test"), num_shards=1
    )
    manifest, _ = preparation.prepare(preparation.find_sources(folder), tmp_path, settings)
    assert manifest == manifests.read_manifest(tmp_path)
    clips = {name: split["num_examples"] for name, split in manifest["splits"].items()}
    assert sum(clips.values()) + manifest["dropped"].get("captions_across_borders", 0) == cues
    assert verification.verify(tmp_path).clean
    config = default_config()
    config.directory, config.batch_size, config.candidates = str(tmp_path), 3, 2
    config.num_frames, config.frame_rate, config.size = 8, 2.5, 48
    tokenizer = WordTokenizer(["bunny", "butterfly", "tree", "grass", "flower"])
    reader = Reader(config, tokenizer, LogMel())
    for batch in itertools.islice(reader.train(seed=0), 2):
        assert batch["video"].shape == (3, 8, 48, 48, 3)
        assert batch["valid/video"].numpy().all() and batch["valid/audio"].numpy().all()
        # Frames of a film: neither dark nor flat, and moving.
        assert 0.1 < batch["video"].numpy().mean() < 0.9
        assert batch["video"].numpy().std(axis=(2, 3)).min() > 0.02
        assert abs(batch["video"][:, 1:] - batch["video"][:, :-1]).numpy().mean() > 1e-3
    config.split = "test"
    batches = Reader(config, tokenizer, LogMel()).evaluate()
    assert sum(int(batch["valid/video"].numpy().sum()) for batch in batches) == clips["test"]
