# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Filters for videos by folder, name, length and date."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Protocol

from mmv_tf.search.api.errors import bad_request
from mmv_tf.util.text_files import printable_name


class _File(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def mtime_ns(self) -> int: ...


@dataclasses.dataclass(frozen=True)
class Filters:
    """Filters for videos; a video must pass all of them.

    Attributes:
      folder: folder inside the indexed folder, including its subfolders; "" for all.
      file: part of the name, case-insensitive.
      min_seconds, max_seconds: limits on the length.
      after, before: limits on the file's date, in seconds since 1970; None for any.
    """

    folder: str = ""
    file: str = ""
    min_seconds: float | None = None
    max_seconds: float | None = None
    after: float | None = None
    before: float | None = None

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Filters:
        """Read the filters from a type-checked request.

        Raises:
          ApiError: a date is malformed.
        """
        chosen = {name: value for name, value in values.items() if value is not None}
        for name in ("after", "before"):
            if name in chosen:
                chosen[name] = _time(name, chosen[name])
        return cls(**chosen)

    @property
    def is_empty(self) -> bool:
        """True if all videos pass."""
        return self == Filters()

    def allows(self, file: _File, seconds: float | None) -> bool:
        """Return whether a file passes; unknown lengths pass unless lengths are limited."""
        name = printable_name(file.name)
        folder = self.folder.strip("/")
        if folder and not name.startswith(f"{folder}/"):
            return False
        if self.file and self.file.casefold() not in name.casefold():
            return False
        if seconds is None and not (self.min_seconds is None and self.max_seconds is None):
            return False
        if self.min_seconds is not None and (seconds or 0.0) < self.min_seconds:
            return False
        if self.max_seconds is not None and (seconds or 0.0) > self.max_seconds:
            return False
        time = file.mtime_ns / 1e9
        if self.after is not None and time < self.after:
            return False
        return self.before is None or time <= self.before


def _time(name: str, text: str) -> float:
    """Return seconds since 1970; "before" a day includes the day, in the server's time zone."""
    try:
        if len(text) == len("2026-01-31"):
            day = datetime.date.fromisoformat(text)
            end = datetime.time.max if name == "before" else datetime.time.min
            return datetime.datetime.combine(day, end).timestamp()
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise bad_request(
            f"{name} is {text[:40]!r}; expected a date such as 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None
