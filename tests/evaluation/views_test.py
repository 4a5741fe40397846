# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from mmv_tf.data.media import MediaError
from mmv_tf.evaluation.declaration import AudioViews, ImageViews, VideoViews
from mmv_tf.evaluation.listing import Item
from mmv_tf.evaluation.views import read_all, read_views, window_times
from tests import media_samples


def numbers(clip):
    """Which frame of a film each picture of a clip is (see `media_samples`)."""
    lower = clip[:, 5 * clip.shape[1] // 8 : 7 * clip.shape[1] // 8]
    width = clip.shape[2]
    tens, ones = (
        np.round(
            (lower[:, :, c * width // 8 : (c + 2) * width // 8].mean(axis=(1, 2, 3)) - 10) / 20
        )
        for c in (1, 5)
    )
    return (10 * tens + ones).astype(int).tolist()


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return media_samples.write_film(path, seconds=2.0, frame_rate=10, size=(48, 48))


def test_windows_are_spread_from_the_start_to_the_end(film):
    views = VideoViews(windows=3, num_frames=4, frame_rate=5.0, short_side=48, size=48)
    clips = read_views(film, Item("a", "a"), views)
    assert clips.shape == (3, 4, 48, 48, 3)
    assert numbers(clips[0]) == [0, 2, 4, 6]
    assert numbers(clips[2]) == [12, 14, 16, 18]


def test_a_segment_is_all_that_is_seen_and_loops_if_short(film):
    views = VideoViews(windows=1, num_frames=6, frame_rate=10.0, short_side=48, size=48)
    clips = read_views(film, Item("a", "a", start=0.5, end=0.9), views)
    assert numbers(clips[0]) == [5, 6, 7, 8, 5, 6]
    with pytest.raises(MediaError, match=r"starts at 7 s, but the media ends at 2\.00 s"):
        read_views(film, Item("a", "a", start=7.0, end=8.0), views)


def test_media_that_may_be_trimmed_are_cut_only_if_longer_than_the_segment(film):
    views = VideoViews(windows=1, num_frames=3, frame_rate=10.0, short_side=48, size=48)
    trimmed = Item("a", "a", start=30.0, end=31.0, trimmed_files=("a_1_2",))
    np.testing.assert_array_equal(
        read_views(film, trimmed, views), read_views(film, Item("a", "a"), views)
    )
    whole = Item("a", "a", start=0.9, end=1.2, trimmed_files=("a_1_2",))
    assert numbers(read_views(film, whole, views)[0]) == [9, 10, 11]


def test_random_views_depend_on_the_seed_and_the_item(film):
    views = VideoViews(4, 3, 10.0, 48, 32, random=True)
    first = read_views(film, Item("a", "a"), views, seed=0)
    np.testing.assert_array_equal(first, read_views(film, Item("a", "a"), views, seed=0))
    assert (first != read_views(film, Item("b", "a"), views, seed=0)).any()
    assert (first != read_views(film, Item("a", "a"), views, seed=1)).any()


def test_sound_is_heard_where_it_is(film):
    views = AudioViews(windows=2, seconds=0.5)
    windows = read_views(film, Item("a", "a"), views, sample_rate=16_000)
    assert windows.shape == (2, 8000)
    assert np.abs(windows[0]).max() < 0.05 < 0.3 < np.abs(windows[1]).max()
    longer = read_views(film, Item("a", "a"), AudioViews(1, 5.0), sample_rate=16_000)
    assert longer.shape == (1, 80_000)
    np.testing.assert_array_equal(longer[0, :32_000], longer[0, 32_000:64_000])


def test_a_playlist_is_not_followed(tmp_path):
    """It names other files, which whoever wrote it need not be allowed to read."""
    playlist = tmp_path / "sound.wav"
    playlist.write_text("ffconcat version 1.0\nfile other.wav\n")
    with pytest.raises(MediaError, match=r"sound\.wav: can't be decoded") as error:
        read_views(playlist, Item("a", "a"), AudioViews(1, 0.5), sample_rate=16_000)
    assert "No such file" not in str(error.value)  # the other one was not looked for


def test_images_are_cropped_in_the_middle(tmp_path):
    pixels = np.zeros([40, 80, 3], np.uint8)
    pixels[:, 20:60] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    seen = read_views(tmp_path / "a.png", Item("a", "a"), ImageViews(40, 40))
    assert seen.shape == (1, 40, 40, 3)
    assert seen.min() == 255
    (tmp_path / "c.png").write_bytes(b"no image")
    with pytest.raises(MediaError, match="can't be decoded"):
        read_views(tmp_path / "c.png", Item("c", "c"), ImageViews(40, 40))


def test_many_are_read_in_order_with_their_errors(film, tmp_path):
    items = [Item(str(number), "") for number in range(7)]
    paths = {item.item_id: film for item in items}
    broken = paths["3"] = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    views = VideoViews(1, 2, 10.0, 48, 48)
    found = list(read_all(items, paths, views, threads=2))
    assert [item.item_id for item, _ in found] == list("0123456")
    assert [isinstance(read, MediaError) for _, read in found] == [n == 3 for n in range(7)]


def test_windows_times():
    np.testing.assert_allclose(window_times(10, 4, 3, None), [0, 3, 6])
    np.testing.assert_allclose(window_times(10, 4, 1, None), [3])
    np.testing.assert_allclose(window_times(2, 4, 2, None), [0, 0])
