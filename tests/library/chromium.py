"""A headless Chromium for tests of the live page, driven over its DevTools protocol; needs aiohttp, nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser with one page; every method waits for the browser's answer."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        flags = ["--headless=new", "--no-first-run", "--disable-gpu", "--mute-audio", "--hide-scrollbars",
                 "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={folder}"]  # fmt: skip
        if os.getuid() == 0:
            flags.append("--no-sandbox")
        self._process = subprocess.Popen(
            [str(installed()), *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port = self._port(folder / "DevToolsActivePort")
        self._number, self.requests, self.errors = 0, [], []
        self._loop.run_until_complete(self._connect(port))
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def _port(self, file: Path) -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if file.is_file() and file.read_text().strip():
                return int(file.read_text().split()[0])
            time.sleep(0.05)
        raise TimeoutError("Chromium did not open its debugging port")

    async def _connect(self, port: int) -> None:
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [page for page in await answer.json() if page["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._loop.run_until_complete(asyncio.wait_for(self._call(method, parameters), 60))

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(event["params"]["exceptionDetails"])
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.errors.append(event["params"]["entry"]["text"])

    def open(self, address: str, width: int = 1440, height: int = 900, scale: float = 1.0, phone: bool = False) -> None:
        """Load a page, also one that differs from the last in its fragment alone."""
        size = dict(width=width, height=height, deviceScaleFactor=scale, mobile=phone)
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)

    def evaluate(self, script: str) -> Any:
        """The value of an expression or promise."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 30.0) -> Any:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        body = f"const value = {script}; return value instanceof Node || value;"
        wanted = f"(() => {{ try {{ {body} }} catch (error) {{ return null; }} }})()"  # errors while the page loads
        while time.monotonic() < deadline:
            with suppress(AssertionError):  # the page is being replaced
                if value := self.evaluate(wanted):
                    return value
            time.sleep(0.05)
        raise TimeoutError(f"never true: {script}; errors of the page: {self.errors}")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def key(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def close(self) -> None:
        """End the browser by its own command: its child processes end with it."""
        with suppress(AssertionError, asyncio.TimeoutError, TypeError):
            self.call("Browser.close")
        self._loop.run_until_complete(self._session.close())
        self._loop.close()
        self._process.wait(20)
