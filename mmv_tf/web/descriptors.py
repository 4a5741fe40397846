# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""File descriptors: how many connections a process has room for."""

from __future__ import annotations

import errno
import os
import resource

# Kept for all but connections: files that are read, pipes to child processes, libraries. Ours.
_RESERVE = 64
_LEAST = 8  # connections without which a server is of no use; ours
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def connections_within(wanted: int, each: int = 1) -> int:
    """The number of connections that there are descriptors for, raising the soft limit if need be.

    Args:
      wanted: connections.
      each: descriptors that one takes: its own, and those of what it may ask for.

    Returns:
      At most `wanted`.

    Raises:
      OSError: there are too few descriptors to serve anybody.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/dev/fd")) + _RESERVE
    target = used + wanted * each
    if soft != resource.RLIM_INFINITY and soft < target:
        soft = target if hard == resource.RLIM_INFINITY else min(target, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    room = (soft - used) // each
    if room < _LEAST:
        raise OSError(
            errno.EMFILE,
            f"{soft} file descriptors are too few to serve; allow {used + _LEAST * each} or more "
            "(ulimit -n)",
        )
    return min(wanted, room)


def is_exhausted(error: object) -> bool:
    """Tell whether an error says that the system has no room for another connection."""
    return isinstance(error, OSError) and error.errno in _EXHAUSTED
