# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parts of shards in memory; what a walk over a damaged file finds is in verification_test."""

import pytest

from mmv_tf.data.records import framing

PAYLOADS = [b"", b"one", bytes(300), b"last"]
PART = b"".join(map(framing.framed, PAYLOADS))


def test_records_of_a_part():
    assert framing.payloads(PART, 4) == PAYLOADS
    assert framing.payloads(PART + b"what follows", 4) == PAYLOADS
    assert framing.payloads(PART, 2) == PAYLOADS[:2]
    assert framing.payloads(b"", 0) == []


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (PART[:-1], "record 3 of 4: truncated"),
        (PART[: -len(framing.framed(PAYLOADS[-1]))], "record 3 of 4: length checksum"),
        (b"\x01" + PART[1:], "record 0 of 4: length checksum"),
        (PART[:-6] + b"?" + PART[-5:], "record 3 of 4: payload checksum"),
    ],
)
def test_damage_is_named(part, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        framing.payloads(part, 4)


def test_checksums_of_payloads_may_have_been_compared_before():
    part = PART[:-6] + b"?" + PART[-5:]
    assert framing.payloads(part, 4, checksums=False)[3] == b"la?t"
