# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes the report: `results.json`, and `report.html` from templates."""

from __future__ import annotations

import pathlib
from typing import Any

import jinja2

from mmv_tf.quickstart.report import charts, moments
from mmv_tf.quickstart.report.results import SEARCH_INDEX, Run, gather
from mmv_tf.quickstart.report.statements import DIRECTIONS, clock, p_value, verdicts
from mmv_tf.util import files
from mmv_tf.util.configuration import write_json
from mmv_tf.util.spacing import evenly_spaced

# The URL of the search page.
SEARCH_PAGE = "http://127.0.0.1:8600/"
PAGE_FILE, RESULTS_FILE = "report.html", "results.json"
# Ours: evenly spaced test narrations that are shown at first; the others are collapsed.
_SHOWN_SENTENCES = 6
_STAGES = {"naive": "no fit", "closed_form": "closed form", "fitted": "closed form, then L1"}


def write(
    work: pathlib.Path, film: pathlib.Path, record: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Write `report.html` and `results.json` from the steps' results in `work`.

    Args:
      work: the quickstart's folder.
      film: the film; the page contains frames from it, and plays it from its path.
      record: seconds and memory of the steps, see `run_steps`.

    Returns:
      The results.
    """
    run = Run.read(work)
    results = gather(run, film, record)
    write_json(results, work / RESULTS_FILE)
    files.write_text(render(run, film, results, work), work / PAGE_FILE)
    return results


def search_command(work: pathlib.Path) -> str:
    """Return the command that serves the film's search page."""
    return f"mmv search serve --index={work / SEARCH_INDEX}"


def render(run: Run, film: pathlib.Path, results: dict[str, Any], work: pathlib.Path) -> str:
    """Return the page."""
    narrations, answers = moments.narrations(run), moments.answers(run)
    shown = evenly_spaced(len(narrations), _SHOWN_SENTENCES)
    pictures = moments.thumbnails(film, [*narrations, *answers])
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mmv_tf.quickstart.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": clock,
        "percent": lambda share: f"{100 * share:.0f} %",
        "picture": lambda moment: moments.data_address(pictures[moment.middle]),
    }
    environment.globals |= {"p_value": p_value, "charts": charts}
    return environment.get_template("page.html.j2").render(
        results=results,
        film=moments.film_address(film, work / PAGE_FILE),
        held_out_blocks=sum(b["split"] == "test" for b in results["data"]["blocks"]),
        narrations=narrations,
        shown=[narrations[index] for index in shown],
        hidden=[query for index, query in enumerate(narrations) if index not in shown],
        best=moments.BEST,
        answers=answers,
        directions=DIRECTIONS,
        verdicts=verdicts(results),
        heat_map=charts.heat_map(run),
        loss_chart=charts.loss_chart(run),
        rank_chart=charts.rank_chart(run),
        stages=_STAGES,
        search_command=search_command(work),
        search_page=SEARCH_PAGE.removeprefix("http://"),
    )
