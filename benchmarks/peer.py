# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""PyTorch for comparison: a process in another environment that performs runs on request."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any, cast

from benchmarks.measure import Times

_ROOT = pathlib.Path(__file__).parents[1]
_DEFAULT = _ROOT / ".venv-torch" / "bin" / "python"
INSTALL_HINT = (
    "python3 -m venv .venv-torch && .venv-torch/bin/python -m pip install torch numpy, "
    "or --torch_python=PATH for a Python that has them"
)
# Seconds to become ready, and for a run. torch.compile took 20 to 120 s; longer runs count as
# unfinished.
LIMIT = 240
_TRIALS = 3


class PeerError(Exception):
    """The PyTorch process does not run."""


def find_torch(given: str) -> str:
    """Return the Python that has torch: `given`, else .venv-torch's; "" if none, or for "none"."""
    if given:
        return "" if given == "none" else given
    return str(_DEFAULT) if _DEFAULT.exists() else ""


class Peer:
    """Process of `benchmarks/torch_peer.py`, which performs one run per call.

    Args:
      python: a Python that has torch and numpy.
      options: the program's options, without dashes.
      limit: maximum seconds to become ready, and for each run.

    Raises:
      PeerError: the process does not complete its first run, or exits or takes too long in a call.
    """

    def __init__(self, python: str, options: Mapping[str, Any], limit: int = LIMIT):
        program = pathlib.Path(__file__).with_name("torch_peer.py")
        given = {**options, "limit": limit}
        command = [python, str(program), *(f"--{key}={value}" for key, value in given.items())]
        self.options = dict(options)
        self._limit = limit
        self.peak_bytes = 0
        # The number of threads is not inherited from this process; the compiler's output is hidden.
        clean = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean
            )
        except OSError as error:
            raise PeerError(f"{python} does not run ({error}).") from error
        self.about = self._read()

    def __call__(self) -> Times:
        """A run."""
        stdin = cast(IO[str], self._process.stdin)
        with contextlib.suppress(BrokenPipeError):  # it has exited; reading its output tells why
            stdin.write("\n")
            stdin.flush()
        answer = self._read()
        self.peak_bytes = answer["peak_bytes"]
        return Times(answer["seconds"], answer["cpu_seconds"])

    def close(self) -> None:
        """End the process."""
        cast(IO[str], self._process.stdin).close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        line = cast(IO[str], self._process.stdout).readline()
        if not line:
            status = self._process.wait()
            if status == -signal.SIGALRM:
                raise PeerError(f"not finished in {self._limit} s")
            raise PeerError(f"ended with status {status}")
        return json.loads(line)


def forms(compiled: bool) -> list[dict[str, str]]:
    """Return PyTorch's variants: both layouts, eager and optionally compiled."""
    modes = ("eager", "compiled") if compiled else ("eager",)
    layouts = ("contiguous", "channels_last")
    return [{"layout": layout, "mode": mode} for mode in modes for layout in layouts]


def fastest(
    python: str,
    options: Mapping[str, Any],
    variants: Sequence[Mapping[str, Any]],
    limit: int = LIMIT,
) -> tuple[Peer, dict[str, Any]]:
    """Start every variant, run trials in turn, and keep the fastest.

    Returns:
      The fastest peer, and for each variant its seconds, or the reason why there are none.

    Raises:
      PeerError: no variant runs.
    """
    peers: dict[str, Peer] = {}
    tried: dict[str, Any] = {}

    def failed(name: str, error: PeerError) -> None:
        print(f"PyTorch, {name}: {error}", file=sys.stderr, flush=True)
        tried[name] = str(error)
        peers.pop(name, None)

    for variant in variants:
        name = " ".join(str(value) for value in variant.values())
        tried[name] = float("inf")
        try:
            peers[name] = Peer(python, {**options, **variant}, limit)
        except PeerError as error:
            failed(name, error)
    for _ in range(_TRIALS):
        for name, peer in list(peers.items()):
            try:
                tried[name] = min(tried[name], round(peer().seconds, 4))
            except PeerError as error:
                failed(name, error)
    if not peers:
        raise PeerError("PyTorch did not run in any of its layouts.")
    best = min(peers, key=lambda name: tried[name])
    for name, peer in peers.items():
        if name != best:
            peer.close()
    return peers[best], tried
