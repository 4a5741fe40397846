# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.datasets import read_data_set
from mmv_tf.data.preparation import ListedClip


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "train.csv").write_text(
        "label,youtube_id,time_start,time_end,split,is_cc\n"
        '"testifying",---QUuC4vJs,84,94,train,0\n'
        "abseiling,--3ouPhoy2A,20,30,train,0\n"
        "abseiling,gone0000000,20,30,train,0\n"
    )
    (tmp_path / "annotations" / "val.csv").write_text(
        "label,youtube_id,time_start,time_end,split\nair drumming,abcdefghijk,1,11,val\n"
    )
    (tmp_path / "test.csv").write_text(
        "youtube_id,time_start,time_end,split\nzzzzzzzzzzz,0,10,test\n"
    )
    (tmp_path / "train" / "abseiling").mkdir(parents=True)
    for name in ("train/abseiling/--3ouPhoy2A_000020_000030.mp4", "abcdefghijk.webm"):
        (tmp_path / name).touch()
    return tmp_path


def test_lists(directory):
    collection = read_data_set("kinetics400", directory)
    assert collection.labels == ("abseiling", "air drumming", "testifying")
    by_id = {source.media_id: source for source in collection.sources}
    trimmed = by_id["--3ouPhoy2A_000020_000030"]
    assert (trimmed.clips, trimmed.split, trimmed.labels) == (None, "train", ("abseiling",))
    whole = by_id["abcdefghijk_000001_000011"]
    assert whole.path == directory / "abcdefghijk.webm"
    assert whole.clips == (ListedClip(1.0, 11.0, may_be_trimmed=True),)
    assert whole.split == "validation"
    assert by_id["zzzzzzzzzzz_000000_000010"].labels == ()
    missing = by_id["gone0000000_000020_000030"]
    assert not missing.path.exists()


def test_damage(directory):
    path = directory / "annotations" / "train.csv"
    path.write_text(path.read_text().replace(",20,", ",soon,", 1))
    with pytest.raises(ValueError, match=r"train.csv, line 3: got 'soon'; expected a number"):
        read_data_set("kinetics400", directory)
    rows = [f"class {n},id{n},0,10,train" for n in range(401)]
    path.write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows]))
    with pytest.raises(ValueError, match="name 402 classes; kinetics400 has 400"):
        read_data_set("kinetics400", directory)
    assert len(read_data_set("kinetics600", directory).labels) == 402
    path.write_text("\n".join(["youtube_id,time_start,time_end", "a,0,10", "a,0,10"]))
    with pytest.raises(ValueError, match="a_000000_000010 is listed twice"):
        read_data_set("kinetics700", directory)
