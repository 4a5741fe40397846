# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Loopback addresses."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a server on this name or address can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_names(host: str) -> tuple[str, ...]:
    """Return this machine's names for itself, and the address that a server listens on."""
    return ("127.0.0.1", "localhost", "[::1]", host.lower(), f"[{host.lower()}]")
