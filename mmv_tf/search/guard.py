# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What stands between browsers and the page: whose requests are answered, and how large they are.

A page of another site can make a browser send requests to this machine, and a name that it owns
can be pointed at 127.0.0.1. So requests are answered only under this machine's own names, and not
when they come from another site's page.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# NiceGUI compiles its templates in the browser, which needs eval; nothing comes from elsewhere.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
# Around a file, what a form adds.
_FORM_BYTES = 64 << 10


class _TooLarge(Exception):
    """A body went on after its limit."""


class Guard:
    """Refuses what is not meant for the page, and adds headers to what is.

    Args:
      app: the page.
      hosts: names that it is asked for by, without the port; None for any.
      max_upload_bytes: of a request's body.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None, max_upload_bytes: int):
        self._app = app
        self._hosts = hosts
        self._max_bytes = max_upload_bytes + _FORM_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or connection, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._is_ours(headers):
            await _refuse(scope, receive, send, 403, "This page is for this machine only.")
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_bytes:
            await _refuse(scope, receive, send, 413, "The file is too large.")
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise _TooLarge
            return message

        async def headed(message: Message) -> None:
            if received > self._max_bytes:
                return  # What the page makes of the broken request.
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added["Content-Security-Policy"] = _POLICY
                added["X-Content-Type-Options"] = "nosniff"
                added["Referrer-Policy"] = "no-referrer"
            await send(message)

        with contextlib.suppress(_TooLarge):
            await self._app(scope, counted, headed)
        if received > self._max_bytes:
            await _refuse(scope, receive, send, 413, "The file is too large.")

    def _is_ours(self, headers: Headers) -> bool:
        host = _name(headers.get("host", ""))
        allowed = [host] if self._hosts is None else self._hosts
        if host not in allowed:
            return False
        origin = headers.get("origin")
        return origin is None or _name(urllib.parse.urlsplit(origin).netloc) in allowed


def _name(host: str) -> str:
    """Without the port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await PlainTextResponse(text + "\n", status)(scope, receive, send)
