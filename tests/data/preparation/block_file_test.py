# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.data.preparation import block_file


def test_records_come_back(tmp_path):
    path = tmp_path / "new" / "0.block"
    block_file.write_block(path, iter([b"one", b"", b"three"]), {"peak": 0.5})
    index = block_file.read_index(path)
    assert index == {"peak": 0.5, "offsets": [0, 3, 3, 8]}
    records = [
        block_file.read_record(path, *index["offsets"][number : number + 2]) for number in range(3)
    ]
    assert records == [b"one", b"", b"three"]


def test_what_is_not_whole_is_no_block(tmp_path):
    path = tmp_path / "0.block"
    block_file.write_block(path, [b"record" * 20], {})
    content = path.read_bytes()
    assert block_file.read_index(tmp_path / "none") is None
    for damaged in (b"", content[:-1], content[1:], content + b"x", b"mmvblock", content[:8]):
        path.write_bytes(damaged)
        assert block_file.read_index(path) is None
