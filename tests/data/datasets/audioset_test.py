# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmv_tf.data.datasets import read_data_set

ROWS = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=4, num_segs=4, num_unique_labels=527, num_positive_labels=51804
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
-0RWZT-miFs, 420.000, 430.000, "/m/09x0r"
whole_video, 1.000, 11.000, "/t/dd00088"
gone_______, 0.000, 10.000, "/t/dd00088"
"""
ONTOLOGY = [
    {"id": "/t/dd00088", "name": "Gush", "child_ids": [], "restrictions": []},
    {"id": "/m/09x0r", "name": "Speech", "child_ids": ["/t/dd00088"], "restrictions": []},
]


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "balanced_train_segments.csv").write_text(ROWS)
    (tmp_path / "eval_segments.csv").write_text(ROWS.split("--PJ")[0] + 'e, 0, 10, "/m/09x0r"\n')
    (tmp_path / "ontology.json").write_text(json.dumps(ONTOLOGY))
    (tmp_path / "media").mkdir()
    for name in ("--PJHxphWEs_30.mp4", "Y-0RWZT-miFs_420.000_430.000.wav", "whole_video.mkv"):
        (tmp_path / "media" / name).touch()
    return tmp_path


def test_lists(directory):
    collection = read_data_set("audioset", directory)
    assert collection.labels == ("Speech", "Gush")
    by_id = {source.media_id: source for source in collection.sources}
    film = by_id["--PJHxphWEs_30000"]
    assert (film.kind, film.split, film.clips) == ("video", "balanced_train", None)
    assert film.labels == ("Speech", "Gush")
    assert by_id["-0RWZT-miFs_420000"].kind == "sound"
    whole = by_id["whole_video_1000"]
    assert whole.clips is not None
    assert (whole.clips[0].start, whole.clips[0].end) == (1.0, 11.0)
    assert not by_id["gone________0"].path.exists()
    assert by_id["e_0"].split == "eval"

    (directory / "class_labels_indices.csv").write_text(
        'index,mid,display_name\n1,/m/09x0r,"Speech"\n0,/t/dd00088,"Gush"\n'
    )
    assert read_data_set("audioset", directory).labels == ("Gush", "Speech")


@pytest.mark.parametrize("second", ["/m/2,Speech", "/m/09x0r,Gush"])
def test_a_class_list_with_a_repeated_class(directory, second):
    (directory / "class_labels_indices.csv").write_text(
        f"index,mid,display_name\n0,/m/09x0r,Speech\n1,{second}\n"
    )
    with pytest.raises(ValueError, match="a mid or a name occurs twice"):
        read_data_set("audioset", directory)


def test_damage(directory):
    lists = directory / "balanced_train_segments.csv"
    lists.write_text(ROWS.replace("/t/dd00088", "/m/other", 1))
    with pytest.raises(ValueError, match="line 4: the class '/m/other' is not in the class list"):
        read_data_set("audioset", directory)
    lists.write_text("a, 0, 10\n")
    with pytest.raises(ValueError, match="line 1: got 'a, 0, 10'; expected an id"):
        read_data_set("audioset", directory)
    (directory / "ontology.json").write_text("[]")
    lists.write_text(ROWS)
    with pytest.raises(ValueError, match="is not in the class list"):
        read_data_set("audioset", directory)
    (directory / "ontology.json").write_text("[1]")
    with pytest.raises(ValueError, match="not AudioSet's ontology"):
        read_data_set("audioset", directory)
