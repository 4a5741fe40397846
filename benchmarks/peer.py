# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""PyTorch beside us: a process in another environment that takes a run whenever it is told to."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import Times

_ROOT = pathlib.Path(__file__).parents[1]
_DEFAULT = _ROOT / ".venv-torch" / "bin" / "python"
INSTALL_HINT = (
    "python3 -m venv .venv-torch && .venv-torch/bin/python -m pip install torch numpy, "
    "or --torch_python=PATH for a Python that has them"
)
# torch.compile took 20 to 120 s; what takes longer counts as not finished.
_START_SECONDS = 240.0


class PeerError(Exception):
    """The peer does not run."""


def find_torch(given: str) -> str:
    """The Python that has torch: the one given, or .venv-torch's; "" if none, or for "none"."""
    if given:
        return "" if given == "none" else given
    return str(_DEFAULT) if _DEFAULT.exists() else ""


class Peer:
    """A process of `benchmarks/torch_peer.py`, which takes a run when it is called.

    Args:
      python: has torch and numpy.
      options: the program's, without dashes.

    Raises:
      PeerError: if it does not come as far as its first run.
    """

    def __init__(self, python: str, options: Mapping[str, Any]):
        program = pathlib.Path(__file__).with_name("torch_peer.py")
        command = [python, str(program), *(f"--{key}={value}" for key, value in options.items())]
        self.options = dict(options)
        self.peak_bytes = 0
        # Its own threads, whatever this process was given; what it compiles stays out of sight.
        clean = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean
            )
        except OSError as error:
            raise PeerError(f"{python} does not run ({error}).") from error
        killer = threading.Timer(_START_SECONDS, self._process.kill)
        killer.start()
        try:
            self.about = self._read()
        finally:
            killer.cancel()

    def __call__(self) -> Times:
        """A run."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._read()
        self.peak_bytes = answer["peak_bytes"]
        return Times(answer["seconds"], answer["cpu_seconds"])

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise PeerError(f"the peer {self.options} ended with {self._process.returncode}.")
        return json.loads(line)


def fastest(
    python: str, options: Mapping[str, Any], variants: Sequence[Mapping[str, Any]]
) -> tuple[Peer, dict[str, Any]]:
    """Starts every variant, takes two runs of each, and keeps the fastest.

    Returns:
      The peer; the seconds of each variant by its name (None: it did not finish).

    Raises:
      PeerError: if none runs.
    """
    best: Peer | None = None
    best_seconds = float("inf")
    tried: dict[str, Any] = {}
    for variant in variants:
        name = " ".join(str(value) for value in variant.values())
        try:
            peer = Peer(python, {**options, **variant})
            seconds = min(peer().seconds for _ in range(2))
        except PeerError as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            tried[name] = None
            continue
        tried[name] = round(seconds, 4)
        if seconds < best_seconds:
            best, peer, best_seconds = peer, best, seconds
        if peer is not None:
            peer.close()
    if best is None:
        raise PeerError("PyTorch did not run in any of its layouts.")
    return best, tried
