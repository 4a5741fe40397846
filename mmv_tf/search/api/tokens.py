# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Secret token required in requests, and a limit on attempts to guess it."""

from __future__ import annotations

import collections
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mmv_tf.search.api.endpoints import ENDPOINTS
from mmv_tf.search.api.errors import TOO_MANY, UNAUTHORIZED
from mmv_tf.search.api.library import PREFIX

COOKIE = "mmv_search"
# Ours: incorrect tokens per address in a period before it must wait, and addresses remembered.
_WRONG, _SECONDS, _ADDRESSES = 10, 60.0, 4096


class Attempts:
    """Incorrect tokens by address; an address with too many has to wait.

    Args:
      clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._wrong: collections.OrderedDict[str, collections.deque[float]] = (
            collections.OrderedDict()
        )

    def wait(self, address: str) -> float:
        """Return the seconds that an address has to wait, or 0."""
        times = self._wrong.get(_network(address))
        if times is None or len(times) < _WRONG:
            return 0.0
        return max(0.0, times[0] + _SECONDS - self._clock())

    def note(self, address: str) -> None:
        """Record an incorrect token."""
        key = _network(address)
        times = self._wrong.setdefault(key, collections.deque(maxlen=_WRONG))
        times.append(self._clock())
        self._wrong.move_to_end(key)
        while len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)


class Tokens:
    """An ASGI application that refuses requests to the API without the token.

    The token comes in the header `Authorization: Bearer`, or as the cookie that `cookie` derives
    from it, since browser players send no header.

    Args:
      app: the application.
      token: the token; None lets all requests pass.
      refusal: creates the answer to a refused request from its status and a one-line reason.
    """

    def __init__(self, app: ASGIApp, token: str | None, refusal: Callable[[int, str], Response]):
        self._app = app
        self._token = token
        self._refusal = refusal
        self._attempts = Attempts()
        self._open = {endpoint.address for endpoint in ENDPOINTS if endpoint.is_open}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and self._needs_token(scope["path"]):
            refused = self._refused(HTTPConnection(scope))
            if refused is not None:
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _needs_token(self, path: str) -> bool:
        return self._token is not None and path.startswith(PREFIX) and path not in self._open

    def _refused(self, connection: HTTPConnection) -> Response | None:
        """Return the answer to a request without the correct token, or None."""
        assert self._token is not None  # noqa: S101 (see `_needs_token`)
        given = _given(connection.headers)
        session = connection.cookies.get(COOKIE)
        if given is None and session is None:
            return self._refusal(
                UNAUTHORIZED, "This server requires a token: send Authorization: Bearer TOKEN."
            )
        address = connection.client.host if connection.client is not None else ""
        seconds = self._attempts.wait(address)
        if seconds > 0:
            response = self._refusal(TOO_MANY, "Too many incorrect tokens; try again in a minute.")
            response.headers["Retry-After"] = str(int(seconds) + 1)
            return response
        if given is not None and _same(given, self._token):
            return None
        if given is None and session is not None and _same(session, cookie(self._token)):
            return None
        if given is not None:  # an old session's cookie is not a guess
            self._attempts.note(address)
        return self._refusal(UNAUTHORIZED, "The token is incorrect.")


_SESSIONS = secrets.token_bytes(32)


def cookie(token: str) -> str:
    """Return the value of the cookie that replaces the token until the server stops."""
    return hmac.new(_SESSIONS, token.encode(), hashlib.sha256).hexdigest()


def _given(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _same(given: str, expected: str) -> bool:
    """Compare in a time that does not depend on the contents."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _network(address: str) -> str:
    """Return an address, or for IPv6 its network, because a client owns all addresses in it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
