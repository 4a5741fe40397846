# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How the search page is served. All defaults are ours."""

from __future__ import annotations

import dataclasses

from mmv_tf.util.addresses import is_loopback, local_names

MEBIBYTE = 1 << 20


@dataclasses.dataclass(frozen=True)
class PageSettings:
    """What the page's server may be told.

    Attributes:
      host: address to listen on.
      port: 0 for any that is free.
      max_upload_bytes: of a picture, sound or clip that is searched for; it is kept in memory while
        the page is open, and never stored.
      results: moments shown.
      max_connections: at once; one for each video that plays, too.
      head_timeout: seconds for a request's head to arrive, and that an idle connection is kept.
      body_timeout: seconds for an upload to arrive.
      deadline_seconds: for decoding an upload or a thumbnail; then what decodes it is killed.
      everybody: listen on other addresses than this machine's own. Whoever reaches the port can see
        the indexed videos.

    Raises:
      ValueError: for values that don't fit.
    """

    host: str = "127.0.0.1"
    port: int = 8600
    max_upload_bytes: int = 64 * MEBIBYTE
    results: int = 12
    everybody: bool = False
    max_connections: int = 512
    head_timeout: float = 20.0
    body_timeout: float = 120.0
    deadline_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port is {self.port}; ports are from 0 to 65535.")
        if self.max_upload_bytes <= 0 or self.results <= 0:
            raise ValueError("The largest upload and the number of results must be above 0.")
        if (
            min(self.max_connections, self.head_timeout, self.body_timeout, self.deadline_seconds)
            <= 0
        ):
            raise ValueError("The number of connections and all time-outs must be above 0.")
        if not self.everybody and not self.is_loopback:
            raise ValueError(
                f"On {self.host} everybody who reaches this machine could watch the indexed "
                "videos; listen on 127.0.0.1, or say --everybody if that is meant."
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the page."""
        return is_loopback(self.host)

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """Names under which browsers may ask for the page; None for any."""
        if self.everybody:
            return None
        return local_names(self.host)
