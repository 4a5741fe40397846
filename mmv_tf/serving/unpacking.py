# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Unpacks gzip request bodies in pieces, so that a small body can't exhaust the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from mmv_tf.serving.errors import UNSUPPORTED, RequestError, bad_request

# Accepted encodings, sent with a refusal as RFC 9110 asks.
ACCEPTED = "gzip, identity"
# Bytes per step, a fraction of a millisecond: other requests are answered between steps. Ours.
_STEP_BYTES = 1 << 18
_GZIP = zlib.MAX_WBITS | 16  # as zlib numbers it


def is_gzip(encodings: Sequence[str]) -> bool:
    """Return whether a body is compressed.

    Args:
      encodings: the values of a request's Content-Encoding headers.

    Raises:
      RequestError: 415 for any encoding except gzip (once) and identity.
    """
    names = [name.strip().lower() for value in encodings for name in value.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if names not in ([], ["gzip"], ["x-gzip"]):
        raise RequestError(
            UNSUPPORTED,
            f"The body's Content-Encoding is {', '.join(names)!r}; send identity or gzip.",
        )
    return bool(names)


class GzipReader:
    """A decompressor for the chunks of one gzip body, which may have several members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False  # the current member
        self._ended = False  # at least one member

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the unpacked content of the next chunk in pieces of limited size, some empty.

        Raises:
          RequestError: 400 if the body is not gzip, or is damaged.
        """
        while chunk:
            self._begun = True
            try:
                piece = self._member.decompress(chunk, _STEP_BYTES)
            except zlib.error as error:
                problem = (
                    "there is other data after its end"
                    if self._ended
                    else "the body is damaged or not gzip"
                )
                raise bad_request(
                    f"The body's Content-Encoding is gzip, but {problem} ({error})."
                ) from None
            chunk = self._member.unconsumed_tail
            if self._member.eof:
                chunk = self._member.unused_data
                self._member = zlib.decompressobj(_GZIP)
                self._begun, self._ended = False, True
            yield piece

    def finish(self) -> None:
        """Raise a `RequestError` 400 unless the body ended at the end of a gzip member."""
        if self._begun or not self._ended:
            raise bad_request(
                "The body's Content-Encoding is gzip, but the gzip is cut short; send all of it."
            )
