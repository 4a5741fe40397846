# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""serve_check: clips of a film, a server's answers, and a wrong server."""

import numpy as np
import pytest

from mmv_tf.serving.check import (
    check_server,
    cut_clips,
    format_report,
    largest_difference,
    percentiles,
)
from mmv_tf.serving.client import ServerError, connect
from tests import media_samples


@pytest.fixture(scope="module")
def clips(servable, tmp_path_factory):
    film = media_samples.write_film(tmp_path_factory.mktemp("film") / "film.mp4", seconds=4.0)
    return cut_clips(film, servable.contract, 2, ["the red square", "circle"])


def test_clips_are_what_the_signatures_take(clips, servable):
    shapes = {name: next(iter(some[0].values())).shape for name, some in clips.items()}
    assert shapes == {
        "video": (1, 4, 32, 32, 3),
        "image": (1, 32, 32, 3),
        "audio": (1, 38_400),
        "video_jpeg": (1, 4),
        "text": (1,),
    }
    assert set(shapes) == set(servable.signatures)
    assert {len(some) for some in clips.values()} == {2}
    pixels = clips["video"][0]["video"]
    assert pixels.dtype == np.float32 and 0 <= pixels.min() < pixels.max() <= 1
    assert np.abs(clips["audio"][1]["audio"]).max() > 0.01
    with pytest.raises(ValueError, match="training clips"):
        cut_clips("film.mp4", {"trained_at": {}, "signatures": {}}, 1, [])


@pytest.mark.parametrize("scheme", [pytest.param("http", marks=pytest.mark.slow), "grpc"])
def test_a_server_is_checked(server, servable, clips, scheme):
    port = server.rest if scheme == "http" else server.grpc
    report = check_server(
        lambda: connect(f"{scheme}://127.0.0.1:{port}", "tiny"), servable, clips, [1, 2], 3
    )
    assert set(report["signatures"]) == set(servable.signatures)
    for result in report["signatures"].values():
        assert result["difference"] < 1e-5
        assert [load["requests"] for load in result["load"]] == [3, 6]
        assert all(load["refused"] == {} for load in result["load"])
    table = format_report(report)
    assert len(table.splitlines()) == 1 + 2 * 5 and "video_jpeg" in table


class Stranger:
    """A server of another network."""

    def __init__(self, change):
        self.change = change

    def predict(self, signature, inputs):
        return self.change

    def close(self):
        pass


def test_a_wrong_answer_shows(servable, clips):
    right = servable.run("text", clips["text"][0])
    assert largest_difference(Stranger(right), servable, "text", clips["text"][:1]) == 0
    wrong = {"vat": right["vat"] * 1.5}
    difference = largest_difference(Stranger(wrong), servable, "text", clips["text"][:1])
    assert difference == pytest.approx(0.5)
    with pytest.raises(ValueError, match="shape"):
        largest_difference(Stranger({"vat": right["vat"][0]}), servable, "text", clips["text"])
    with pytest.raises(ValueError, match="expected"):
        largest_difference(Stranger({"va": right["vat"]}), servable, "text", clips["text"])


class Refusing:
    """A server that takes no request."""

    def __init__(self, status):
        self.status = status

    def predict(self, signature, inputs):
        raise ServerError(self.status, "no.")

    def close(self):
        pass


@pytest.mark.parametrize("status", [413, "RESOURCE_EXHAUSTED"])
def test_what_is_too_large_for_a_server_is_listed(servable, clips, status):
    report = check_server(lambda: Refusing(status), servable, {"text": clips["text"]}, [1], 1)
    assert report == {"signatures": {"text": {"too_large": f"{status}: no."}}}
    assert f"not measured: {status}: no." in format_report(report)


def test_another_refusal_ends_the_check(servable, clips):
    with pytest.raises(ValueError, match="refused a request for text: 401: no"):
        check_server(lambda: Refusing(401), servable, {"text": clips["text"]}, [1], 1)


def test_addresses_and_percentiles():
    for address in ("127.0.0.1:80", "https://a:1", "http://nowhere", "grpc://"):
        with pytest.raises(ValueError, match="not a server URL"):
            connect(address, "tiny")
    assert percentiles([]) == {}
    times = percentiles(np.arange(101) / 1000)
    assert times == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
