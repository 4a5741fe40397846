# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Search page: a box, uploads, and moments that play from their first second.

Names of files, captions and messages are shown as text only, never as HTML.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from nicegui import events, run, ui

from mmv_tf.data.captions import MAX_CHARACTERS
from mmv_tf.inference.windows import Windows
from mmv_tf.search.decoder import Decoder
from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.files import video_id
from mmv_tf.search.manifest import Manifest
from mmv_tf.search.media_routes import narration
from mmv_tf.search.moments import Moment, curve_svg
from mmv_tf.search.page_settings import MEBIBYTE, PageSettings
from mmv_tf.search.queries import TEXT, Query, kind_of_bytes, read_query
from mmv_tf.search.searcher import Answer, Searcher
from mmv_tf.search.store import MissingIndex
from mmv_tf.util.text_files import printable_name

TITLE = "Search your videos"
_ASSETS = pathlib.Path(__file__).with_name("page_assets")
_T = TypeVar("_T")
_KINDS = {"image": "image", "video": "clip", "audio": "audio file"}


@dataclasses.dataclass
class _Shown:
    """A result on the page, all read from the index at once."""

    moment: Moment
    key: str
    duration: float
    svg: str
    said: str


def build_page(searcher: Searcher, settings: PageSettings, decoder: Decoder) -> None:
    """Fill the page of one visitor; call it inside NiceGUI's page function."""
    ui.add_css(_ASSETS.joinpath("page.css").read_text(encoding="utf-8"))
    ui.add_body_html(f"<script>{_ASSETS.joinpath('keys.js').read_text(encoding='utf-8')}</script>")
    _Page(searcher, settings, decoder)


class _Page:
    """One visitor's page."""

    def __init__(self, searcher: Searcher, settings: PageSettings, decoder: Decoder):
        self._searcher = searcher
        self._decoder = decoder
        self._settings = settings
        self._upload: tuple[str, str, bytes] | None = None  # Kind, name, bytes.
        self._answer: Answer | None = None
        self._searches = 0
        with ui.column().classes("page"):
            ui.label(TITLE).classes("title").props("role=heading aria-level=1")
            self._about = ui.label().classes("about")
            self._build_box()
            self._status = ui.label().classes("status").props("role=status aria-live=polite")
            self._hint = ui.label().classes("hint")
            self._stage = ui.column().classes("stage")
            self._results = ui.element("div").classes("results").props("role=list")
        self._describe()

    def _build_box(self) -> None:
        self._words = ui.row().classes("box")
        with self._words:
            self._text = (
                ui.input(placeholder="What happens? Press / to write here")
                .props('outlined dense clearable maxlength=1000 aria-label="Sentence"')
                .classes("sentence")
                .on("keydown.enter", self._search)
            )
            ui.button("Search", on_click=self._search).props("unelevated").classes("go")
        with ui.row().classes("box"):
            self._within = ui.toggle(
                {VISION: "in what is seen", SOUND: "in what is heard"}, value=VISION
            ).props("dense no-caps unelevated")
            most = self._settings.max_upload_bytes
            self._uploader = (
                ui.upload(
                    label=f"{self._given()}, up to {most // MEBIBYTE} MB",
                    auto_upload=True,
                    max_file_size=most,
                    max_files=None,
                    on_upload=self._take,
                    on_rejected=lambda: self._say(
                        f"The file is larger than {most // MEBIBYTE} MB."
                    ),
                )
                .props("flat bordered hide-upload-btn")
                .classes("upload")
                .on("failed", lambda: self._say("The upload was rejected: the file is too large."))
            )
            self._chip = (
                ui.chip("", removable=True, icon="attach_file")
                .classes("chip")
                .on("remove", self._forget)
            )
            self._chip.visible = False

    # ---- Actions of the user ---------------------------------------------------------------------

    async def _take(self, event: events.UploadEventArguments) -> None:
        """Take an uploaded file, which stays in memory."""
        name = event.file.name[:100]
        data = await event.file.read()
        event.sender.reset()  # type: ignore[attr-defined]
        try:
            kind = await _in_thread(self._decoder.call, kind_of_bytes, name, data, name)
        except (ValueError, OSError) as error:
            self._say(str(error))
            return
        if kind not in self._searcher.accepts:
            self._say(f"The model takes no {_KINDS[kind]}s; give {self._given()}.")
            return
        self._upload = (kind, name, data)
        self._chip.text = f"{_KINDS[kind]}: {name}"
        self._chip.visible = True
        self._chip.value = True
        await self._search()

    def _forget(self) -> None:
        self._upload = None
        self._chip.visible = False

    async def _search(self) -> None:
        """Search for the content of the box, and show the answer unless there is a newer query."""
        queries = []
        sentence = str(self._text.value or "").strip() if self._words.visible else ""
        if sentence:
            queries.append(Query(TEXT, sentence, within=self._within.value))
        if self._upload is not None:
            kind, name, data = self._upload
            queries.append(Query(kind, data, within=self._within.value, name=name))
        self._searches += 1
        number = self._searches
        self._clear()
        if not queries:
            write = "Write what happens, or give" if self._words.visible else "Give"
            self._say(f"{write} {self._given()}.")
            return
        self._say("Searching…")
        try:
            answer, shown = await _in_thread(self._find, queries)
        except MissingIndex:
            if number == self._searches:
                self._say("The index was deleted.")
                self._describe()
            return
        except (ValueError, OSError) as error:
            if number == self._searches:
                self._say(str(error))
            return
        if number != self._searches:
            return
        self._answer = answer
        self._describe()
        if not shown:
            self._say("Nothing was found. Try other words, or search in what is seen.")
            return
        self._say(f"{counted(len(shown), 'moment')}, best first.")
        with self._results:
            for number, result in enumerate(shown):
                self._build_card(number, result)

    def _find(self, queries: list[Query]) -> tuple[Answer, list[_Shown]]:
        """Search; to be run in a thread."""
        answer = self._searcher.search(queries, self._settings.results, self._read)
        shown = []
        for moment in answer.moments:
            key = video_id(moment.video)
            found = self._searcher.video(key)
            if found is None:
                continue  # The index has just changed.
            folders, video = found
            scores, spans = self._searcher.curve(moment.video, answer.asked)
            shown.append(
                _Shown(
                    moment,
                    key,
                    video.duration,
                    curve_svg(scores, spans, video.duration, moment.start, moment.end),
                    narration(folders, video, moment.start, moment.end)[:MAX_CHARACTERS],
                )
            )
        return answer, shown

    def _read(self, query: Query, windows: Windows) -> np.ndarray:
        pixels: np.ndarray = self._decoder.call(read_query, query.name, query, windows)
        return pixels

    # ---- Content of the page ---------------------------------------------------------------------

    def _describe(self) -> None:
        """Describe the index, or how to make one."""
        try:
            manifest = self._searcher.open().manifest
        except MissingIndex:
            self._about.text = "There is no index yet. Make one, then search here:"
            self._hint.text = (
                "python -m binaries.search index --videos=DIR --model=PATH "
                f"--index={self._searcher.directory}"
            )
            self._hint.visible = True
            return
        except ValueError as error:
            self._about.text = str(error)
            return
        self._offer(manifest)
        skipped = f", {len(manifest.skipped)} could not be read" if manifest.skipped else ""
        self._about.text = (
            f"{counted(len(manifest.videos), 'video')}, "
            f"{counted(manifest.rows, 'overlapping window')}{skipped}. "
            f"Keys: {'/ to write, ' if self._words.visible else ''}arrows to choose, Enter to "
            "play, Esc to pause."
        )
        self._hint.visible = False

    def _offer(self, manifest: Manifest) -> None:
        """Show only the inputs that model and index support."""
        self._words.visible = TEXT in self._searcher.accepts
        heard = any(name.startswith(f"{SOUND}.") for name in manifest.matrices)
        self._within.visible = heard
        if not heard:
            self._within.value = VISION
        most = self._settings.max_upload_bytes // MEBIBYTE
        self._uploader.props["label"] = f"{self._given()}, up to {most} MB"

    def _given(self) -> str:
        """Return the kinds of files that can be searched for, such as "an image or a clip"."""
        names = [name for kind, name in _KINDS.items() if kind in self._searcher.accepts]
        kinds = [f"a{'n' if name[0] in 'ai' else ''} {name}" for name in names]
        return " or ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)

    def _say(self, text: str) -> None:
        self._status.text = text

    def _clear(self) -> None:
        self._results.clear()
        self._stage.clear()
        self._answer = None

    def _build_card(self, number: int, result: _Shown) -> None:
        moment = result.moment
        times = f"{clock(moment.start)} – {clock(moment.end)}"
        card = ui.element("div").classes("moment").props("tabindex=0 role=listitem")
        card.props["aria-label"] = f"{moment.video}, {times}, score {moment.score:.2f}"
        card.on("click", self._player(result))
        with card:
            image = ui.element("img").props('loading=lazy alt=""')
            image.props["src"] = f"/thumbnail/{result.key}?t={moment.best:.1f}"
            with ui.element("div").classes("words"):
                ui.label(printable_name(moment.video)).classes("name")
                ui.label(f"{times} · {moment.score:.2f}").classes("times")
                if result.said:
                    ui.label(result.said).classes("said")
            self._build_curve(result, "small")

    def _build_curve(self, result: _Shown, kind: str) -> None:
        with (
            ui.element("div")
            .classes(f"curve {kind}")
            .on(
                "click.stop",
                lambda event: self._play(result, float(event.args) * result.duration),
                js_handler="""(event) => {
                  const box = event.currentTarget.getBoundingClientRect();
                  emit(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
                }""",
            )
        ):
            ui.html(result.svg, sanitize=False)  # Safe, see `curve_svg`.

    def _player(self, result: _Shown) -> Callable[[], None]:
        return lambda: self._play(result, result.moment.start)

    def _play(self, result: _Shown, start: float) -> None:
        """Play a video from a time."""
        moment = result.moment
        self._stage.clear()
        with self._stage:
            address = f"/media/{result.key}#t={max(0.0, start):.2f}"
            ui.video(address, autoplay=True).classes("player").on(
                "error",
                lambda: self._say(
                    "This browser can't play the file; use a media player: "
                    f"{moment.video} at {clock(start)}."
                ),
            )
            ui.label(f"{moment.video} · {clock(moment.start)} – {clock(moment.end)}").classes(
                "name"
            )
            self._build_curve(result, "large")
            if result.said:
                ui.label(result.said).classes("said")


async def _in_thread(function: Callable[..., _T], *arguments: Any) -> _T:
    """Call a function outside of the event loop."""
    result = await run.io_bound(function, *arguments)
    return cast(_T, result)  # None only while the server stops.


def counted(count: int, noun: str) -> str:
    """Return a count and a noun, such as "1 video" or "3 videos"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def clock(seconds: float) -> str:
    """Format a time as 1:02:03.5 or 2:03.5."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{tenths / 10:04.1f}"
    return f"{hours}:{minutes:02d}:{shown}" if hours else f"{minutes}:{shown}"


def page_function(
    searcher: Searcher, settings: PageSettings, decoder: Decoder
) -> Callable[[], Any]:
    """Return the function that NiceGUI calls for each visitor."""
    return lambda: build_page(searcher, settings, decoder)
