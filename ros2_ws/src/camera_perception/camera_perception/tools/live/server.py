"""The web server of the live page, in a thread of its own. The only file that imports aiohttp."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.live.access import Access, Connections, security_headers
from camera_perception.tools.live.hub import Client, Hub
from camera_perception.tools.live.protocol import Command, acknowledged, command_of, token_of

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
MAX_TEXT = 4096  # bytes of a viewer's message
MAX_VIEWERS = 64
KEEP_ALIVE = 30.0  # seconds between two requests on one connection
TOKEN_TIMEOUT = 5.0  # seconds
WRONG_TOKEN, FULL = 4401, 4429  # close codes
HOST = re.compile(r"[\w.\-\[\]:]{1,255}")


class LiveServer:
    """Serves the page and the messages of a hub; commands of viewers are handed to `control`, in the server's thread.

    raises PerceptionError when aiohttp is missing or the port is taken
    """

    def __init__(self, hub: Hub, control: Callable[[Command], None], access: Access, port: int = 8080) -> None:
        self._hub, self._control, self._access, self._port = hub, control, access, port
        self._pages = page_files()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._runner: Any = None
        self._listening: Any = None
        self._connections: Any = None
        self._thread = threading.Thread(target=self._serve, name="live page", daemon=True)

    @property
    def address(self) -> str:
        """The address to open, with the token if there is one."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._access.host, self._access.host)
        return f"http://{host}:{self._port}/{self._access.fragment}"

    def start(self) -> LiveServer:
        _aiohttp()
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise PerceptionError(
                f"port {self._port} of {self._access.host} cannot be served ({self._failure}): "
                "stop the other program there, or give another --port"
            )
        return self

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5.0)

    def __enter__(self) -> LiveServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._open())
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        self._loop.run_forever()
        self._listening.close()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _open(self) -> None:
        web = _aiohttp().web

        async def guard(request: Any, handler: Any) -> Any:  # a method cannot be marked as middleware
            return await self._guarded(request, handler)

        application = web.Application(middlewares=[web.middleware(guard)])
        application.router.add_get("/live", self._socket)
        application.router.add_get("/{name:.*}", self._page)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5, keepalive_timeout=KEEP_ALIVE)
        await self._runner.setup()
        self._connections = Connections(self._runner.server)
        self._listening = await self._loop.create_server(
            self._connections.protocol, self._access.host, self._port, reuse_address=True
        )
        self._port = self._listening.sockets[0].getsockname()[1]

    async def _guarded(self, request: Any, handler: Any) -> Any:
        """Refuse foreign pages before anything else, and send the security headers with every answer."""
        self._connections.asked(request.protocol)
        web, host = _aiohttp().web, request.headers.get("Host", "")
        reason = self._access.foreign(host, request.headers.get("Origin")) if HOST.fullmatch(host) else "no host"
        if reason:
            return web.Response(status=403, text=reason)
        response = await handler(request)
        if not response.prepared:
            response.headers.update(security_headers(host))
        return response

    async def _page(self, request: Any) -> Any:
        web, name = _aiohttp().web, request.match_info["name"] or "index.html"
        if name not in self._pages:
            return web.Response(status=404, text="not found")
        body, kind = self._pages[name]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _socket(self, request: Any) -> Any:
        aiohttp = _aiohttp()
        socket = aiohttp.web.WebSocketResponse(heartbeat=20.0, max_msg_size=MAX_TEXT, compress=False)
        await socket.prepare(request)
        if not await self._authorised(socket):
            await socket.close(code=WRONG_TOKEN, message=b"wrong token")
        elif len(self._hub) >= MAX_VIEWERS:
            await socket.close(code=FULL, message=b"too many viewers")
        else:
            await self._view(socket)
        return socket

    async def _authorised(self, socket: Any) -> bool:
        """Without a token everybody on this machine is; else the first message has to bring it."""
        if not self._access.token:
            return True
        try:
            message = await socket.receive(timeout=TOKEN_TIMEOUT)
        except asyncio.TimeoutError:
            return False
        return message.type == _aiohttp().WSMsgType.TEXT and self._access.admits(token_of(message.data))

    async def _view(self, socket: Any) -> None:
        """Send and receive until the viewer leaves."""
        awake = asyncio.Event()
        client = self._hub.join(lambda: self._wake(awake))
        sending = asyncio.ensure_future(_send(socket, client, awake))
        try:
            async for message in socket:
                if message.type == _aiohttp().WSMsgType.TEXT:
                    self._receive(client, message.data)
        finally:
            self._hub.leave(client)
            sending.cancel()

    def _wake(self, awake: asyncio.Event) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(awake.set)

    def _receive(self, client: Client, text: str) -> None:
        camera = acknowledged(text)
        if camera is not None:
            client.acknowledge(camera)
        elif command := command_of(text):
            self._control(command)


async def _send(socket: Any, client: Client, awake: asyncio.Event) -> None:
    """Each send waits until the viewer's connection takes more: that holds up nobody else."""
    while True:
        await awake.wait()
        awake.clear()
        while (message := client.take()) is not None:
            try:
                await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_str(message))
            except ConnectionError:
                return


def page_files() -> dict[str, tuple[bytes, str]]:
    """Name of each file of the page: content and type."""
    folder = files("camera_perception.tools.live").joinpath("page")
    known = [file for file in folder.iterdir() if _suffix(file.name) in TYPES]
    return {file.name: (file.read_bytes(), TYPES[_suffix(file.name)]) for file in known}


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _aiohttp() -> Any:
    try:
        import aiohttp
        import aiohttp.web
    except ImportError as error:
        raise PerceptionError("the live page needs the 'aiohttp' package: pip install aiohttp") from error
    return aiohttp
