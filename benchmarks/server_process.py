# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A real server on loopback, for benchmarks and tests."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
from typing import Any

from benchmarks import process_memory

ROOT = pathlib.Path(__file__).parents[1]


class ServerProcess:
    """Process of `mmv serve` on free ports; use it as a context manager.

    Attributes:
      rest, grpc: its ports.
    """

    def __init__(self, folder: os.PathLike[str] | str, *flags: str, **environment: str):
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mmv_tf", "serve", f"--saved_model={folder}"),
                *("--model_name=tiny", "--http_port=0", "--grpc_port=0", *flags),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
            text=True,
        )
        output: Any = self._process.stdout
        self.line = output.readline()
        match = re.search(r"version (\d+): REST \S+:(\d+), gRPC \S+:(\d+)", self.line)
        if match is None:
            self.stop()
            raise RuntimeError(f"The server did not start: {self.line}")
        self.version, self.rest, self.grpc = (int(value) for value in match.groups())

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def memory(self, field: str = "VmRSS") -> float:
        """Return the MiB in use now, or at the peak for "VmHWM"."""
        return process_memory.mebibytes(field, self._process.pid)

    def reset_peak(self) -> None:
        """Reset "VmHWM" to the memory in use."""
        process_memory.reset_peak(self._process.pid)

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def terminate(self) -> None:
        """Send SIGTERM, without waiting."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Send SIGTERM, wait and return the exit status."""
        if self.alive():
            self.terminate()
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()
