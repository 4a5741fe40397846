# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The damage matrix: each kind stops by default, is counted when skipped, and loses no others."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmv_tf.data import DamagedDataError, Reader
from mmv_tf.data.integrity import checks, decoding, inspection, jpeg, rules, verification
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading import ordering
from mmv_tf.data.reading.records import Records
from mmv_tf.data.reading.settings import PIXELS
from mmv_tf.data.records import framing, keys
from tests import records

LIMITS = Limits(
    record_bytes=1 << 20, frames=50, frame_pixels=1 << 16, samples=10_000, captions=20,
    caption_bytes=1000,
)  # fmt: skip


def flip(offset):
    return lambda content: content.__setitem__(offset, content[offset] ^ 0x10)


def context(example, key):
    return example.context.feature[key]


def feature_list(example, key):
    return example.feature_lists.feature_list[key].feature


def set_frame(frame, index=2):
    def edit(example):
        feature_list(example, keys.FRAMES)[index].bytes_list.value[0] = frame

    return edit


def set_samples(change):
    def edit(example):
        values = feature_list(example, keys.WAVEFORM)[0].float_list.value
        values[:] = change(np.array(values, np.float32))

    return edit


def with_value(value, at):
    def change(samples):
        samples[at] = value
        return samples

    return change


def set_context(key, kind, *values):
    def edit(example):
        getattr(context(example, key), kind).value[:] = values

    return edit


def drop(key):
    def edit(example):
        example.context.feature.pop(key, None)
        example.feature_lists.feature_list.pop(key, None)

    return edit


def png(height, width):
    data = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(data, "PNG")
    return data.getvalue()


def png_bomb(side=60_000):
    """A JPEG of a few hundred kilobytes that decodes to ten gigabytes."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


def jpeg_bomb():
    """A small JPEG with a declared size of 65,000 x 65,000."""
    data = bytearray(records.jpeg(9))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(data)


def arithmetic_jpeg():
    data = bytearray(records.jpeg(9))
    data[data.index(b"\xff\xc0") + 1] = 0xC9
    return bytes(data)


def dmvr_audio(samples):
    """Return 32-bit integers read as floats."""
    return (samples * 0.2 * 2**31).astype("<i4").view("<f4")


def caption_times(key, *seconds):
    """Set caption times, from the start of the clip."""

    def edit(example):
        start = context(example, keys.CLIP_START).int64_list.value[0]
        values = [start + round(1e6 * second) for second in seconds]
        context(example, key).int64_list.value[:] = values

    return edit


def many_captions(example):
    for key, kind, value in (
        (keys.CAPTION, "bytes_list", b"word"),
        (keys.CAPTION_START, "int64_list", 0),
        (keys.CAPTION_END, "int64_list", 1),
    ):
        getattr(context(example, key), kind).value[:] = [value] * 21


def plain_example(example):
    return tf.train.Example(features=example.context).SerializeToString()


def id_of(payload):
    example = tf.train.SequenceExample.FromString(payload)
    return context(example, keys.EXAMPLE_ID).bytes_list.value[0]


def same_id_as(number):
    identity = id_of(records.example(number).SerializeToString())
    return set_context(keys.EXAMPLE_ID, "bytes_list", identity)


def ragged_log_mel(example):
    for bins in (8, 9):
        feature_list(example, keys.LOG_MEL).add().float_list.value[:] = [0.5] * bins


def no_sample_rate_but(rate):
    return set_context(keys.SAMPLE_RATE, "float_list", rate)


# Record 1 of shard 0, edited: name -> (edit, reason).
EDITS = {
    "garbage": (lambda example: b"\xff" * 50, "not a SequenceExample"),
    "empty record": (lambda example: b"", "not a SequenceExample"),
    "an Example": (plain_example, "missing key"),
    "no frames key": (drop(keys.FRAMES), "missing key"),
    "no id": (drop(keys.EXAMPLE_ID), "missing key"),
    "empty id": (set_context(keys.EXAMPLE_ID, "bytes_list", b""), "empty example id"),
    "id of a wrong type": (set_context(keys.EXAMPLE_ID, "int64_list", 7), "wrong type"),
    "zero frames": (
        lambda example: feature_list(example, keys.FRAMES).__delitem__(slice(None)),
        "no frames",
    ),
    "too many frames": (
        lambda example: feature_list(example, keys.FRAMES).extend(
            [feature_list(example, keys.FRAMES)[0]] * 60
        ),
        "too many frames",
    ),
    "PNG frame": (set_frame(png(24, 32)), "not a JPEG"),
    "PNG bomb": (set_frame(png_bomb()), "not a JPEG"),
    "JPEG bomb": (set_frame(jpeg_bomb()), "frame too large"),
    "text as a frame": (set_frame(b"<html>404</html>"), "not a JPEG"),
    "empty frame": (set_frame(b""), "not a JPEG"),
    "truncated JPEG": (set_frame(records.jpeg(9)[:-200]), "truncated JPEG"),
    "JPEG cut in its header": (set_frame(records.jpeg(9)[:100]), "truncated JPEG"),
    "JPEG with a broken header": (
        set_frame(records.jpeg(9)[:20] + bytes(40) + records.jpeg(9)[60:]), "not a JPEG",
    ),
    "CMYK JPEG": (set_frame(records.jpeg(9, mode="CMYK")), "unsupported JPEG"),
    "arithmetic JPEG": (set_frame(arithmetic_jpeg()), "unsupported JPEG"),
    "frames of two sizes": (set_frame(records.jpeg(9, 40, 30)), "frames of several sizes"),
    "NaN audio": (set_samples(with_value(np.nan, 100)), "audio not finite"),
    "NaN all through": (set_samples(lambda x: x * np.nan), "audio not finite"),
    "infinite audio": (set_samples(with_value(np.inf, 0)), "audio not finite"),
    "loud audio": (set_samples(lambda x: x * 32_768), "audio out of range"),
    "one-sample audio": (set_samples(lambda x: x[:1]), "audio length"),
    "ten times the audio": (set_samples(lambda x: np.tile(x, 10)), "audio length"),
    "endless audio": (set_samples(lambda x: np.tile(x, 11)), "audio length"),
    "wrong sample rate": (no_sample_rate_but(1600.0), "wrong sample rate"),
    "zero sample rate": (no_sample_rate_but(0.0), "wrong sample rate"),
    "DMVR's audio": (set_samples(dmvr_audio), "corrupt DMVR audio"),
    "wrong frame rate": (
        set_context(keys.FRAME_RATE, "float_list", 25.0), "wrong frame rate",
    ),
    "log-mel frames of two lengths": (ragged_log_mel, "log-mel shape"),
    "NaN in a log-mel": (
        lambda example: feature_list(example, keys.LOG_MEL).add()
        .float_list.value.extend([0.5, np.nan]),
        "audio not finite",
    ),
    "clip ends before it starts": (
        set_context(keys.CLIP_END, "int64_list", 0), "clip times",
    ),
    "10 MB caption": (
        set_context(keys.CAPTION, "bytes_list", b"word " * 2_000_000, b"", b""),
        "record too large",
    ),
    "long caption": (
        set_context(keys.CAPTION, "bytes_list", b"word " * 500, b"", b""),
        "caption too long",
    ),
    "too many captions": (many_captions, "too many captions"),
    "captions out of order": (
        caption_times(keys.CAPTION_START, 0.2, 0.1, 0.0), "caption times",
    ),
    "caption past the end": (
        lambda example: (
            caption_times(keys.CAPTION_START, 0.0, 0.4, 60.0)(example),
            caption_times(keys.CAPTION_END, 0.3, 0.7, 61.0)(example),
        )[:0] or None,
        "caption times",
    ),
    "negative caption time": (
        caption_times(keys.CAPTION_START, -5.0, 0.4, 0.8), "caption times",
    ),
    "caption ends before it starts": (
        caption_times(keys.CAPTION_END, 0.3, 0.1, 1.1), "caption times",
    ),
    "fewer times than captions": (
        caption_times(keys.CAPTION_END, 0.3), "caption counts differ",
    ),
    "label out of range": (
        set_context(keys.LABEL_INDEX, "int64_list", 2), "label out of range",
    ),
    "negative label": (
        set_context(keys.LABEL_INDEX, "int64_list", -1), "label out of range",
    ),
    "the same id in a shard": (same_id_as(0), "duplicate example id"),
}  # fmt: skip


def into_gzip(data):
    data.path(0).write_bytes(gzip.compress(data.path(0).read_bytes()))


def into_directory(data):
    data.path(0).unlink()
    data.path(0).mkdir()


def cut(data, keep):
    data.patch(0, lambda content: bytes(content[:keep]))


def claim(data, records_of_first):
    manifest = data.manifest()
    manifest["splits"]["train"]["shards"][0]["records"] = records_of_first
    data.write_manifest(splits=manifest["splits"])


# Files changed without the manifest: name -> (change, reason, records lost).
FILES = {
    "flipped payload byte": (
        lambda d: d.patch(0, flip(d.offset(0, 1) + 500)), "payload checksum", 1,
    ),
    "flipped payload checksum": (
        lambda d: d.patch(0, flip(d.offset(0, 2) - 2)), "payload checksum", 1,
    ),
    "flipped length": (lambda d: d.patch(0, flip(d.offset(0, 1))), "length checksum", 1),
    "length of exabytes": (lambda d: d.patch(0, flip(d.offset(0, 1) + 7)), "length checksum", 1),
    "flipped length checksum": (
        lambda d: d.patch(0, flip(d.offset(0, 1) + 9)), "length checksum", 1,
    ),
    "last record flipped": (
        lambda d: d.patch(0, flip(d.offset(0, 3) + 3)), "length checksum", 1,
    ),
    "truncated in a payload": (lambda d: cut(d, d.offset(0, 2) + 300), "truncated", 2),
    "truncated in a header": (lambda d: cut(d, d.offset(0, 3) + 5), "truncated", 1),
    "truncated to a few bytes": (lambda d: cut(d, 3), "truncated", 4),
    "bytes lost in the middle": (
        lambda d: d.patch(
            0, lambda c: c.__delitem__(slice(d.offset(0, 1) + 90, d.offset(0, 1) + 99))
        ),
        "payload checksum", 1,
    ),
    "a stretch of zeros over two records": (
        lambda d: d.patch(
            0, lambda c: c.__setitem__(
                slice(d.offset(0, 1) + 50, d.offset(0, 2) + 50),
                bytes(d.offset(0, 2) - d.offset(0, 1)),
            )
        ),
        "payload checksum", 2,
    ),
    "random bytes all through": (
        lambda d: d.patch(0, lambda c: np.random.default_rng(0).bytes(len(c))),
        "length checksum", 4,
    ),
    "empty shard": (lambda d: cut(d, 0), "empty shard", 4),
    "missing shard": (lambda d: d.path(0).unlink(), "missing shard", 4),
    "a directory in place of a shard": (into_directory, "unreadable file", 4),
    "gzip": (into_gzip, "unreadable file", 4),
    "the manifest says more": (lambda d: claim(d, 7), "record count", 3),
}  # fmt: skip


@pytest.fixture
def data(tmp_path):
    return records.write(tmp_path / "data")


def reader(data, **settings):
    return Reader(data.config(**settings), None, None, LIMITS)


def opened(data, **settings):
    return Records(data.config(**settings), LIMITS, None)


def read_ids(source):
    return [i for batch in source.evaluate() for i in batch["example_id"][:, 0].numpy().tolist()]


def check(data, reason, lost):
    """Damage stops by default; skipping and verification account for all records."""
    with pytest.raises(DamagedDataError, match=reason) as stopped:
        reader(data).train(seed=0)
    assert data.path(0).name in str(stopped.value)
    assert "\n" not in str(stopped.value)
    skipping = opened(data, on_bad_record="skip", max_bad_fraction=1.0)
    report = skipping.damage()
    assert report.by_reason == {reason: lost}
    once = [id_of(payload.numpy()) for _, _, payload in ordering.in_order(skipping)]
    assert len(once) == len(set(once)) == report.read == skipping.num_good()
    assert report.written == len(once) + report.reported
    epoch = ordering.epochs(skipping, seed=0).take(len(once))
    assert {id_of(payload.numpy()) for _, _, payload, _ in epoch} == set(once)
    verified = verification.verify(data.directory, limits=LIMITS).report
    assert (verified.written, verified.read) == (report.written, report.read)
    assert verified.written == verified.read + verified.reported
    assert set(report.findings) <= set(verified.findings)  # It also compares checksums.
    too_many = reader(data, on_bad_record="skip", max_bad_fraction=lost / report.written - 0.01)
    with pytest.raises(DamagedDataError, match="max_bad_fraction"):
        too_many.evaluate()
    return report


@pytest.mark.parametrize("kind", EDITS)
def test_a_damaged_record(data, kind):
    edit, reason = EDITS[kind]
    data.change(0, 1, edit)
    report = check(data, reason, 1)
    assert report.written == 8
    (finding,) = report.findings
    assert finding.offset == data.offset(0, 1)


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file(data, kind):
    change, reason, lost = FILES[kind]
    change(data)
    report = check(data, reason, lost)
    assert report.written == (11 if kind == "the manifest says more" else 8)


@pytest.mark.slow
def test_bytes_that_belong_to_no_record(data):
    data.patch(0, lambda content: content.__setitem__(slice(0, 0), b"inserted" * 9))
    assert len(read_ids(reader(data, on_bad_record="skip", max_bad_fraction=1.0))) == 8
    with pytest.raises(DamagedDataError, match="length checksum"):
        reader(data).train(seed=0)


def test_the_manifest_says_fewer_records(data):
    claim(data, 2)
    with pytest.raises(DamagedDataError, match="holds 4 records, but the manifest states 2"):
        reader(data).train(seed=0)
    skipping = reader(data, on_bad_record="skip")
    assert len(read_ids(skipping)) == skipping.damage().written == 8


def test_the_same_id_in_two_shards(data):
    data.change(1, 2, same_id_as(1))
    with pytest.raises(DamagedDataError, match="duplicate example id"):
        reader(data).train(seed=0)
    skipping = reader(data, on_bad_record="skip", max_bad_fraction=0.2)
    assert skipping.damage().by_reason == {"duplicate example id": 1}
    assert len(set(read_ids(skipping))) == 7


def test_nothing_is_left(data):
    for shard in (0, 1):
        data.path(shard).write_bytes(b"")
    skipping = reader(data, on_bad_record="skip", max_bad_fraction=1.0)
    with pytest.raises(ValueError, match="no examples"):
        skipping.train(seed=0)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("no audio", drop(keys.WAVEFORM)),
        ("silent", set_samples(np.zeros_like)),
        ("no captions", drop(keys.CAPTION)),
    ],
)
def test_what_is_unusual_is_no_damage(data, name, edit):
    def edit_all(example):
        edit(example)
        if name == "no captions":
            drop(keys.CAPTION_START)(example)
            drop(keys.CAPTION_END)(example)

    data.change(0, 1, edit_all)
    source = reader(data)
    assert source.damage().findings == ()
    assert len(read_ids(source)) == 8


# Without inspection, the pipeline stops with an error that names the place.
@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize(
    "kind",
    ["garbage", "no frames key", "zero frames", "PNG bomb", "JPEG bomb", "truncated JPEG",
     "JPEG with a broken header", "frames of two sizes", "long caption",
     "fewer times than captions"],
)  # fmt: skip
def test_an_uninspected_record_stops_the_pipeline(data, kind, pixels):
    edit, _ = EDITS[kind]
    data.change(0, 1, edit)
    source = reader(data, inspect="never", num_frames=6, pixels=pixels)
    with pytest.raises(DamagedDataError, match=data.path(0).name), source.explained():
        read_ids(source)


@pytest.mark.parametrize("kind", FILES)
def test_an_uninspected_file_stops_the_pipeline(data, kind):
    FILES[kind][0](data)
    source = opened(data, inspect="never")

    def read():
        source.damage()  # At least sizes are compared.
        return list(ordering.epochs(source, seed=0).take(9))

    with pytest.raises(ValueError, match=data.path(0).name) as stopped, source.explained():
        read()
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize("claimed", [2, 7])
def test_an_uninspected_shard_of_another_count_stops_the_pipeline(data, claimed):
    claim(data, claimed)
    source = opened(data, inspect="never")
    with pytest.raises(DamagedDataError, match="holds 4 records"), source.explained():
        list(ordering.in_order(source))


def test_the_matrix_is_whole():
    """Every reason occurs in a test."""
    provoked = {reason for _, reason in EDITS.values()} | {r for _, r, _ in FILES.values()}
    assert len(EDITS) + len(FILES) >= 60
    reasons = {
        value
        for module in (
            *(checks, checks, rules, checks, checks),
            *(inspection, jpeg, framing, decoding),
        )
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    } - {inspection.CACHE_FILE}
    # Only decoding finds these: see verification_test and video_test.
    assert reasons - provoked == {decoding.UNDECODABLE, decoding.UNDECODABLE_VIDEO}


def test_a_shard_of_another_size_is_seen_without_looking(data):
    cut(data, 3)
    with pytest.raises(ValueError, match="has 3 bytes"):
        reader(data, inspect="never").train(seed=0)


def test_what_was_found_is_remembered_and_forgotten_when_a_shard_changes(data):
    data.change(0, 1, EDITS["PNG frame"][0])
    reader(data, on_bad_record="skip", max_bad_fraction=1.0).damage()
    cache = data.directory / "inspection.json"
    assert cache.is_file()
    fresh = records.write(data.directory)
    assert reader(fresh, on_bad_record="skip").damage().findings == ()
    cache.write_text("no JSON")
    assert reader(fresh, on_bad_record="skip", max_bad_fraction=0.5).damage().read == 8


def test_damage_to_what_was_remembered_is_told_and_costs_no_record(data, monkeypatch, caplog):
    assert reader(data, on_bad_record="skip").damage().read == 8
    cache = data.directory / "inspection.json"
    content = cache.read_text()
    *_, last = re.finditer(r"\d", content)
    other = (int(last[0]) + 1) % 10  # still JSON
    cache.write_text(f"{content[: last.start()]}{other}{content[last.end() :]}")
    monkeypatch.setattr(inspection, "_REMEMBERED", {})  # as in another program
    assert reader(data, on_bad_record="skip").num_examples() == 8
    assert (
        "inspection.json: its checksum is missing or does not match. Inspecting the shards"
        in caplog.text
    )
    assert cache.read_text() == content


def test_a_policy_that_there_is_not():
    from mmv_tf.data.integrity.damage import DamageReport, enforce

    with pytest.raises(ValueError, match="on_bad_record is 'ignore'"):
        enforce(DamageReport(1, 1), "ignore", 0.1, "here")
