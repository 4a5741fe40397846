# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The index of a clip's file is FFmpeg's, and a lying one costs neither memory nor time."""

import io
import struct
import tracemalloc

import av
import numpy as np
import pytest

from mmv_tf.data.stored_clips import clip_encoder, mp4
from mmv_tf.data.stored_clips.mp4 import Mp4Error, read_mp4
from tests import stored_clips


@pytest.fixture(scope="module", params=[48_000, 16_000])
def data(request):
    rate = request.param
    return stored_clips.clip(stored_clips.moving(40), stored_clips.bursts(4.0, rate), rate)


def box(data, kind):
    """Where a box's contents begin."""
    index = data.index(b"moov")  # The file type names avc1, too.
    assert data.count(kind, index) == 1
    return data.index(kind, index) + 4


def changed(data, kind, at, form, *values):
    """The file with other numbers at a place of a box."""
    damaged = bytearray(data)
    struct.pack_into(form, damaged, box(data, kind) + at, *values)
    return bytes(damaged)


def test_samples_are_those_that_ffmpeg_finds(data):
    found = read_mp4(data)
    for number, track in enumerate((found.video, found.sound)):
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams[number]
            packets = [packet for packet in container.demux(stream) if packet.size]
            places = zip(track.starts.tolist(), track.sizes.tolist(), strict=True)
            assert [data[start : start + size] for start, size in places] == [
                bytes(packet) for packet in packets
            ]
            assert stream.time_base.denominator == track.timescale
            assert track.times.tolist() == [packet.pts for packet in packets]
            keys = [index for index, packet in enumerate(packets) if packet.is_keyframe]
            assert track.keys.tolist() == keys
            assert track.setup == stream.codec_context.extradata
            assert track.codec == stream.codec_context.codec.canonical_name
    assert (found.video.height, found.video.width) == (48, 64)
    assert found.video.end == 4_000_000 and found.sound.end >= 4 * found.sound.timescale
    mp4.check_slices(data, found.video)


def silent():
    """The file without sound, whose boxes have all other names only once."""
    return stored_clips.video(stored_clips.moving(40))


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        (lambda d: b"", mp4.NOT_MP4, "does not begin"),
        (lambda d: b"\x89PNG" + d, mp4.NOT_MP4, "does not begin"),
        (lambda d: d[: len(d) // 2], mp4.TRUNCATED_MP4, "bytes"),
        (lambda d: d[: d.index(b"moov") - 4], mp4.TRUNCATED_MP4, "no index"),
        (lambda d: d.replace(b"stsz", b"free"), mp4.TRUNCATED_MP4, "0 boxes of type stsz"),
        (lambda d: d.replace(b"avc1", b"hvc1"), mp4.UNSUPPORTED_MP4, "codec is hvc1"),
        (lambda d: d.replace(b"vide", b"text"), mp4.UNSUPPORTED_MP4, "track of type text"),
        (lambda d: d.replace(b"vmhd", b"mvex"), None, ""),
        (lambda d: d.replace(b"mvhd", b"mvex"), mp4.UNSUPPORTED_MP4, "fragmented"),
        (lambda d: changed(d, b"stsz", 4, ">II", 1, 2**31), mp4.UNSUPPORTED_MP4, "2147483648"),
        (lambda d: changed(d, b"stsz", 8, ">I", 2**19), mp4.TRUNCATED_MP4, "more than its bytes"),
        (lambda d: changed(d, b"stsz", 4, ">II", 9, 2**19), mp4.TRUNCATED_MP4, "contradicts"),
        (lambda d: changed(d, b"stsz", 12, ">I", 2**31), mp4.TRUNCATED_MP4, "past its end"),
        (lambda d: changed(d, b"stsz", 12, ">I", 0), mp4.TRUNCATED_MP4, "contradicts"),
        (lambda d: changed(d, b"stco", 4, ">I", 2**30), mp4.TRUNCATED_MP4, "more than its bytes"),
        (lambda d: changed(d, b"stco", 8, ">I", 2**31), mp4.TRUNCATED_MP4, "past its end"),
        (lambda d: changed(d, b"stsc", 8, ">I", 7), mp4.TRUNCATED_MP4, "contradicts"),
        (lambda d: changed(d, b"stsc", 12, ">I", 2**31), mp4.TRUNCATED_MP4, "contradicts"),
        (lambda d: changed(d, b"stts", 8, ">I", 2**31), mp4.TRUNCATED_MP4, "numbers of times"),
        (lambda d: changed(d, b"stss", 12, ">I", 99), mp4.TRUNCATED_MP4, "key frames"),
        (lambda d: changed(d, b"mdhd", 12, ">I", 0), mp4.UNSUPPORTED_MP4, "timescale is 0"),
        (lambda d: changed(d, b"elst", 4, ">I", 2), mp4.UNSUPPORTED_MP4, "edit list"),
        (lambda d: changed(d, b"avc1", 24, ">H", 0), mp4.UNSUPPORTED_MP4, "size is 0 x 48"),
        (lambda d: changed(d, b"avcC", 4, ">B", 0xFC), mp4.UNSUPPORTED_MP4, "4-byte"),
    ],
)
def test_what_is_refused(change, reason, detail):
    data = change(silent())
    tracemalloc.start()
    try:
        if reason is None:
            read_mp4(data)
        else:
            with pytest.raises(Mp4Error, match=detail) as error:
                read_mp4(data)
            assert error.value.reason == reason
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_frames_in_another_order_than_shown_are_refused(monkeypatch):
    options = {**clip_encoder.VIDEO_OPTIONS, "bf": "2"}
    monkeypatch.setattr(clip_encoder, "VIDEO_OPTIONS", options)
    with pytest.raises(Mp4Error, match="not stored in display order"):
        read_mp4(stored_clips.video(stored_clips.moving(12)))


def test_slices_only(data):
    track = read_mp4(data).video
    start = int(track.starts[3])
    for content, detail in (
        (struct.pack(">IB", 10**9, 0x65), "frame 3 is cut off"),
        (struct.pack(">IB", int(track.sizes[3]) - 4, 0x67), "frame 3 has data of kind 7"),
        (struct.pack(">IB", 0, 0x65), "frame 3 is cut off"),
    ):
        damaged = data[:start] + content + data[start + 5 :]
        with pytest.raises(Mp4Error, match=detail):
            mp4.check_slices(damaged, track)


def test_random_damage_to_the_index_is_refused_or_stays_inside_the_file(data):
    rng = np.random.default_rng(0)
    begin = data.index(b"moov")
    tracemalloc.start()
    refused = 0
    for _ in range(200):
        damaged = bytearray(data)
        place = int(rng.integers(begin, len(data) - 4))
        damaged[place : place + 4] = rng.bytes(4)
        try:
            found = read_mp4(bytes(damaged))
        except Mp4Error:
            refused += 1
            continue
        for track in (found.video, found.sound):
            if track is not None:
                assert (track.starts >= 0).all()
                assert (track.starts + track.sizes <= len(data)).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 50 and peak < 16 << 20
