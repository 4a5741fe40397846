# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Requests that nobody should send, from a seed."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import random
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from mmv_tf.publishing.samples import encode_jpeg

PATH = "/v1/models/tiny:predict"
REFUSED = frozenset({400, 404, 413})


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A request and the statuses that are right for it.

    Attributes:
      kind: of mistake.
      body: what is sent.
      statuses: that the answer may have.
      declared: the Content-Length it claims; None for the true one.
      path: asked for.
    """

    kind: str
    body: bytes
    statuses: frozenset[int] = REFUSED
    declared: int | None = None
    path: str = PATH


def send(port: int, mutation: Mutation, timeout: float = 60.0) -> tuple[int, bytes]:
    """Sends it as it is over a new connection; gives the status and the body of the answer."""
    length = len(mutation.body) if mutation.declared is None else mutation.declared
    head = f"POST {mutation.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        # One that is refused already breaks the sending; the answer is there.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head.encode() + mutation.body)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """The status and body of one answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError(f"The server closed the connection after {data!r}.")
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    lengths = [int(line.split(":")[1]) for line in lines if line.startswith("content-length:")]
    while lengths and len(body) < lengths[0]:
        chunk = connection.recv(65536)
        if not chunk:
            break
        body += chunk
    return int(head.split()[1]), body


def mutations(seed: int, count: int) -> list[Mutation]:
    """All kinds, at random; one in fifty is a big one."""
    generator = random.Random(seed)
    kinds = [_BIG if index % 50 == 49 else _SMALL for index in range(count)]
    return [generator.choice(makers)(generator) for makers in kinds]


def _predict(signature: str, **columns: Any) -> bytes:
    return json.dumps({"signature_name": signature, **columns}).encode()


def _valid(generator: random.Random) -> bytes:
    kind = generator.choice(("text", "image", "audio", "jpeg"))
    if kind == "text":
        return _predict("text", instances=["the red square", "circle stands"])
    if kind == "image":
        return _predict("image", instances=np.full((1, 32, 32, 3), 0.5).tolist())
    if kind == "audio":
        return _predict("audio", inputs=[[0.1] * 4000])
    return _predict("video_jpeg", instances=[[{"b64": base64.b64encode(_JPEG).decode()}] * 2])


def _truncated(generator: random.Random) -> Mutation:
    body = _valid(generator)
    return Mutation("truncated", body[: generator.randrange(len(body) - 1)])


def _flipped(generator: random.Random) -> Mutation:
    body = bytearray(_valid(generator))
    for _ in range(generator.randrange(1, 6)):
        body[generator.randrange(len(body))] = generator.randrange(256)
    # Some such requests are still right.
    return Mutation("flipped bytes", bytes(body), REFUSED | {200})


def _wrong_type(generator: random.Random) -> Mutation:
    wrong = generator.choice((None, True, "x", {}, {"b64": 1}, {"b64": "!"}, [], [[]], 3, {"a": 1}))
    signature = generator.choice(("audio", "image", "video", "video_jpeg"))
    nested = {"audio": 1, "image": 3, "video": 4, "video_jpeg": 1}[signature]
    value: Any = wrong
    for _ in range(generator.randrange(nested + 1)):
        value = [value] * generator.randrange(1, 3)
    return Mutation("wrong type", _predict(signature, instances=[value]))


def _wrong_key(generator: random.Random) -> Mutation:
    bodies: list[Any] = [
        {"signature_name": "text"},
        {"signature_name": "text", "instances": ["a"], "inputs": ["a"]},
        {"signature_name": "nothing", "instances": ["a"]},
        {"signature_name": ["text"], "instances": ["a"]},
        {"signature_name": {"b64": ""}, "instances": ["a"]},
        {"instances": ["a"]},
        {"signature_name": "text", "instances": [{"sound": "a"}]},
        {"signature_name": "text", "inputs": {"text": ["a"], "more": [1]}},
        {"signature_name": "text", "instances": ["a", {"text": "b"}]},
        {"signature_name": "text", "instances": []},
        {"signature_name": "text", "instances": {"text": "a"}},
        {"signature_name": "text", "instances": [""]},
        {"signature_name": "text", "instances": ["  "]},
        {"signature_name": "text", "instances": ["\ud800"]},
        [],
        "text",
        None,
        7,
    ]
    return Mutation("wrong key", json.dumps(generator.choice(bodies)).encode())


def _not_finite(generator: random.Random) -> Mutation:
    numbers = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "9" * 5000, "1e39", "7")
    wrong = generator.choice(numbers)
    values = ["0.5"] * 100
    values[generator.randrange(100)] = wrong
    body = f'{{"signature_name": "audio", "instances": [[{",".join(values)}]]}}'
    return Mutation("not finite", body.encode())


def _huge_shape(generator: random.Random) -> Mutation:
    choice = generator.randrange(4)
    if choice == 0:
        depth = generator.choice((100, 10_000, 200_000))
        return Mutation("huge shape", b'{"instances": ' + b"[" * depth + b"]" * depth + b"}")
    if choice == 1:
        return Mutation("huge shape", _predict("text", instances=["a"] * 5000))
    if choice == 2:
        return Mutation("huge shape", _predict("text", instances=["a" * 20_000]))
    return Mutation("huge shape", _predict("image", instances=[[[[0.0] * 3] * 31] * 40]))


def _ragged(generator: random.Random) -> Mutation:
    image = np.zeros((1, 33, 32, 3)).tolist()
    del image[0][generator.randrange(33)][generator.randrange(32)]
    return Mutation("ragged", _predict("image", instances=image))


def _bad_base64(generator: random.Random) -> Mutation:
    text = base64.b64encode(_JPEG).decode()
    place = generator.randrange(len(text) - 8)
    broken = generator.choice((text[:-3], text[:place] + "%" + text[place:], "é" + text, "===="))
    return Mutation("bad base64", _predict("video_jpeg", instances=[[{"b64": broken}]]))


def _bad_jpeg(generator: random.Random) -> Mutation:
    data = generator.choice(
        (
            jpeg_bomb(65_000, 65_000),
            jpeg_bomb(65_535, 4096),
            _PNG,
            b"",
            b"\xff\xd8\xff",
            _JPEG[: generator.randrange(1, 150)],
            bytes(generator.randrange(256) for _ in range(200)),
        )
    )
    frames = [{"b64": base64.b64encode(data).decode()}] * generator.randrange(1, 4)
    return Mutation("bad JPEG", _predict("video_jpeg", instances=[frames]))


def _wrong_path(generator: random.Random) -> Mutation:
    path = generator.choice(
        (
            "/",
            "/v1/models/other:predict",
            "/v1/models/tiny:classify",
            "/v1/models/tiny/versions/99:predict",
            "/v1/models/tiny/versions/" + "9" * 40 + ":predict",
            "/v1/models/tiny/labels/x:predict",
            "/v1/models/%00:predict",
            "/v1/models/" + "a" * 2000 + ":predict",
        )
    )
    return Mutation("wrong path", _valid(generator), path=path)


def _huge_claim(generator: random.Random) -> Mutation:
    declared = generator.choice((1 << 30, 1 << 40, int("9" * 18)))
    return Mutation("huge claim", b'{"instances": [', frozenset({413}), declared)


def _many_lists(generator: random.Random) -> Mutation:
    # 12 MB that would unfold to some 400 MB and more.
    piece = generator.choice((b"[],", b"{},", b"[[]],", b"0,", b'"",'))
    body = b'{"signature_name": "text", "inputs": [' + piece * (12_000_000 // len(piece)) + b"0]}"
    return Mutation("many lists", body)


def _big_image(generator: random.Random) -> Mutation:
    side = generator.choice((1700, 2000))
    row = b"[" + b",".join([b"[0,0,0]"] * side) + b"]"
    body = b'{"signature_name": "image", "instances": [[' + b",".join([row] * side) + b"]]}"
    return Mutation("big image", body, frozenset({413}))


def jpeg_bomb(width: int, height: int) -> bytes:
    """A small file whose header claims many pixels."""
    bomb = bytearray(_JPEG)
    place = bomb.index(b"\xff\xc0") + 5
    bomb[place : place + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(bomb)


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()


_JPEG = encode_jpeg(np.zeros((32, 32, 3), np.uint8))
_PNG = _png()
_SMALL: list[Callable[[random.Random], Mutation]] = [
    *(_truncated, _flipped, _wrong_type, _wrong_key, _not_finite, _huge_shape, _ragged),
    *(_bad_base64, _bad_jpeg, _wrong_path, _huge_claim),
]
_BIG: list[Callable[[random.Random], Mutation]] = [_many_lists, _big_image]
