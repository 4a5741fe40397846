# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shares of work divided among many machines: i/n is the i-th of n."""

from __future__ import annotations

import dataclasses
import re
from typing import Self


@dataclasses.dataclass(frozen=True)
class Share:
    """One machine's share of the work.

    Attributes:
      number: the share's number, from 1.
      count: number of shares.

    Raises:
      ValueError: the number is not between 1 and the count.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(
                f"The share {self} does not exist; expected i/n with i from 1 to n, such as 1/4."
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse "i/n".

        Raises:
          ValueError: the text is something else.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        if match is None:
            raise ValueError(f"The share is {text!r}; expected i/n, such as 1/4.")
        return cls(int(match[1]), int(match[2]))

    def holds_index(self, index: int) -> bool:
        """Return whether an item of a list, counted from 0, belongs to this share."""
        return index % self.count == self.number - 1
