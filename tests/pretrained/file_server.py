# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A server of one file on the loopback address, with ranges and with faults on demand."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import re
import threading
from collections.abc import Mapping
from typing import Any

HOLD_SECONDS = 20.0


@dataclasses.dataclass
class Answer:
    """How one request is answered; by default as a good server does."""

    status: int | None = None  # an error
    location: str | None = None  # a redirect
    ranges: bool = True
    if_range: bool = True  # False: ranges even of a changed file
    cut: int | None = None  # bytes of the body, then the connection ends
    hold: tuple[int, threading.Event] | None = None  # bytes of the body, then wait for the event
    length: str | None = "right"  # the header: "right", None, "chunked", or a number
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class FileServer:
    """Serves `content` at any path; `answers` are used up first, one a request."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = '"one"'
        self.answers: list[Answer] = []
        self.ranges: list[str | None] = []  # of each request
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.close_connection = True
                server.ranges.append(self.headers.get("Range"))
                answer = server.answers.pop(0) if server.answers else Answer()
                with contextlib.suppress(ConnectionError):  # the client has had enough
                    server._answer(self, answer)

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_port}/weights.pkl"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it; its port refuses connections from now on."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, handler: http.server.BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.status is not None or answer.location is not None:
            handler.send_response(answer.status or 302)
            if answer.location is not None:
                handler.send_header("Location", answer.location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = self._start(handler.headers, answer)
        if start is not None and start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        body = self.content[start or 0 :]
        handler.send_response(200 if start is None else 206)
        if start is not None:
            last = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        if self.etag is not None:
            handler.send_header("ETag", self.etag)
        if answer.length == "chunked":
            handler.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif answer.length is not None:
            length = str(len(body)) if answer.length == "right" else answer.length
            handler.send_header("Content-Length", length)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        done = 0
        if answer.hold is not None:
            done, event = answer.hold
            handler.wfile.write(body[:done])
            event.wait(HOLD_SECONDS)
        handler.wfile.write(body[done : answer.cut])

    def _start(self, headers: Any, answer: Answer) -> int | None:
        """Where the asked range begins; None for the whole file."""
        found = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        if not found or not answer.ranges:
            return None
        wanted = headers.get("If-Range")
        if answer.if_range and wanted is not None and wanted != self.etag:
            return None
        return int(found[1])
