# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Settings of the search page's server. All defaults are ours."""

from __future__ import annotations

import dataclasses

from mmv_tf.util.addresses import is_loopback, local_names

MEBIBYTE = 1 << 20


@dataclasses.dataclass(frozen=True)
class PageSettings:
    """Settings of the search page's server.

    Attributes:
      host: address to listen on.
      port: port; 0 for any free port.
      max_upload_bytes: maximum bytes of an uploaded file, which is kept in memory while the page is
        open, and never stored.
      results: maximum number of moments to show.
      max_connections: maximum number of connections; a playing video uses one.
      head_timeout: maximum seconds to receive a request's headers, and for an idle connection.
      body_timeout: maximum seconds to receive an upload.
      deadline_seconds: maximum seconds to decode an upload or a thumbnail.
      cut_seconds: maximum seconds to cut a clip.
      token: secret that requests to the API must send; None for no token.
      everybody: allow addresses that other machines can reach without a token; their users can see
        the videos.

    Raises:
      ValueError: a value is invalid.
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
    cut_seconds: float = 300.0
    token: str | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port is {self.port}; expected 0 to 65535.")
        if self.max_upload_bytes <= 0 or self.results <= 0:
            raise ValueError("The largest upload and the number of results must be above 0.")
        times = self.head_timeout, self.body_timeout, self.deadline_seconds, self.cut_seconds
        if min(self.max_connections, *times) <= 0:
            raise ValueError("The number of connections and all timeouts must be above 0.")
        if not self.everybody and self.token is None and not self.is_loopback:
            raise ValueError(
                f"On {self.host} anyone who can reach this machine could watch the indexed "
                "videos; listen on 127.0.0.1, give a --token_file, or --everybody to allow that."
            )

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach the page."""
        return is_loopback(self.host)

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """Host names that browsers may use for the page; None for any."""
        if self.everybody or not self.is_loopback:
            return None
        return local_names(self.host)
