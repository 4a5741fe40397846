# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from mmv_tf.search import Searcher
from mmv_tf.search.captions import captions_between
from mmv_tf.search.files import video_id
from mmv_tf.search.store import Writer, open_index


def test_captions_of_a_moment(library, tmp_path):
    own = library.copy(tmp_path)
    Writer(own.index, open_index(own.index).manifest).commit(roots={"": str(own.videos)})
    found = Searcher(own.index).video(video_id("long.mp4"))

    def texts(start, end):
        return [caption.text for caption in captions_between(*found, start, end)]

    assert texts(7.0, 8.0) == ["it falls down"]
    assert len(texts(5.0, 8.0)) == 2 and texts(5.0, 8.0)[0].endswith("the red square")
    (own.videos / "long.vtt").write_text("broken")
    assert texts(7.0, 8.0) == []
    (own.videos / "long.vtt").unlink()
    (own.videos / "long.vtt").symlink_to("/etc/passwd")
    assert texts(7.0, 8.0) == []
