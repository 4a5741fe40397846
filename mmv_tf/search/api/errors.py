# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Refused requests."""

from __future__ import annotations

BAD_REQUEST = 400
UNAUTHORIZED = 401
NOT_FOUND = 404
TOO_LARGE = 413
UNSUPPORTED = 415
UNPROCESSABLE = 422
TOO_MANY = 429
FAILED = 500
UNAVAILABLE = 503
FULL = 507

_MAX_MESSAGE = 500  # characters: a message quotes the request, which may be long


class ApiError(Exception):
    """A request that can't be answered.

    Args:
      status: HTTP status.
      message: text for the client: what was received, what was expected. Never a path on this
        machine.
    """

    def __init__(self, status: int, message: str):
        text = " ".join(message.split())
        text = text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]} ..."
        super().__init__(text)
        self.status = status
        self.message = text


def bad_request(message: str) -> ApiError:
    """Return an error for a client's mistake."""
    return ApiError(BAD_REQUEST, message)
