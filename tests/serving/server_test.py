# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The real server on loopback: both interfaces, against the network run here."""

import base64
import contextlib
import json
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from benchmarks.server_process import ServerProcess
from mmv_tf.publishing.samples import sample_input
from mmv_tf.serving.check import largest_difference, measure_load
from mmv_tf.serving.client import RestClient, ServerError, connect
from tests.serving import mutations

# The same computation in another process and another batch.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def requests(servable):
    """Three requests of one row for every signature."""
    sentences = ("the red square", "circle stands still", "it moves right")
    return {
        name: [
            {name: np.array([sentences[seed].encode()], dtype=object)}
            if name == "text"
            else {name: sample_input(name, servable.contract, seed)}
            for seed in range(3)
        ]
        for name in servable.signatures
    }


def get(server, path):
    client = RestClient("127.0.0.1", server.rest, "tiny")
    status, body = client.request("GET", path)
    client.close()
    return status, body


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_every_signature_is_answered_as_the_network_answers(server, servable, requests, scheme):
    port = server.rest if scheme == "http" else server.grpc
    client = connect(f"{scheme}://127.0.0.1:{port}", "tiny")
    assert set(servable.signatures) == {"video", "audio", "text", "image", "video_jpeg"}
    for name in servable.signatures:
        assert largest_difference(client, servable, name, requests[name]) < TOLERANCE
    client.close()


def test_rows_are_answered_as_rows(server, servable):
    client = RestClient("127.0.0.1", server.rest, "tiny")
    body = {"signature_name": "text", "instances": ["the red square", {"text": "x"}]}
    status, answer = client.request("POST", mutations.PATH, json.dumps(body).encode())
    assert status == 400 and b"the same form" in answer
    body["instances"] = ["the red square", {"b64": base64.b64encode(b"circle").decode()}]
    status, answer = client.request("POST", mutations.PATH, json.dumps(body).encode())
    predictions = np.array(json.loads(answer)["predictions"])
    expected = servable.run("text", {"text": np.array([b"the red square", b"circle"], object)})
    np.testing.assert_allclose(predictions, expected["vat"], rtol=1e-4, atol=1e-6)
    # One bad row is one bad request: it names what is wrong.
    image = np.zeros((2, 32, 32, 3))
    image[1] = 7
    body = {"signature_name": "image", "instances": image.tolist()}
    status, answer = client.request("POST", mutations.PATH, json.dumps(body).encode())
    assert status == 400 and "from 0 to 7" in json.loads(answer)["error"]
    client.close()


def test_state_metadata_health_and_metrics(server, servable):
    status, body = get(server, "/v1/models/tiny")
    (version,) = json.loads(body)["model_version_status"]
    assert status == 200 and version["version"] == "2" and version["state"] == "AVAILABLE"
    assert version["status"] == {"error_code": "OK", "error_message": ""}
    status, body = get(server, "/v1/models/tiny/versions/2/metadata")
    described = json.loads(body)
    assert described["model_spec"]["version"] == "2"
    signatures = described["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == set(servable.signatures)
    video = signatures["video"]["inputs"]["video"]
    assert video["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in video["tensor_shape"]["dim"]] == ["-1"] * 4 + ["3"]
    assert get(server, "/healthz") == (200, b"ok\n")
    assert get(server, "/readyz") == (200, b"available\n")
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        status, body = get(server, path)
        assert status == 200 and b"mmv_requests_total" in body and b"mmv_batch_rows" in body
    for path in ("/", "/v1/models/other", "/v1/models/tiny/versions/3", "/v1/models/tiny/labels/a"):
        status, body = get(server, path)
        assert status == 404 and json.loads(body)["error"]


def test_grpc_has_tensorflow_servings_methods(server):
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc}")
    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    model = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    (status,) = model.GetModelStatus(request).model_version_status
    assert status.version == 2
    assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tiny"
    packed = prediction.GetModelMetadata(request).metadata["signature_def"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures) and "video_jpeg" in signatures.signature_def

    request = predict_pb2.PredictRequest(output_filter=["vat"])
    request.model_spec.name = "tiny"
    request.model_spec.version.value = 2
    request.model_spec.signature_name = "image"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(np.zeros((1, 32, 32, 3), np.float32)))
    answer = prediction.Predict(request)
    assert list(answer.outputs) == ["vat"] and answer.model_spec.signature_name == "image"

    def refused(code, text, **changes):
        changed = predict_pb2.PredictRequest()
        changed.CopyFrom(request)
        for name, value in changes.items():
            setattr(changed.model_spec, name, value)
        with pytest.raises(grpc.RpcError) as error:
            prediction.Predict(changed)
        assert error.value.code() == code and text in error.value.details()

    refused(grpc.StatusCode.NOT_FOUND, "no model", name="other")
    refused(grpc.StatusCode.INVALID_ARGUMENT, "no signature", signature_name="other")
    refused(grpc.StatusCode.INVALID_ARGUMENT, "has the inputs", signature_name="audio")
    request.inputs["image"].tensor_shape.dim[0].size = 10**9
    refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "rows")
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(np.full((1, 32, 32, 3), 9.0, np.float32)))
    refused(grpc.StatusCode.INVALID_ARGUMENT, "from 9 to 9")
    raw = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    for data in (b"\xff" * 100, b"\n\x03abc", b""):
        with pytest.raises(grpc.RpcError) as error:
            raw(data)
        assert error.value.code() in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.NOT_FOUND,
        )
    with pytest.raises(grpc.RpcError) as error:
        raw(bytes(33 << 20))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    channel.close()


def test_mutated_requests_are_refused_and_cost_little(server):
    before = server.memory()
    server.reset_peak()
    seen = {}
    for mutation in mutations.mutations(seed=0, count=300):
        status, body = mutations.send(server.rest, mutation)
        assert status in mutation.statuses, (mutation.kind, status, body[:300], mutation.body[:200])
        if status != 200:
            assert json.loads(body)["error"], mutation.kind
        seen[mutation.kind] = seen.get(mutation.kind, 0) + 1
    assert len(seen) == 13, seen
    assert server.alive()
    assert server.memory("VmHWM") < before + 1024


def test_slow_and_endless_bodies_are_ended(server):
    """The server of these tests gives a body two seconds."""
    head = f"POST {mutations.PATH} HTTP/1.1\r\nHost: localhost\r\n"
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.rest), timeout=20) as slow:
        slow.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode() + b"{")
        with socket.create_connection(("127.0.0.1", server.rest), timeout=20) as silent:
            silent.sendall(b"POST /v1/mod")  # not even a head
            status, body = mutations.read_answer(slow)
            assert status == 408 and b"did not arrive" in body
            assert silent.recv(100) == b""
    assert 1.5 < time.monotonic() - started < 10
    # Chunks without end, and without a length to judge them by.
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.rest), timeout=20) as endless:
        endless.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            for _ in range(65 * 16):
                endless.sendall(piece)
        status, body = mutations.read_answer(endless)
        assert status == 413 and b"larger than" in body
    # A gigabyte that is announced is refused before it comes, and its sender can read why.
    with socket.create_connection(("127.0.0.1", server.rest), timeout=20) as large:
        large.sendall(f"{head}Content-Length: {1 << 30}\r\n\r\n".encode())
        sender = threading.Thread(target=_pour, args=(large,), daemon=True)
        sender.start()
        assert mutations.read_answer(large)[0] == 413


def _pour(connection):
    with contextlib.suppress(OSError):
        for _ in range(1024):
            connection.sendall(bytes(1 << 20))


def test_a_load_with_bad_requests_gives_right_answers(server, servable, requests):
    """Each client holds its answers against the network's; every 20th request is wrong."""
    expected = {
        name: [servable.run(name, inputs) for inputs in some] for name, some in requests.items()
    }
    nan = np.full((1, 32, 32, 3), np.nan, np.float32)
    broken = np.array([[mutations.jpeg_bomb(60_000, 60_000)]], dtype=object)
    cut = requests["video_jpeg"][0]["video_jpeg"].copy()
    cut[0, 0] = cut[0, 0][:400]  # right by its header; only decoding it tells
    bad = [("image", nan), ("video_jpeg", broken), ("video_jpeg", cut), ("text", ["\t"])]
    problems = []

    def work(number):
        scheme, port = (("http", server.rest), ("grpc", server.grpc))[number % 2]
        client = connect(f"{scheme}://127.0.0.1:{port}", "tiny")
        for step in range(8):
            turn = number * 8 + step
            if turn % 20 == 0:
                name, value = bad[turn // 20 % len(bad)]
                try:
                    client.predict(name, {name: np.array(value)})
                    problems.append(f"{name} took a bad request")
                except ServerError as error:
                    if error.status not in (400, "INVALID_ARGUMENT"):
                        problems.append(f"{name}: {error}")
                continue
            names = list(requests)
            name, index = names[turn % len(names)], turn % 3
            try:
                found = client.predict(name, requests[name][index])
            except ServerError as error:
                problems.append(f"{name}: {error}")
                continue
            for key, value in expected[name][index].items():
                got = found.get(key, found.get(""))
                if np.abs(got - value).max() > 10 * TOLERANCE * np.abs(value).max():
                    problems.append(f"{name}'s {key} is wrong")
        client.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_loads_are_measured(server, requests):
    todo = [("text", inputs) for inputs in requests["text"]]
    todo.append(("text", {"text": np.array([b""], dtype=object)}))
    load = measure_load(
        lambda: connect(f"http://127.0.0.1:{server.rest}", "tiny"), todo, clients=2, total=20
    )
    assert load.requests == 15 and load.refused == {"400": 5} and load.per_second > 0
    assert 0 < load.milliseconds["p50"] <= load.milliseconds["p99"] <= load.milliseconds["max"]


@pytest.mark.slow
def test_a_key_a_full_queue_and_a_graceful_stop(published, servable, requests):
    key = "a key of many letters"
    process = ServerProcess(
        published, "--max_queue=4", "--executors=1", "--max_batch_rows=1", MMV_API_KEY=key
    )
    with process:
        address = f"http://127.0.0.1:{process.rest}"
        assert get(process, "/readyz")[0] == 200
        assert get(process, "/v1/models/tiny")[0] == get(process, "/metrics")[0] == 401
        for scheme, port in (("http", process.rest), ("grpc", process.grpc)):
            for wrong in (None, "another key of letters"):
                client = connect(f"{scheme}://127.0.0.1:{port}", "tiny", wrong)
                with pytest.raises(ServerError, match="API key"):
                    client.predict("text", requests["text"][0])
                client.close()
            client = connect(f"{scheme}://127.0.0.1:{port}", "tiny", key)
            assert largest_difference(client, servable, "text", requests["text"]) < TOLERANCE
            client.close()

        # A request of many rows keeps the only thread busy; five more overfill the queue.
        rows = np.repeat(requests["video"][0]["video"], 200, axis=0)
        longer = np.repeat(rows, 3, axis=1)  # of more frames, so that it takes seconds
        answers: list = []

        def ask(client, inputs):
            started = time.monotonic()
            try:
                answers.append((200, client.predict("video", {"video": inputs}), started))
            except ServerError as error:
                answers.append((error.status, time.monotonic() - started, started))
            client.close()

        # Connected beforehand, which takes longer than the long request leaves.
        grpc_client = connect(f"grpc://127.0.0.1:{process.grpc}", "tiny", key)
        clients = [connect(address, "tiny", key) for _ in range(12)]
        slow = threading.Thread(target=ask, args=(grpc_client, longer))
        # A request counts until a moment after its answer: not to take the last one for the long.
        _wait_for_active(process, key, 0)
        slow.start()
        _wait_for_active(process, key, 1)
        time.sleep(0.4)  # until it has been unpacked and is with the network
        others = [threading.Thread(target=ask, args=(client, rows[:1])) for client in clients]
        for thread in others:
            thread.start()
        time.sleep(0.5)
        process.terminate()
        for thread in (slow, *others):
            thread.join()
        statuses = [status for status, *_ in answers]
        # The long one and those in the queue were taken and are answered after SIGTERM.
        assert statuses.count(200) == 5 and statuses.count(503) == 8, statuses
        for status, took, _ in answers:
            assert status == 200 or took < 2.0
        assert process.stop() == 0


def _wait_for_active(process, key, count):
    while f"mmv_requests_active {count:.1f}".encode() not in _metrics(process, key):
        time.sleep(0.01)


def _metrics(process, key):
    client = RestClient("127.0.0.1", process.rest, "tiny", key)
    try:
        return client.request("GET", "/metrics")[1]
    finally:
        client.close()
