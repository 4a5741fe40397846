# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import errno
import os

import pytest

from mmv_tf.data import media
from mmv_tf.search.api import clips
from mmv_tf.search.api.handlers import Handlers
from mmv_tf.search.files import video_id
from tests import media_samples
from tests.search.conftest import EVIL_NAME


def key(name, start, end):
    return f"{video_id(name)}-{round(start * 1000)}-{round(end * 1000)}"


def clip(api, name, start, end, **parameters):
    return api.client.get(f"/api/v1/moments/{key(name, start, end)}/clip", params=parameters)


def open_in(folder):
    """How many files without a name this process has open in a folder."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return sum(link.startswith(str(folder)) and link.endswith("(deleted)") for link in links)


def test_an_exact_clip(api, tmp_path):
    answer = clip(api, "long.mp4", 2.3, 3.1)
    assert answer.status_code == 200 and answer.headers["content-type"] == "video/mp4"
    assert (answer.headers["x-clip-start"], answer.headers["x-clip-end"]) == ("2.300", "3.100")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "long%202.30-3.10.mp4" in answer.headers["content-disposition"]
    (tmp_path / "clip.mp4").write_bytes(answer.content)
    assert media.probe(tmp_path / "clip.mp4").duration == pytest.approx(0.8, abs=0.002)
    numbers = [
        media_samples.frame_number(jpeg)
        for _, jpeg in media.iter_frames_at(tmp_path / "clip.mp4", [0.0, 0.4, 0.75], 64)
    ]
    assert numbers == [55, 64, 73]


def test_a_copied_clip_tells_its_true_start(api):
    answer = clip(api, "long.mp4", 2.3, 3.1, mode="copy")
    assert answer.status_code == 200
    start = float(answer.headers["x-clip-start"])
    assert 1.5 < start < 2.3  # at most 12 frames of 1/24 s are a group
    assert float(answer.headers["x-clip-end"]) >= 3.1


def test_parts_of_a_clip_come_from_one_cut(api, monkeypatch):
    whole = clip(api, "long.mp4", 4.0, 4.6).content
    monkeypatch.setattr(clips, "cut_in_child", lambda *arguments: pytest.fail("cut again"))
    address = f"/api/v1/moments/{key('long.mp4', 4.0, 4.6)}/clip"
    part = api.client.get(address, headers={"range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, whole[100:300])


def test_the_end_of_the_film_is_the_end(api):
    duration = api.get(f"/videos/{video_id('long.mp4')}")["seconds"]
    answer = clip(api, "long.mp4", 11.5, 99.0)
    assert float(answer.headers["x-clip-end"]) == pytest.approx(duration, abs=1e-3)


def test_odd_names_are_harmless(api):
    answer = clip(api, EVIL_NAME, 0, 0.5)
    disposition = answer.headers["content-disposition"]
    assert answer.status_code == 200
    assert "<" not in disposition and "\n" not in disposition and "/" not in disposition


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"{video_id('long.mp4')}-500-500", 400, "not the id"),
        (f"{video_id('long.mp4')}-0-99999999999999", 400, "not the id"),
        (f"{video_id('long.mp4')}-20000-30000", 400, "the video ends at"),
        (f"{video_id('long.mp4')}-0-10", 422, "expected a start of 0 or more and an end"),
        ("long.mp4-0-10", 400, "not the id"),
        (f"{'a' * 20}-0-1000", 404, "no video"),
        (f"{video_id('damaged.mp4')}-0-1000", 404, "no video"),
    ],
)
def test_wrong_moments(api, path, status, message):
    assert message in api.error(status, "GET", f"/moments/{path}/clip")


def test_a_wrong_mode(api):
    path = f"/moments/{key('long.mp4', 0, 1)}/clip?mode=fast"
    assert "expected copy or exact" in api.error(400, "GET", path)


def test_a_film_that_vanished_or_broke(own_api):
    api = own_api()
    (api.library.videos / "long.mp4").write_bytes(b"no film" * 99)
    message = api.error(422, "GET", f"/moments/{key('long.mp4', 0, 1)}/clip")
    assert message.startswith("long.mp4: can't be decoded")
    (api.library.videos / "long.mp4").unlink()
    message = api.error(404, "GET", f"/moments/{key('long.mp4', 0, 1)}/clip")
    assert "long.mp4 no longer exists" in message


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EIO, 503)]
)
def test_a_disk_that_fails(own_api, monkeypatch, tmp_path, number, status):
    def fail(*arguments):
        raise OSError(number, "it failed", "/secret/path")

    monkeypatch.setattr(clips, "cut_in_child", fail)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    message = own_api().error(status, "GET", f"/moments/{key('long.mp4', 0, 1)}/clip")
    assert "secret" not in message
    assert open_in(tmp_path) == 0


def test_few_clips_are_kept_and_none_has_a_name(own_api, monkeypatch, tmp_path):
    monkeypatch.setattr(clips, "_KEPT", 2)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    api = own_api()
    for number in range(4):
        assert clip(api, EVIL_NAME, 0.1 * number, 1.0).status_code == 200
        assert [path for path in tmp_path.iterdir() if path.is_file()] == []
    assert open_in(tmp_path) == 2
    handlers: Handlers = api.handlers
    handlers.close()
    assert open_in(tmp_path) == 0
