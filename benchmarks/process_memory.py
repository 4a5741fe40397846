# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Memory of a process, from Linux's /proc.

getrusage's peak starts from the parent's, and an early peak would hide later ones.
"""

from __future__ import annotations

import pathlib
import re


def mebibytes(field: str = "VmRSS", process: int | str = "self") -> float:
    """Return the MiB in use now, or at the peak for "VmHWM"."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def reset_peak(process: int | str = "self") -> None:
    """Reset "VmHWM" to the memory in use."""
    pathlib.Path(f"/proc/{process}/clear_refs").write_text("5")
