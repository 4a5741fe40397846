# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Lists in Final Cut Pro's XML, version 1.9, which other editing programs also read."""

from __future__ import annotations

import fractions
from collections.abc import Sequence
from xml.etree import ElementTree as etree

from mmv_tf.search.edit_lists.cleaning import one_line
from mmv_tf.search.edit_lists.entries import Entry, Film
from mmv_tf.search.edit_lists.timecode import Rate

_MOST_TEXT = 2000  # characters of a note; ours
_SIZE = 1920, 1080  # of a list whose films state no size


def fcpxml(title: str, entries: Sequence[Entry], rate: Rate) -> str:
    """Return a project whose clips follow each other without gaps, with captions as markers.

    All times are whole frames at the list's rate.
    """
    root = etree.Element("fcpxml", version="1.9")
    resources = etree.SubElement(root, "resources")
    first = entries[0].film if entries else Film("", "", 0.0, 25.0)
    width, height = (first.width, first.height) if first.width else _SIZE
    _format(resources, "r1", rate, width, height)
    assets = _assets(resources, entries, rate)
    name = one_line(title, _MOST_TEXT)
    event = etree.SubElement(etree.SubElement(root, "library"), "event", name=name)
    project = etree.SubElement(event, "project", name=name)
    spans = [
        (rate.frames(entry.start), max(rate.frames(entry.end), rate.frames(entry.start) + 1))
        for entry in entries
    ]
    counting = "DF" if rate.drops else "NDF"
    sequence = etree.SubElement(
        project,
        "sequence",
        format="r1",
        duration=_time(rate, sum(last - start for start, last in spans)),
        tcStart="0s",
        tcFormat=counting,
    )
    spine = etree.SubElement(sequence, "spine")
    at = 0
    for entry, (start, last) in zip(entries, spans, strict=True):
        begin = rate.frames(entry.film.begin)
        clip = etree.SubElement(
            spine,
            "asset-clip",
            ref=assets[entry.film.name],
            name=one_line(entry.film.name, _MOST_TEXT),
            offset=_time(rate, at),
            start=_time(rate, begin + start),
            duration=_time(rate, last - start),
            tcFormat=counting,
        )
        at += last - start
        if entry.said:
            etree.SubElement(clip, "note").text = one_line(entry.said, _MOST_TEXT)
        for caption in entry.captions:
            # Markers must lie inside their clip.
            place = min(max(rate.frames(caption.start), start), last - 1)
            etree.SubElement(
                clip,
                "marker",
                start=_time(rate, begin + place),
                duration=_time(rate, 1),
                value=one_line(caption.text, _MOST_TEXT),
            )
    etree.indent(root)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n'
    return head + etree.tostring(root, encoding="unicode") + "\n"


def _assets(resources: etree.Element, entries: Sequence[Entry], rate: Rate) -> dict[str, str]:
    """Add the films, each once, and return their ids by name."""
    assets: dict[str, str] = {}
    for film in (entry.film for entry in entries):
        if film.name in assets:
            continue
        number = 2 * len(assets) + 2
        _format(resources, f"r{number}", film.rate, film.width, film.height)
        asset = etree.SubElement(
            resources,
            "asset",
            id=f"r{number + 1}",
            name=one_line(film.name, _MOST_TEXT),
            start=_time(rate, rate.frames(film.begin)),
            duration=_time(rate, max(1, rate.frames(film.duration))),
            hasVideo="1",
            format=f"r{number}",
        )
        if film.channels:
            asset.set("hasAudio", "1")
            asset.set("audioSources", "1")
            asset.set("audioChannels", str(film.channels))
            asset.set("audioRate", str(film.sample_rate))
        etree.SubElement(
            asset, "media-rep", kind="original-media", src=one_line(film.address, _MOST_TEXT * 2)
        )
        assets[film.name] = f"r{number + 1}"
    return assets


def _format(resources: etree.Element, key: str, rate: Rate, width: int, height: int) -> None:
    made = etree.SubElement(resources, "format", id=key, frameDuration=_time(rate, 1))
    if width and height:
        made.set("width", str(width))
        made.set("height", str(height))


def _time(rate: Rate, frames: int) -> str:
    """Return a time as a fraction of seconds, such as "1001/30000s"."""
    seconds: fractions.Fraction = rate.seconds(frames)
    if seconds.denominator == 1:
        return f"{seconds.numerator}s"
    return f"{seconds.numerator}/{seconds.denominator}s"
