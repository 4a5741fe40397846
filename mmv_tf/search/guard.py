# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Limits on uploads to the page, and the headers that protect it in a browser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Only the server's own files; blob: for previews of files that the user has just chosen. No script
# or style is inline, and none creates others from text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
# Maximum bytes of other bodies, which are JSON.
_LEAST_BYTES = 1 << 20
# Ours: all uploads at once, which are kept in memory, as multiples of the largest upload.
_UPLOADS = 4


class Refused(Exception):
    """A body is too large, too slow or one too many; the guard answers the request.

    Args:
      status: HTTP status.
      text: message for the user.
    """

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status
        self.text = text


class Guard:
    """An ASGI application that rejects large or slow bodies, and adds headers to answers.

    Args:
      app: the page.
      max_upload_bytes: maximum bytes of a request's body; JSON may always have a mebibyte.
      body_timeout: maximum seconds to receive a body.
      refusal: creates the answer to a refused request from its status and a one-line reason.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_upload_bytes: int,
        body_timeout: float,
        refusal: Callable[[int, str], Response] = lambda status, text: PlainTextResponse(
            f"{text}\n", status
        ),
    ):
        self._app = app
        self._refusal = refusal
        self._max_bytes = max(max_upload_bytes, _LEAST_BYTES)
        self._body_timeout = body_timeout
        self._held = 0  # total bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > self._max_bytes:
            await self._answer(self._too_large(), scope, receive, send)
            return
        received = 0
        ended = False
        refused: Refused | None = None
        until = asyncio.get_running_loop().time() + self._body_timeout

        async def limited() -> Message:
            nonlocal received, ended, refused
            if ended:
                return await receive()  # waits for the client to disconnect
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                refused = Refused(408, "The upload took too long.")
                raise refused from None
            size = len(message.get("body", b""))
            ended = not message.get("more_body", False)
            received += size
            self._held += size
            if received > self._max_bytes:
                refused = self._too_large()
            elif self._held > _UPLOADS * self._max_bytes:
                refused = Refused(503, "Too many uploads at once; try again later.")
            if refused is not None:
                raise refused
            return message

        async def headed(message: Message) -> None:
            if refused is not None:
                return  # the page's answer to the broken request
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added["Content-Security-Policy"] = _POLICY
                added["Cross-Origin-Opener-Policy"] = "same-origin"
                added["X-Content-Type-Options"] = "nosniff"
                added["Referrer-Policy"] = "no-referrer"
            await send(message)

        try:
            with contextlib.suppress(Refused):
                await self._app(scope, limited, headed)
        finally:
            self._held -= received
        if refused is not None:
            # Its traceback would keep the received body until garbage collection.
            await self._answer(refused.with_traceback(None), scope, receive, send)

    async def _answer(self, refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
        await self._refusal(refused.status, refused.text)(scope, receive, send)

    def _too_large(self) -> Refused:
        return Refused(413, f"The body is larger than {self._max_bytes} bytes.")
