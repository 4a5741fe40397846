# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""ASGI application: the API, and the static page that uses it."""

from __future__ import annotations

import asyncio
import functools
import logging
import mimetypes
import pathlib
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mmv_tf.search.api.endpoints import ENDPOINTS
from mmv_tf.search.api.errors import FAILED, UNAVAILABLE, UNSUPPORTED, ApiError
from mmv_tf.search.api.handlers import Handlers
from mmv_tf.search.api.tokens import Tokens
from mmv_tf.search.guard import Guard, Refused
from mmv_tf.search.page_settings import PageSettings
from mmv_tf.web.gate import Gate

logger = logging.getLogger(__name__)
_ASSETS = pathlib.Path(__file__).parents[1] / "page_assets"
_SUFFIXES = (".html", ".css", ".js", ".svg", ".png", ".ico", ".woff2")
_PAGES = {"/": "index.html", "/api": "api.html"}
_Handler = Callable[[Request], Awaitable[Response]]


def application(handlers: Handlers, settings: PageSettings) -> ASGIApp:
    """Return the application with its protection against slow, large and cross-site requests.

    Args:
      handlers: the endpoints' handlers.
      settings: the server's settings.
    """
    app: ASGIApp = Starlette(
        routes=routes(handlers), exception_handlers={HTTPException: _http_error}
    )
    app = Tokens(app, settings.token, refuse)
    app = Guard(app, settings.max_upload_bytes, settings.body_timeout, refuse)
    return Gate(app, settings.hosts, refusal=refuse)


def routes(handlers: Handlers) -> list[Route]:
    """Return all routes: those in the endpoint table, and those of the page's files."""
    found = [
        Route(
            endpoint.address, _guarded(getattr(handlers, endpoint.name)), methods=[endpoint.method]
        )
        for endpoint in ENDPOINTS
    ]
    return _merged([*found, Route("/healthz", _healthy), *page_routes()])


def page_routes() -> list[Route]:
    """Return routes for the page's files, all read now, so that no request names a path."""
    files = {
        path.name: path.read_bytes()
        for path in sorted(_ASSETS.iterdir())
        if path.suffix in _SUFFIXES
    }
    served = {f"/assets/{name}": (name, data) for name, data in files.items()}
    served |= {path: (name, files[name]) for path, name in _PAGES.items()}
    return [Route(path, _file(name, data)) for path, (name, data) in served.items()]


def refuse(status: int, text: str) -> Response:
    """Return the answer to a refused request."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": text}, status, headers)


def _merged(routes: list[Route]) -> list[Route]:
    """Join routes that share a path, so that an unsupported method gets 405."""
    by_path: dict[str, dict[str, _Handler]] = {}
    for route in routes:
        for method in route.methods or ():
            by_path.setdefault(route.path, {})[method] = route.endpoint
    return [
        Route(path, functools.partial(_dispatch, methods), methods=list(methods))
        for path, methods in by_path.items()
    ]


async def _dispatch(methods: dict[str, _Handler], request: Request) -> Response:
    return await methods[request.method](request)


def _guarded(handler: _Handler) -> _Handler:
    """Answer a handler's errors: client mistakes with their message, failures without."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except ApiError as error:
            return refuse(error.status, error.message)
        except asyncio.CancelledError:  # by Uvicorn, which no longer waits for it
            return refuse(UNAVAILABLE, "The server is stopping.")
        except ClientDisconnect:
            return Response(status_code=400)  # never sent: the client has disconnected
        except Refused:
            raise
        except HTTPException as error:
            return refuse(error.status_code, str(error.detail))
        except Exception:
            logger.exception("A request failed.")
            return refuse(FAILED, "The server failed; see its log.")

    return guarded


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer requests that match no route."""
    status = error.status_code if isinstance(error, HTTPException) else FAILED
    where = request.url.path[:80]
    text = {
        404: f"There is nothing at {where!r}; see /api.",
        405: f"{where!r} does not support {request.method[:20]!r}; see /api.",
        UNSUPPORTED: "The body has an unknown type.",
    }.get(status, "The request can't be answered.")
    response = refuse(status, text)
    allow = (getattr(error, "headers", None) or {}).get("Allow")
    if allow:
        response.headers["Allow"] = allow
    return response


async def _healthy(request: Request) -> Response:
    del request
    return JSONResponse({"status": "ok"})


def _file(name: str, data: bytes) -> _Handler:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "text/javascript" if name.endswith(".js") else kind

    async def answer(request: Request) -> Response:
        del request
        return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})

    return answer
