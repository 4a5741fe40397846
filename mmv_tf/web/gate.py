# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Refuses requests that other sites' pages make a browser send, and headers that are too long.

Another site's page can make a browser send requests to localhost, and a name that the site owns can
be pointed at 127.0.0.1. So requests are answered only under the server's own names, and only if the
browser does not state that another site's page sent them. Programs send no such header and are not
affected.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmv_tf.web.connections import MAX_HEAD_BYTES

# Number of headers in a request; the limit of other servers (Apache, Python's own client).
MAX_HEADERS = 100
_PORTS = {"http": 80, "https": 443}


class Gate:
    """Filters out HTTP requests that are not meant for the server; WebSockets are refused.

    Args:
      app: the server's application.
      hosts: host names that requests may use, without the port; None for any.
      origins: other sites whose pages may send requests, such as "https://example.org".
      refusal: creates the answer to a refused request from its status and a one-line reason.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str] | None,
        origins: Sequence[str] = (),
        refusal: Callable[[int, str], Response] = lambda status, text: PlainTextResponse(
            f"{text}\n", status
        ),
    ):
        self._app = app
        self._hosts = hosts
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            await self._pass_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _pass_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        policy = "cross-origin" if self._is_allowed(headers.get("origin")) else "same-origin"

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Browsers send this where they hide the origin; on localhost they don't.
                MutableHeaders(scope=message)["Cross-Origin-Resource-Policy"] = policy
            await send(message)

        refused = self._refused(scope, headers)
        if refused is None:
            await self._app(scope, receive, headed)
        else:
            await self._refusal(*refused)(scope, receive, headed)

    def _refused(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Return the status and the reason if a request must be refused, else None."""
        if len(headers.raw) > MAX_HEADERS:
            return 431, f"The request has {len(headers.raw)} headers; the limit is {MAX_HEADERS}."
        if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEAD_BYTES:
            return 431, f"The request's headers are longer than {MAX_HEAD_BYTES} bytes."
        host = headers.get("host")
        if host is not None and self._hosts is not None and _split(host)[0] not in self._hosts:
            return 403, f"This server does not serve the host name {host[:100]!r}."
        if not self._is_own_page(scope, headers, host or ""):
            return 403, "Pages of other sites may not use this server."
        return None

    def _is_own_page(self, scope: Scope, headers: Headers, host: str) -> bool:
        """Return whether a program, the server's own page or an allowed site sent a request."""
        origin = headers.get("origin")
        if self._is_allowed(origin):
            return True
        if origin is not None and not self._is_own_origin(origin, host):
            return False
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        # A followed link: the user sees the result, the other page does not.
        followed = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
        return scope.get("method") == "GET" and followed == ("navigate", "document")

    def _is_allowed(self, origin: str | None) -> bool:
        return origin is not None and origin.lower() in self._origins

    def _is_own_origin(self, origin: str, host: str) -> bool:
        scheme, _, rest = origin.lower().partition("://")
        default = _PORTS.get(scheme)
        own, own_port = _split(host)
        name, port = _split(urllib.parse.urlsplit(f"//{rest}").netloc)
        names = [own] if self._hosts is None else self._hosts
        return name in names and (port or default) == (own_port or default)


def _split(host: str) -> tuple[str, int | None]:
    """Return the lowercase name, and the port."""
    name, colon, port = host.lower().rpartition(":")
    return (name, int(port)) if colon and port.isdecimal() else (host.lower(), None)
