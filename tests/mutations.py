# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Damages files from a seed, as chance does and as an enemy would."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import resource
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import process_memory

SECONDS = 60.0  # that one file may take on a busy machine
MEBIBYTES = 1024  # that one file may take in memory
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, 1e308, -0.5, float("nan"), float("inf")),
    *("", "x", "../../etc/passwd", "a\0b", "\ud800", "9" * 5000, "<script>", 'x"]); evil(', []),
    *({}, [None], {"class_name": "eval"}, [[[[]]]], ["a", 1]),
)


def damaged(data: bytes, seed: random.Random) -> bytes:
    """The bytes with some changed, cut off, moved or put in."""
    place = seed.randrange(len(data) + 1)
    end = min(len(data), place + seed.choice((1, 4, 16, 256, 4096)))
    kind = seed.randrange(7)
    if kind == 0:
        flipped = bytearray(data)
        for _ in range(seed.choice((1, 1, 2, 8))):
            flipped[seed.randrange(len(data))] ^= 1 << seed.randrange(8)
        return bytes(flipped)
    if kind == 1:
        return data[:place]
    if kind == 2:
        other = seed.randrange(len(data))
        return data[:place] + data[other : other + end - place] + data[end:]
    if kind == 3:
        return data[:place] + seed.randbytes(end - place) + data[end:]
    if kind == 4:
        return data[:place] + seed.choice((b"\xff", b"\0", b"[", b'"')) * (end - place) + data[end:]
    if kind == 5:
        return data[:place] + data[end:]
    digits = [index for index, byte in enumerate(data[: 1 << 16]) if 48 <= byte <= 57]
    place = seed.choice(digits) if digits else place
    return data[:place] + b"9" * seed.choice((1, 5, 20, 400, 5000)) + data[place + 1 :]


def damaged_json(data: bytes, seed: random.Random) -> bytes:
    """JSON with an entry of another type, lacking, deeply nested or huge; or damaged bytes."""
    if seed.random() < 0.25:
        return damaged(data, seed)
    root = [json.loads(data)]
    holder, key = seed.choice(list(_places(root)))
    kind = seed.randrange(8)
    if kind == 0 and holder is not root:
        del holder[key]
    elif kind == 1:
        holder[key] = "MARK"
        deep = seed.choice((150, 950, 50_000))
        return json.dumps(root[0]).encode().replace(b'"MARK"', b"[" * deep + b"]" * deep)
    elif kind == 2:
        holder[key] = "MARK"
        return json.dumps(root[0]).encode().replace(b'"MARK"', b"9" * seed.choice((25, 310, 5000)))
    else:
        holder[key] = copy.deepcopy(seed.choice(_VALUES))
    return json.dumps(root[0]).encode()


def damaged_zip(data: bytes, seed: random.Random, change: Callable[..., bytes]) -> bytes:
    """A zip with one file in it damaged and its sums right; or damaged bytes."""
    if seed.random() < 0.4:
        return damaged(data, seed)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        chosen = seed.choice(source.namelist())
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, change(name, content, seed) if name == chosen else content)
    return buffer.getvalue()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(what holds it, its key) of each value inside."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


@contextlib.contextmanager
def survived(what: str, mebibytes: float = MEBIBYTES) -> Iterator[list[str]]:
    """Within it, a file is read: either that works, or one line says why not.

    Yields:
      A list that gets that line.
    """

    def too_late(*_: object) -> None:
        raise AssertionError(f"{what}: took more than {SECONDS} s")

    said: list[str] = []
    process_memory.reset_peak()
    before = process_memory.mebibytes()
    old = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    begun = time.monotonic()
    try:
        yield said
    except (ValueError, OSError) as error:  # What programs turn into one line.
        said.append(str(error))
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert all(said), f"{what}: an error that says nothing"
    assert time.monotonic() - begun < SECONDS, f"{what}: took too long"
    taken = process_memory.mebibytes("VmHWM") - before
    assert taken < mebibytes, f"{what}: took {taken:.0f} MiB"


@contextlib.contextmanager
def limited_memory(gibibytes: float = 4) -> Iterator[None]:
    """Within it, no more than so much is had on top, so that a failure harms nobody else."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115
    now = pages * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + int(gibibytes * 2**30), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
