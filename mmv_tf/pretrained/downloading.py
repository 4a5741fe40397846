# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Resumable downloads over HTTPS.

Bytes go to a `.part` file. Beside it, `.part.json` stores the URL, the size and the server's
validator (a strong ETag, else Last-Modified), so that the next attempt requests only the rest, or
starts over if the file on the server has changed. Callers hold a lock: one process per file.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import json
import pathlib
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from email.message import Message
from typing import IO, Any

from mmv_tf.pretrained.web import FetchError, check_address, describe, host_of, make_opener
from mmv_tf.util import files
from mmv_tf.util.progress import Progress
from mmv_tf.util.safe_files import read_json
from mmv_tf.version import __version__

# Pauses before the next attempt, in seconds; an attempt that receives bytes resets them.
PAUSES = (1.0, 2.0, 4.0)
# Longest wait for the next bytes.
TIMEOUT_SECONDS = 30.0

_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
_CHUNK_BYTES = 1 << 18
_MEGABYTE = 1_000_000
# Disk space to leave free in addition to the file.
_MARGIN_BYTES = 16 * _MEGABYTE


class _TransientError(Exception):
    """An attempt failed in a way that may not recur."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A file to download.

    Attributes:
      address: https URL; http is allowed only for localhost (a loopback address).
      title: name in messages and progress.
      remedy: what a user can do besides retrying, phrased as the end of a sentence.
      size: size in bytes, or None if unknown; the server's size must equal it.
    """

    address: str
    title: str
    remedy: str
    size: int | None = None

    @property
    def host(self) -> str:
        """The host name and port of the server."""
        return host_of(self.address)

    def error(self, problem: str) -> FetchError:
        """Return an error that ends with the remedy, on one line."""
        return FetchError(f"{self.title}: {problem}; {self.remedy}.")


@dataclasses.dataclass(frozen=True)
class _State:
    """A partial download's state.

    Attributes:
      address: the file's URL.
      total: size in bytes.
      validator: value for the If-Range header; None if the server sent none.
      crc32c: checksum of the whole file in base64, if the server sends it (Google's does).
    """

    address: str
    total: int
    validator: str | None
    crc32c: str | None


def download(source: Source, part: pathlib.Path) -> None:
    """Download a file to `part`, resuming a partial download; syncs the bytes to the disk.

    Args:
      source: the file.
      part: the file to write. `part` + ".json" is kept beside it; `remove_part` removes both.

    Raises:
      FetchError: the server can't be reached or refuses, the file has an unexpected size, or it was
        corrupted in transit. Received bytes stay in `part`, from where the next call resumes.
      OSError: the disk is full or not writable.
    """
    check_address(source.address)
    opener = make_opener(source.address)
    failures = 0
    while True:
        before = _size(part)
        try:
            state = _attempt(opener, source, part)
            break
        except _TransientError as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures > len(PAUSES):
                raise FetchError(
                    f"{source.title}: {error}. Check the network and rerun the same command, "
                    f"which resumes; or {source.remedy}."
                ) from error
            time.sleep(PAUSES[failures - 1])
    _check_crc32c(source, part, state)


def remove_part(part: pathlib.Path) -> None:
    """Delete a partial file and its state."""
    # The bytes first: a state without them is harmless.
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def _attempt(opener: urllib.request.OpenerDirector, source: Source, part: pathlib.Path) -> _State:
    """Request the missing bytes and write them."""
    state = _read_state(part, source.address)
    start = _size(part) if state is not None else 0
    if state is not None and start == state.total:
        return state  # all bytes had arrived before the program was killed
    headers = {"Accept-Encoding": "identity", "User-Agent": f"mmv_tf/{__version__}"}
    if state is not None and state.validator is not None and start:
        headers |= {"Range": f"bytes={start}-", "If-Range": state.validator}
    else:
        start = 0
    request = urllib.request.Request(source.address, headers=headers)  # noqa: S310
    with _ask(opener, request, source, part) as response:
        _check_content(response, source)
        start = _first_byte(response, source, part, start, state)
        found = _described(response, source, start)
        _check_space(source, part, found.total - start)
        if not start:
            remove_part(part)  # before its state becomes another file's
        _write_state(part, found)
        _receive(response, source, part, start, found.total)
    return found


def _ask(
    opener: urllib.request.OpenerDirector,
    request: urllib.request.Request,
    source: Source,
    part: pathlib.Path,
) -> Any:
    """Open the URL and return an HTTP response with status 2xx."""
    try:
        return opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            problem = f"{source.address} returned {error.code} {error.reason}"
            if error.code == 416:  # the file on the server is now shorter
                remove_part(part)
            if error.code in (416, *_TRANSIENT_STATUS):
                raise _TransientError(problem) from error
            raise source.error(problem) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise FetchError(
                f"{source.title}: the certificate of {source.host} is not trusted "
                f"({describe(reason)}). Set SSL_CERT_FILE to your network's certificates, or "
                f"{source.remedy}."
            ) from error
        raise _TransientError(f"{source.host} can't be reached ({describe(reason)})") from error


def _check_content(response: Any, source: Source) -> None:
    """Reject captive-portal login pages, and bodies with a content encoding."""
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity" or response.headers.get_content_type() == "text/html":
        kind = "a web page" if encoding == "identity" else f"{encoding} content"
        raise FetchError(
            f"{source.title}: {source.address} returned {kind} instead of the file (perhaps "
            f"this network's login page). Open it in a browser, or {source.remedy}."
        )


def _first_byte(
    response: Any, source: Source, part: pathlib.Path, start: int, state: _State | None
) -> int:
    """Return the offset in the file at which a response begins."""
    if response.status == 200:
        return 0  # the server does not support ranges, or has a different file than before
    if response.status != 206:
        raise source.error(f"{source.address} returned {response.status} {response.reason}")
    # Some servers ignore If-Range.
    same = (
        state is not None
        and _range_of(response.headers) == (start, state.total)
        and _validator(response.headers) in (None, state.validator)
    )
    if not same:
        remove_part(part)
        raise _TransientError(f"the file at {source.address} changed during the download")
    return start


def _described(response: Any, source: Source, start: int) -> _State:
    """Return the file's state from a response's headers, checked against the expected size."""
    if start:
        found = _range_of(response.headers)
        total = found[1] if found else None
    else:
        total = response.length
    whole = total if total is not None else source.size
    if whole is None:
        raise source.error(f"{source.address} does not state the length of the file")
    if total is not None and source.size not in (None, total):
        raise source.error(
            f"the file at {source.address} has {total:,} bytes; expected {source.size:,}, so "
            "it is a different file"
        )
    headers = response.headers
    return _State(source.address, whole, _validator(headers), _stated_crc32c(headers))


def _receive(response: Any, source: Source, part: pathlib.Path, start: int, total: int) -> None:
    """Write a response's body, starting at offset `start`, never beyond the file's size."""
    done = start
    shown_title, shown_start = f"fetch {source.title}", start // _MEGABYTE
    with (
        open(part, "r+b" if start else "wb", buffering=0) as file,
        Progress(total // _MEGABYTE, shown_title, "MB", initial=shown_start) as shown,
    ):
        file.seek(start)
        file.truncate()
        while done < total:
            chunk = _read(response, min(_CHUNK_BYTES, total - done))
            if not chunk:
                raise _TransientError(f"the connection ended after {done:,} of {total:,} bytes")
            _write(file, chunk)
            done += len(chunk)
            shown.update(done // _MEGABYTE - shown.done)
        # A server that declares no length may send more.
        if response.length is None and _read(response, 1):
            remove_part(part)
            raise source.error(
                f"{source.address} sends more than the expected {total:,} bytes, so it is a "
                "different file"
            )
        files.flush(file)


def _read(response: Any, count: int) -> bytes:
    try:
        return response.read1(count)
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"the connection broke ({describe(error)})") from error


def _write(file: IO[bytes], chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


# --- Headers and state ----------------------------------------------------------------------------


def _range_of(headers: Message) -> tuple[int, int] | None:
    """Return the start and total size from a header like `Content-Range: bytes 200-999/1000`."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", "").strip())
    return (int(found[1]), int(found[2])) if found else None


def _validator(headers: Message) -> str | None:
    etag = headers.get("ETag")
    if etag is not None and etag.startswith('"'):  # a weak one (W/"...") allows other bytes
        return etag
    return headers.get("Last-Modified")


def _stated_crc32c(headers: Message) -> str | None:
    """Return the value from headers such as `x-goog-hash: crc32c=n03x6A==,md5=...`."""
    for line in headers.get_all("x-goog-hash", []):
        for entry in line.split(","):
            name, _, value = entry.strip().partition("=")
            if name == "crc32c":
                return value
    return None


def _check_crc32c(source: Source, part: pathlib.Path, state: _State) -> None:
    if state.crc32c is None:
        return
    checksum = files.file_crc32c(part).to_bytes(4, "big")
    if base64.b64encode(checksum).decode() != state.crc32c:
        remove_part(part)
        raise FetchError(
            f"{source.title}: the file was corrupted in transit (its CRC-32C differs from the one "
            f"that {source.host} states). Rerun the same command."
        )


def _check_space(source: Source, part: pathlib.Path, missing: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < missing + _MARGIN_BYTES:
        raise FetchError(
            f"{source.title} needs {missing / _MEGABYTE:,.0f} MB more, but {part.parent} has only "
            f"{free / _MEGABYTE:,.0f} MB free. Free up space, or set MMV_TF_CACHE to a folder "
            "on another disk."
        )


def _state_path(part: pathlib.Path) -> pathlib.Path:
    return part.with_name(f"{part.name}.json")


def _read_state(part: pathlib.Path, address: str) -> _State | None:
    """Return the state of `part`, or None, with both files deleted, if nothing can be resumed."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        state = _State(**read_json(_state_path(part)))
        if part.is_file() and state.address == address and _size(part) <= state.total:
            return state
    remove_part(part)
    return None


def _write_state(part: pathlib.Path, state: _State) -> None:
    files.write_text(json.dumps(dataclasses.asdict(state)), _state_path(part))


def _size(path: pathlib.Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
