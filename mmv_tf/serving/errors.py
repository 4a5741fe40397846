# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Refused requests, and their form in each protocol."""

from __future__ import annotations

import re

import tensorflow as tf

BAD_REQUEST = 400
UNAUTHORIZED = 401
NOT_FOUND = 404
BODY_TIMEOUT = 408
TOO_LARGE = 413
UNSUPPORTED = 415
FAILED = 500
UNAVAILABLE = 503
TIMEOUT = 504

# Status -> name of the gRPC code that TensorFlow Serving uses.
GRPC_CODES = {
    BAD_REQUEST: "INVALID_ARGUMENT",
    UNAUTHORIZED: "UNAUTHENTICATED",
    NOT_FOUND: "NOT_FOUND",
    BODY_TIMEOUT: "DEADLINE_EXCEEDED",
    TOO_LARGE: "RESOURCE_EXHAUSTED",
    UNSUPPORTED: "UNIMPLEMENTED",
    FAILED: "INTERNAL",
    UNAVAILABLE: "UNAVAILABLE",
    TIMEOUT: "DEADLINE_EXCEEDED",
}
_MAX_MESSAGE = 500  # characters: a message quotes the request, which may be long


class RequestError(Exception):
    """A request that gets no prediction.

    Args:
      status: HTTP status.
      message: text for the client: what was received, what was expected.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + " ..."


def bad_request(message: str) -> RequestError:
    """Return an error for a client's mistake."""
    return RequestError(BAD_REQUEST, message)


def from_tensorflow(error: Exception) -> RequestError:
    """Return the request error for an error raised by the graph."""
    if isinstance(error, tf.errors.InvalidArgumentError | tf.errors.OutOfRangeError):
        return bad_request(f"The model rejected the input: {_first_words(str(error))}")
    if isinstance(error, tf.errors.ResourceExhaustedError | MemoryError):
        return RequestError(
            UNAVAILABLE, "There is too little memory for this request; try again later."
        )
    return RequestError(FAILED, f"The model failed: {type(error).__name__}.")


def _first_words(text: str) -> str:
    """Return the message itself, without TensorFlow's additions."""
    found = re.search(r"assertion failed: (.*)", text)
    if found:
        return found.group(1)
    noise = ("Graph execution error", "Detected at node", "<stack traces", "Traceback", "File ")
    for line in text.splitlines():
        line = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", "", line).strip()
        if line and not line.startswith(noise):
            return line
    return "no reason was given."
