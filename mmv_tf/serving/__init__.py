# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A server of exported networks, of the extra `mmv_tf[serve]`."""

from __future__ import annotations

from collections.abc import Callable

from mmv_tf.serving.settings import ServerSettings as ServerSettings


def serve(settings: ServerSettings, announce: Callable[[str], None] = print) -> None:
    """Serve until SIGTERM or SIGINT, then answer what has been taken and return.

    Args:
      settings: the network, the ports and the limits.
      announce: is told in a line when the server is ready, with its addresses.

    Raises:
      ValueError: the network can't be loaded.
      OSError: a port is taken.
    """
    # At first use: the settings alone need none of the server's libraries.
    from mmv_tf.serving.server import run

    run(settings, announce)
