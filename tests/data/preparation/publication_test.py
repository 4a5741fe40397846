# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmv_tf.data.preparation import publication
from mmv_tf.data.preparation.publication import DamagedBlockError


def test_records_come_back(tmp_path):
    path = tmp_path / "new" / "0.block"
    publication.write_block(path, iter([b"one", b"", b"three"]), {"peak": 0.5})
    index = publication.check_block(path)
    assert index == publication.read_index(path)
    checksums = index.pop("crc32c")
    assert index == {"peak": 0.5, "offsets": [0, 3, 3, 8]}
    records = [
        publication.read_record(path, *index["offsets"][number : number + 2], checksums[number])
        for number in range(3)
    ]
    assert records == [b"one", b"", b"three"]


def test_a_changed_bit_is_found_wherever_it_is(tmp_path):
    path = tmp_path / "0.block"
    publication.write_block(path, [b"record", b"another"], {"peak": 0.5})
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedBlockError):
            publication.check_block(path)
    with pytest.raises(DamagedBlockError, match=r"0\.block: is damaged; run"):
        publication.read_record(path, 0, 6, 1)


def test_what_is_not_whole_is_no_block(tmp_path):
    path = tmp_path / "0.block"
    publication.write_block(path, [b"record" * 20], {})
    content = path.read_bytes()
    index = json.dumps({"offsets": [0, 6]}).encode()
    before = b"record" + index + len(index).to_bytes(8, "little") + b"mmvblock"  # no checksums
    for damaged in (b"", content[:-1], content[1:], content + b"x", b"m" * 24, before):
        path.write_bytes(damaged)
        with pytest.raises(DamagedBlockError):
            publication.read_index(path)
