# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import collections
import os
import pathlib

import pytest

from mmv_tf.evaluation.listing import TEST, TRAIN, Item, Listing, MediaIndex, read_listing
from tests.evaluation import small_benchmarks

# The published lists, if they are at hand (they are not part of the project).
PUBLISHED = pathlib.Path(os.environ.get("MMV_TF_LISTS", "../shared/benchmarks_lists"))


def test_each_split_of_hmdb51_is_read(tmp_path):
    data = small_benchmarks.hmdb51(tmp_path)
    first, second = (read_listing("hmdb51", data, None, split) for split in "12")
    assert first.classes == ("clap", "wave")
    assert len(first.of(TRAIN)) == 6
    tested = [item.item_id for item in first.of(TEST)]
    assert tested == ["Film0!_clap_u_nm_np1_ba_goo_0.avi", "Film0!_wave_u_nm_np1_ba_goo_0.avi"]
    assert [item.item_id for item in second.of(TEST)] != tested
    assert first.items[0].file == "clap/Film0!_clap_u_nm_np1_ba_goo_0.avi"
    assert first.items[0].group == "Film0!_clap_u_nm_np1_ba_goo"


def test_hmdb51s_text_files_say_the_same_as_its_table(tmp_path):
    data = small_benchmarks.hmdb51(tmp_path)
    table = read_listing("hmdb51", data, None, "2")
    texts = tmp_path / "testTrainMulti_7030_splits"
    texts.mkdir()
    for name in ("clap", "wave"):
        lines = [
            f"{item.item_id} {1 if item.split == TRAIN else 2} "
            for item in table.items
            if item.file.startswith(name)
        ]
        (texts / f"{name}_test_split2.txt").write_text("\n".join([*lines, "other.avi 0"]))
    written = read_listing("hmdb51", data, texts, "2")
    assert (written.classes, written.items) == (table.classes, table.items)


def test_ucf101s_groups_and_classes_are_read(tmp_path):
    listing = read_listing("ucf101", small_benchmarks.ucf101(tmp_path), None, "2")
    assert listing.classes == ("Archery", "Bowling")
    assert [item.item_id for item in listing.of(TEST)] == [
        "v_Archery_g02_c01",
        "v_Bowling_g02_c01",
    ]
    assert listing.of(TEST)[1].labels == (1,)
    assert listing.of(TEST)[1].group == "v_Bowling_g02"
    (tmp_path / "ucfTrainTestlist" / "testlist02.txt").write_text("Chess/v_Chess_g01_c01.avi")
    with pytest.raises(ValueError, match=r"with a class from classInd\.txt"):
        read_listing("ucf101", tmp_path, None, "2")


def test_esc_is_read_as_archive_and_as_class_folders(tmp_path):
    folders = read_listing("esc50", small_benchmarks.esc(tmp_path / "a"), None, "2")
    assert folders.classes == ("Low", "High")
    assert len(folders.of(TEST)) == 4
    assert all(item.item_id.startswith("2-") for item in folders.of(TEST))
    assert folders.of(TEST)[0].group == folders.of(TEST)[1].group == "2-1002"
    table = tmp_path / "b" / "meta" / "esc50.csv"
    table.parent.mkdir(parents=True)
    table.write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-1-A-0.wav,1,0,dog,True,1,A\n2-1-A-0.wav,2,0,dog,True,1,A\n"
        "1-2-A-9.wav,1,9,crow,False,2,A\n2-2-A-9.wav,2,9,crow,False,2,A\n"
    )
    assert read_listing("esc50", tmp_path / "b", None, "1").classes == ("crow", "dog")
    assert read_listing("esc10", tmp_path / "b", None, "1").classes == ("dog",)
    with pytest.raises(ValueError, match="esc50 has no division '7'"):
        read_listing("esc50", tmp_path / "b", None, "7")


def test_audiosets_unknown_classes_are_refused(tmp_path):
    data = small_benchmarks.audioset(tmp_path)
    listing = read_listing("audioset", data, None, "balanced_train")
    assert listing.classes == ("Low", "High", "Never")
    assert listing.of(TRAIN)[0].labels == (0, 2)
    assert len(listing.of(TEST)) == 4
    segments = data / "eval_segments.csv"
    segments.write_text(segments.read_text().replace("/m/b", "/m/zz"))
    with pytest.raises(ValueError, match="the class '/m/zz' is not in the class list"):
        read_listing("audioset", data, None, "balanced_train")


@pytest.mark.parametrize("name", ["eval_0-x", "Yeval_0-x", "eval_0-x_30", "eval_0-x_30.000_40.000"])
def test_audiosets_media_are_found_as_prepare_data_finds_them(tmp_path, name):
    data = small_benchmarks.audioset(tmp_path)
    (path,) = data.rglob("eval_0-x.wav")
    path.rename(path.with_name(f"{name}.wav"))
    paths, missing = MediaIndex(data).find_all(
        read_listing("audioset", data, None, "balanced_train").items
    )
    assert not missing
    assert paths["eval_0-x"].stem == name


def test_vocs_difficult_objects_are_ignored(tmp_path):
    listing = read_listing("voc2007", small_benchmarks.voc2007(tmp_path), None, "trainval-test")
    last = listing.of(TEST)[-1]
    assert (last.labels, last.ignored) == ((), (0,))
    assert listing.of(TRAIN)[1].labels == (1,)


def test_vocs_lists_are_complete_and_name_each_image_once(tmp_path):
    data = small_benchmarks.voc2007(tmp_path)
    path = data / "VOC2007" / "ImageSets" / "Main" / "dog_test.txt"
    published = path.read_text()
    path.write_text(published[: published.rindex("\n")])
    with pytest.raises(ValueError, match=r"dog_test.txt: lacks 000004, which other classes' lists"):
        read_listing("voc2007", data, None, "trainval-test")
    path.write_text(f"{published}\n000001  1")
    with pytest.raises(ValueError, match=r"dog_test.txt, line 6: 000001 is listed twice"):
        read_listing("voc2007", data, None, "trainval-test")


def test_image_folders_need_both_parts(tmp_path):
    data = small_benchmarks.image_folder(tmp_path)
    assert read_listing("image_folder", data, None, "val").classes == ("blue", "green", "red")
    (data / "val" / "red").rename(data / "val" / "purple")
    with pytest.raises(ValueError, match="unknown class 'purple'"):
        read_listing("image_folder", data, None, "val")
    with pytest.raises(ValueError, match="needs a train folder"):
        read_listing("image_folder", data / "train", None, "val")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("9,10,1,cut it,abc", "spans 10 to 9 s"),
        ("x,1,1,cut it,abc", "got 'x'; expected a number"),
        ("9,1,1,,abc", "line 2: has no 'text'"),
    ],
)
def test_wrong_segments_are_refused(tmp_path, row, message):
    path = tmp_path / "validation_youcook.csv"
    path.write_text(f"end,start,task,text,video_id\n{row}\n")
    with pytest.raises(ValueError, match=message):
        read_listing("youcook2", tmp_path, None, "validation")


def test_only_line_ends_end_a_lists_lines(tmp_path):
    path = tmp_path / "msrvtt_test.csv"
    text = "the sea\u2028at\u0085night\x0b\x1c"
    path.write_bytes(
        f'key,vid_key,video_id,sentence\r\na,b,c,{text}.\r\nd,e,f,"two\nlines"\r\n'.encode()
    )
    items = read_listing("msrvtt", tmp_path, None, "1k-A").items
    assert [item.text for item in items] == [f"{text}.", "two\nlines"]
    data = small_benchmarks.hmdb51(tmp_path)
    folder = tmp_path / "splits"
    folder.mkdir()
    for name in ("clap", "wave"):
        names = [f"a\u00a0b\u2028{name}.avi 1", f"c\u0085{name}.avi\t2"]
        (folder / f"{name}_test_split1.txt").write_text("\n".join(names), encoding="utf-8")
    found = [item.item_id for item in read_listing("hmdb51", data, folder, "1").items]
    assert found == ["a\u00a0b\u2028clap.avi", "c\u0085clap.avi",
                     "a\u00a0b\u2028wave.avi", "c\u0085wave.avi"]  # fmt: skip


def test_tables_of_another_form_are_refused(tmp_path):
    path = tmp_path / "msrvtt_test.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="lacks the column 'video_id'"):
        read_listing("msrvtt", tmp_path, None, "1k-A")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not UTF-16"):
        read_listing("msrvtt", tmp_path, None, "1k-A")
    path.unlink()
    with pytest.raises(ValueError, match=r"expected msrvtt_test\.csv or .*--lists"):
        read_listing("msrvtt", tmp_path, None, "1k-A")


def test_duplicates_overlaps_and_unlearnt_classes_are_refused():
    a = Item("a", "a.mp4", TRAIN, (0,))
    b = Item("b", "b.mp4", TEST, (0,))
    with pytest.raises(ValueError, match="'a' more than once"):
        Listing("l", ("x",), (a, a, b))
    with pytest.raises(ValueError, match=r"overlap: 'a' are in both training and test"):
        Listing("l", ("x",), (a, b, Item("a", "a.mp4", TEST, (0,))))
    with pytest.raises(ValueError, match="without training examples: 'y'"):
        Listing("l", ("x", "y"), (a, b, Item("c", "c.mp4", TEST, (1,))))
    with pytest.raises(ValueError, match="lists no items"):
        Listing("l", (), ())


def test_media_are_found_by_path_or_name(tmp_path):
    for path in ("x/one.mp4", "y/two.webm", "y/dotted.name.avi", "p/same.mp4", "q/same.mp4"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    index = MediaIndex(tmp_path)
    assert index.find("x/one.mp4") == tmp_path / "x/one.mp4"
    assert index.find("two") == index.find("two.mp4") == tmp_path / "y/two.webm"
    assert index.find("dotted.name") == tmp_path / "y/dotted.name.avi"
    assert index.find("q/same.avi") == tmp_path / "q/same.mp4"
    assert index.find("three") is None
    with pytest.raises(ValueError, match="keep one"):
        index.find("same")
    with pytest.raises(ValueError, match="is not a folder"):
        MediaIndex(tmp_path / "nowhere")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published lists are not at hand")
def test_the_published_lists_parse_whole():
    pairs = read_listing("msrvtt", PUBLISHED, None, "1k-A").items
    assert len(pairs) == len({item.file for item in pairs}) == 1000
    segments = read_listing("youcook2", PUBLISHED, None, "validation").items
    assert len(segments) == 3350
    assert len({item.group for item in segments}) == 436
    videos: set[str] = set()
    for split in "123":
        listing = read_listing("hmdb51", PUBLISHED, None, split)
        assert len(listing.classes) == 51
        assert len(listing.of(TRAIN)) == 3570
        assert len(listing.of(TEST)) == 1530
        assert set(collections.Counter(i.labels for i in listing.of(TEST)).values()) == {30}
        videos |= {item.item_id for item in listing.items}
    # The table has 6,766; the few that no split uses take no part.
    rows = (PUBLISHED / "hmdb51.csv").read_text().splitlines()[1:]
    unused = {row.split(",")[0] for row in rows if row.endswith(",0,0,0")}
    assert len(rows) == len(videos) + len(unused) == 6766
