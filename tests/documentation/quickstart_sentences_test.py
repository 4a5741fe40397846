# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The page of the quickstart's test sentences agrees with itself, the narration and the README."""

import csv
import pathlib
import re

import mmv_tf

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quickstart_sentences.md"
NARRATION = pathlib.Path(mmv_tf.__file__).parent / "quickstart" / "bbb_narration.tsv"
ROW = re.compile(r"\| ([✓✗]) \| (\d+):(\d\d) \| (.+?) \| (\d+) \| (.*?) \|$", re.M)


def test_rows_counts_and_narration_agree():
    text = PAGE.read_text(encoding="utf-8")
    rows = ROW.findall(text)
    ranks = [int(rank) for *_, rank, _ in rows]
    count, first = len(rows), ranks.count(1)
    with NARRATION.open(encoding="utf-8", newline="") as file:
        # Clips are widened to what the model takes, so that they may begin a little before.
        starts = {
            row["caption"]: float(row["start"]) for row in csv.DictReader(file, dialect="excel-tab")
        }
    for mark, minutes, seconds, sentence, rank, instead in rows:
        assert 1 <= int(rank) <= count
        assert (mark == "✓") == (rank == "1") == (not instead)
        assert abs(starts[sentence] - 60 * int(minutes) - int(seconds)) < 4
        assert not instead or instead in {row[3] for row in rows} - {sentence}
    flat = " ".join(text.split())
    assert f"these {count} clips" in flat
    assert f"comes first for {first} of them" in flat
    assert f"for {sum(rank <= 4 for rank in ranks)} (by chance, 4)" in flat
    assert (ROOT / "docs" / "quickstart_sentences.jpg").exists()
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        written = page.read_text(encoding="utf-8")
        assert "quickstart_sentences.md" in written, f"{page}: failures are one click away"
        assert f"{first} of {count}" in written, page
