# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmv_tf.data.preparation import blocks
from mmv_tf.data.preparation.blocks import DamagedBlockError
from mmv_tf.data.preparation.work_folder import WorkFolder


def test_records_come_back(tmp_path):
    block = WorkFolder(str(tmp_path)), "new/0.block"
    written = blocks.write_block(*block, iter([b"one", b"", b"three"]), {"peak": 0.5})
    index = blocks.check_block(*block)
    assert index == blocks.read_index(*block) == written
    checksums = index.pop("crc32c")
    assert index == {"peak": 0.5, "offsets": [0, 3, 3, 8]}
    records = [
        blocks.read_record(*block, *index["offsets"][number : number + 2], checksums[number])
        for number in range(3)
    ]
    assert records == [b"one", b"", b"three"]


def test_a_changed_bit_is_found_wherever_it_is(tmp_path):
    block, path = (WorkFolder(str(tmp_path)), "0.block"), tmp_path / "0.block"
    blocks.write_block(*block, [b"record", b"another"], {"peak": 0.5})
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedBlockError):
            blocks.check_block(*block)
    with pytest.raises(DamagedBlockError, match=r"0\.block: is damaged; rerun"):
        blocks.read_record(*block, 0, 6, 1)


def test_what_is_not_whole_is_no_block(tmp_path):
    block, path = (WorkFolder(str(tmp_path)), "0.block"), tmp_path / "0.block"
    blocks.write_block(*block, [b"record" * 20], {})
    content = path.read_bytes()
    index = json.dumps({"offsets": [0, 6]}).encode()
    before = b"record" + index + len(index).to_bytes(8, "little") + b"mmvblock"  # no checksums
    for damaged in (b"", content[:-1], content[1:], content + b"x", b"m" * 24, before):
        path.write_bytes(damaged)
        with pytest.raises(DamagedBlockError):
            blocks.read_index(*block)
