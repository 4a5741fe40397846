# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""URLs from which weights may be downloaded: https, and http on localhost."""

from __future__ import annotations

import urllib.parse
import urllib.request
from typing import Any

from mmv_tf.util import addresses


class FetchError(ValueError):
    """Weights are unavailable or not as expected; the message is one line and says what to do."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirect handler that refuses plain http, and redirects from the internet to localhost."""

    def __init__(self, local: bool):
        self._local = local

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Check the new URL before the request."""
        check_address(newurl, f"{host_of(req.full_url)} redirects to ", self._local)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def make_opener(address: str) -> urllib.request.OpenerDirector:
    """Create an opener that follows allowed redirects and the environment's proxy settings."""
    local = _is_local(address)
    handlers: list[urllib.request.BaseHandler] = [_Redirects(local)]
    if local:  # a proxy's loopback address is another machine
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def check_address(address: str, where: str = "", local: bool = True) -> None:
    """Refuse plain http.

    Args:
      address: any text.
      where: beginning of the error message.
      local: whether to allow http to a loopback address.

    Raises:
      FetchError: the URL is not allowed.
    """
    try:
        parts = urllib.parse.urlsplit(address)
        secure = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        secure = False
    if not secure and not (local and _is_local(address)):
        raise FetchError(
            f"{where}{address!r}: not an https URL; get the file some other way and place "
            "it by hand."
        )


def host_of(address: str) -> str:
    """Return the server's host name, with its port if there is one."""
    return urllib.parse.urlsplit(address).netloc.rpartition("@")[2]


def describe(reason: object) -> str:
    """Return the text of a network error, without its number."""
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return " ".join(text.split()) or type(reason).__name__


def _is_local(address: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(address)
        return parts.scheme in ("http", "https") and addresses.is_loopback(parts.hostname or "")
    except ValueError:
        return False
