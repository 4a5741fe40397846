# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The report's results, written after each case, so that nothing is lost if the program ends."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

from mmv_tf.util import files

Row = dict[str, Any]

RESULTS = "results.json"
OUT_OF_MEMORY = "out of memory"


class Report:
    """Results in a folder's results.json.

    Args:
      folder: the folder.
      results: what the file holds so far.
    """

    def __init__(self, folder: pathlib.Path, results: dict[str, Any]):
        self._path = folder / RESULTS
        self.results = results

    @classmethod
    def new(cls, folder: pathlib.Path) -> Report:
        """Return an empty report, and write it over that of an earlier run."""
        empty: dict[str, Any] = {"rows": [], "skipped": [], "pending": [], "running": None}
        report = cls(folder, {"facts": None, **empty})
        report._write()
        return report

    @classmethod
    def read(cls, folder: pathlib.Path) -> Report:
        """Return a report that another process writes."""
        return cls(folder, json.loads((folder / RESULTS).read_text(encoding="utf-8")))

    @property
    def begun(self) -> bool:
        """True if the facts and the cases to measure are known."""
        return self.results["facts"] is not None

    def begin(self, facts: Mapping[str, Any], cases: Iterable[Row]) -> None:
        """Record facts about the machine, and all cases to measure."""
        self.results["facts"] = dict(facts)
        self.results["pending"] = list(cases)
        self._write()

    def lacks(self, case: Row) -> bool:
        """Return whether a case is still to be measured."""
        return case in self.results["pending"]

    def failed_before(self, case: Row, cases: tuple[Row, ...]) -> bool:
        """Return whether one of the cases before this one has a problem."""
        return any(
            "problem" in row and before.items() <= row.items()
            for before in cases[: cases.index(case)]
            for row in self.results["rows"]
        )

    def start(self, case: Row) -> None:
        """Record that a case is being measured."""
        self.results["pending"].remove(case)
        self.results["running"] = {"case": case, "since": time.time()}
        self._write()

    def finish(self, figures: Row) -> None:
        """Record the figures, or the problem, of the case that is being measured."""
        self.results["rows"].append({**self.results["running"]["case"], **figures})
        self.results["running"] = None
        self._write()

    def skip(self, case: Row, reason: str) -> None:
        """Record why a case is not measured."""
        self.results["pending"].remove(case)
        self.results["skipped"].append({**case, "reason": reason})
        self._write()

    def close(self, seconds: float) -> None:
        """Record the duration, and that no time was left for the other cases."""
        self.results["seconds"] = round(seconds, 1)
        if self.results["running"] is not None:
            self.results["pending"].insert(0, self.results["running"]["case"])
            self.results["running"] = None
        for case in list(self.results["pending"]):
            self.skip(case, "no time was left")
        self._write()

    def _write(self) -> None:
        files.write_text(json.dumps(self.results, indent=1) + "\n", self._path)


def described(case: Mapping[str, Any]) -> str:
    """Return a case in words."""
    return ", ".join(str(value) for value in case.values())
