# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from mmv_tf.data.captions import Caption
from mmv_tf.search.api.examples import MOST_EXAMPLES, examples
from mmv_tf.search.store import open_index


@pytest.fixture
def video(library):
    return next(one for one in open_index(library.index).manifest.videos if one.captions)


def known(sentences):
    return ["unknown" not in text for text in sentences]


def cues(*texts):
    return [Caption(float(at), at + 1.0, text) for at, text in enumerate(texts)]


def test_captions_of_one_video_from_all_its_parts(video):
    told = cues(*(f"this is sentence {n:03d}" for n in range(100)))
    found = examples([video], lambda video: told, known)
    numbers = [int(text[-3:]) for text in found]
    assert len(found) == MOST_EXAMPLES
    assert numbers == sorted(numbers) and numbers[0] < 25 and numbers[-1] >= 75


def test_one_of_each_of_several_videos(video):
    videos = [dataclasses.replace(video, name=f"{n}.mp4") for n in range(30)]
    found = examples(videos, lambda video: cues(f"what {video.name} shows"), known)
    assert len(set(found)) == len(found) == MOST_EXAMPLES


def test_what_makes_no_example_is_left_out(video):
    told = cues("short", "long " * 50, "an unknown sentence", "a good sentence", "a good sentence")
    assert examples([video], lambda video: told, known) == ["a good sentence"]
    silent = dataclasses.replace(video, captions=None, said=None)
    assert examples([silent], lambda video: told, known) == []
    assert examples([], lambda video: told, known) == []


def test_of_an_index(api):
    red = "<img src=x onerror=alert(2)> the red square"
    assert api.get("/index")["examples"] == [red, "it falls down"]
