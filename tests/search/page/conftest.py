# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason="the extra 'search' is not installed")

import uvicorn

from tests import running
from tests.search import chromium

MOMENTS = "document.querySelectorAll('.moment').length"
STATUS = "document.getElementById('status').textContent"


@dataclasses.dataclass(frozen=True)
class Site:
    """A server's page in a browser."""

    address: str
    page: chromium.Page

    def open(self, path: str = "", width: int = 1100) -> None:
        """Opens an address of the page, until it shows something."""
        self.page.resize(width, 900 if width > 400 else 844, phone=width < 400)
        self.page.open(f"{self.address}{path}")
        self.page.wait(
            "!!(document.body.dataset.view || document.querySelector('.welcome, dialog[open]'))"
        )
        self.settled()

    def settled(self) -> str:
        """Waits until no search or upload is under way; returns the status line."""
        self.page.wait(f"!/…/.test({STATUS}) && !document.querySelector('[aria-busy]')")
        return self.status

    @property
    def status(self) -> str:
        text: str = self.page.run(STATUS)
        return text

    def search(self, sentence: str) -> str:
        """Types a sentence, as a user does; returns the status line."""
        self.page.run("sentence.focus(), sentence.select()")
        self.page.write(sentence)
        self.page.run("document.getElementById('status').textContent = '…'")
        self.page.press("Enter")
        return self.settled()

    def click(self, selector: str) -> None:
        """Clicks the first element of a selector, once it is there."""
        self.page.wait(f"!!document.querySelector({json.dumps(selector)})")
        self.page.run(f"document.querySelector({json.dumps(selector)}).click()")

    def click_text(self, text: str, within: str = "body") -> None:
        """Clicks the first button that shows a text."""
        found = f"[...document.querySelectorAll({json.dumps(within + ' button')})]"
        found += f".find(one => one.innerText.trim() == {json.dumps(text)})"
        self.page.wait(f"!!{found}")
        self.page.run(f"{found}.click()")

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements of a selector."""
        found = self.page.run(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent)"
        )
        return list(found)

    def give(self, how: str, name: str, kind: str, data: bytes) -> None:
        """Drops or pastes a file on the page."""
        event = {
            "drop": "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})",
            "paste": "new ClipboardEvent('paste', {clipboardData: data, bubbles: true})",
        }[how]
        self.page.run(
            f"""(() => {{
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array({list(data)})], {json.dumps(name)},
                                      {{type: {json.dumps(kind)}}}));
              document.body.dispatchEvent({event});
            }})()"""
        )

    def module(self, name: str, expression: str) -> Any:
        """The value of an expression over a module of the page, which it calls `m`."""
        return self.page.run(f"import('/assets/{name}').then((m) => {expression})")


def picture() -> bytes:
    """A PNG of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


@contextlib.contextmanager
def serve_program(index: pathlib.Path, temporary: pathlib.Path, *flags: str) -> Iterator[str]:
    """The real program; the address of its page."""
    command = [sys.executable, "-m", "mmv_tf", "search", "serve", f"--index={index}"]
    process = subprocess.Popen(
        [*command, "--http_port=0", *flags],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=running.ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        printed: list[str] = []
        for line in process.stdout:
            printed.append(line)
            if "Search page: " in line:
                break
        else:
            raise RuntimeError("".join(printed))
        yield printed[-1].split()[-1]
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    # Before, a busy machine may tell of an answer that it cut off.
    assert rest.strip().endswith("Stopped.") and "Traceback" not in rest


@contextlib.contextmanager
def serve_here(app: Any) -> Iterator[str]:
    """An application in a thread of this process; its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[chromium.Page]:
    """A tab of a browser, for a file of tests."""
    if chromium.executable() is None:
        pytest.skip(f"none of {', '.join(chromium.NAMES)} is installed")
    with chromium.browser(tmp_path_factory.mktemp("browser") / "profile") as page:
        yield page
        assert page.dialogs == [], "no script of a name, caption or upload ever ran"
