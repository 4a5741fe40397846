# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What Linux says of a process's memory.

Not getrusage's peak: that starts from the parent's, and one of long ago would hide any other.
"""

from __future__ import annotations

import pathlib
import re


def mebibytes(field: str = "VmRSS", process: int | str = "self") -> float:
    """MiB in use now, or with "VmHWM" at most."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def reset_peak(process: int | str = "self") -> None:
    """Makes "VmHWM" start again from what is in use."""
    pathlib.Path(f"/proc/{process}/clear_refs").write_text("5")
