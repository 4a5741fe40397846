# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import pathlib
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--no-first-run", "--disable-extensions", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--autoplay-policy=no-user-gesture-required",
)
_SECONDS = 30.0


def executable() -> str | None:
    """The browser on this machine, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab.

    Args:
      connection: to the tab's DevTools.
    """

    def __init__(self, connection: ClientConnection):
        self._connection = connection
        self._ids = itertools.count(1)
        self.dialogs: list[str] = []  # Texts of alerts: none should ever come.
        for domain in ("Page", "Runtime", "DOM", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its result."""
        number = next(self._ids)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        until = time.monotonic() + _SECONDS
        while True:
            message = json.loads(self._connection.recv(timeout=until - time.monotonic()))
            if message.get("method") == "Page.javascriptDialogOpening":
                self.dialogs.append(message["params"]["message"])
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def open(self, address: str) -> None:
        """Goes to an address, until the new page is loaded; scripts may have more to do."""
        self.run("window.leaving = true")
        self.send("Page.navigate", url=address)
        self.wait("!window.leaving && document.readyState == 'complete'")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression: str, seconds: float = _SECONDS) -> Any:
        """Waits until an expression is true and returns its value."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(RuntimeError):  # While a page is loaded.
                if value := self.run(expression):
                    return value
            time.sleep(0.05)
        shown = self.run("document.body.innerText")
        raise AssertionError(f"not true in {seconds} s: {expression}; the page shows: {shown}")

    def press(self, key: str, text: str = "") -> None:
        """A key, such as "Enter" or "/"."""
        code = {"Enter": 13, "ArrowDown": 40, "Escape": 27}.get(key, 0)
        text = {"Enter": "\r"}.get(key, text)
        kind = "keyDown" if text else "rawKeyDown"
        common: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type=kind, text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, text: str) -> None:
        """Types a text where the focus is."""
        self.send("Input.insertText", text=text)

    def upload(self, selector: str, path: pathlib.Path) -> None:
        """Chooses a file in a file input."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        """Makes it the size of a screen."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )

    def picture(self, path: pathlib.Path) -> None:
        """Writes a PNG of what is shown."""
        data = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))


@contextlib.contextmanager
def browser(profile: pathlib.Path) -> Iterator[Page]:
    """A browser with one tab; ended with the block.

    Args:
      profile: a folder for what it stores.
    """
    program = executable()
    assert program is not None
    log = open(profile.with_suffix(".log"), "w+", encoding="utf-8")  # noqa: SIM115
    process = subprocess.Popen(
        [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"], stderr=log
    )
    try:
        port_file = profile / "DevToolsActivePort"
        until = time.monotonic() + _SECONDS
        while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
            if process.poll() is not None or time.monotonic() > until:
                log.seek(0)
                raise RuntimeError(f"{program} did not start: {log.read()[-1000:]}")
            time.sleep(0.05)
        port = port_file.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as response:
            tabs = [tab for tab in json.load(response) if tab["type"] == "page"]
        with connect(tabs[0]["webSocketDebuggerUrl"], max_size=1 << 26) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
