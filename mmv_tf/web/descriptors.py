# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""File descriptors: how many connections a process has room for."""

from __future__ import annotations

import errno
import os
import resource

# For everything but connections: open files, pipes to child processes, libraries. Ours.
_RESERVE = 64
_LEAST = 8  # fewer connections make a server useless; ours
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def connections_within(wanted: int, each: int = 1) -> int:
    """Return the number of connections that file descriptors allow, raising the soft limit.

    Args:
      wanted: number of connections.
      each: descriptors per connection, including those of its requests.

    Returns:
      At most `wanted`.

    Raises:
      OSError: there are too few descriptors to serve anyone.
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
    """Return whether an error means that the system has no room for another connection."""
    return isinstance(error, OSError) and error.errno in _EXHAUSTED
